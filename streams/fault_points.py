"""Named places between the steps of an event's life where a test can end the process, as kill -9 would.

A worker started with SIDELINE_FAULT_POINT=decided@3 kills itself the third time it gets to `decided`, once: a marker in
its data folder keeps the process that the supervisor starts next from doing it again. Without the setting a place costs
one comparison.
"""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.faults import Fatal


class FaultPoint(enum.StrEnum):
    """The places, in the order in which an event passes them."""

    DELIVERED = "delivered"  # on the ledger, no work begun
    LOOKED = "looked"  # a capture has no outcome yet
    FETCHED = "fetched"  # its pictures are here and verified
    INFERRED = "inferred"  # the models have answered
    INVESTIGATED = "investigated"  # scored; the next step is the Lua call
    DECIDED = "decided"  # the outcome is on record, nothing is sent
    PARTLY_SENT = "partly-sent"  # the broker has the decision, perhaps not the sidelined event
    REJECTED = "rejected"  # a rejection is on record, its dead letter is not sent
    BURIED = "buried"  # the dead letter is sent
    SCAN_KEPT = "scan-kept"
    SETTLED = "settled"  # a verdict has moved its tokens, the gallery has not heard of it
    EMBEDDED = "embedded"  # a reference has its vectors, the gallery has not
    ENROLLED = "enrolled"  # the gallery has the reference; others of its product may have to go
    HEARD = "heard"  # a judged capture is a candidate; whether it may enter is not examined
    HANDLED = "handled"  # everything of the event is durable, its offset is not acknowledged
    ACKNOWLEDGED = "acknowledged"  # to Faust; not committed
    REVOKING = "revoking"  # partitions are taken away, work on them goes on
    DRAINED = "drained"  # that work is finished or dropped, its acknowledgements are not committed
    COMMITTED = "committed"  # they are; the group does not know that the partitions are free
    STOPPING = "stopping"  # asked to end, nothing done about it yet
    STOPPED = "stopped"  # everything is given up, the process is about to leave its group


@dataclass(slots=True)
class _Death:
    passes_left: int
    marker: Path

    def __call__(self) -> None:
        """Count a pass; at the last one leave the marker and end the process."""
        self.passes_left -= 1
        if self.passes_left > 0:
            return
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        self.marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


_armed: Final[dict[FaultPoint, Callable[[], None]]] = {}


def marker(data_dir: Path, worker: str, spec: str) -> Path:
    """Return the file that says that this worker has died at this point; remove it to let it die there again."""
    return data_dir / worker / f"died-at-{spec}"


def arm(spec: str, *, data_dir: Path, worker: str) -> None:
    """Make this process end at a point: `decided`, or `decided@3` for the third time. Nothing for an empty string.

    Raises:
        Fatal: there is no such point.
    """
    if not spec:
        return
    name, _, number = spec.partition("@")
    try:
        point, passes = FaultPoint(name), int(number or 1)
    except ValueError:
        raise Fatal(f"SIDELINE_FAULT_POINT={spec}: the points are {', '.join(FaultPoint)}, as in decided@3") from None
    file = marker(data_dir, worker, spec)
    if not file.exists():
        _armed[point] = _Death(passes, file)


def watch(point: FaultPoint, action: Callable[[], None] | None) -> None:
    """Call something at every pass of a point, None: nothing any more. For a test that keeps many workers in itself."""
    if action is None:
        _armed.pop(point, None)
    else:
        _armed[point] = action


def reach(point: FaultPoint) -> None:
    """Say that the process has come to a point; end it there if it was armed for it."""
    if _armed and (action := _armed.get(point)) is not None:
        action()
