"""Every fault point visited under load: a worker dies exactly there, once, and the line goes on as if nothing were."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.scenarios import FLOOD_OFFSET
from schemas.faults import Fatal
from streams.fault_points import FaultPoint, marker
from tests.chaos.acts import Hands
from tests.chaos.measure import Happened
from tests.chaos.stage import Say, Stage
from tests.chaos.traffic import now_ms

INSPECTORS: Final = ("inspector-1", "inspector-2", "inspector-3", "inspector-4")
VISITED_WITHIN_S: Final = 60.0
P: Final = FaultPoint
# Who dies where, some workers at a time. A rebalance is under way whenever several of them start or die.
VISITS: Final[tuple[Mapping[str, FaultPoint], ...]] = (
    {"inspector-1": P.DELIVERED, "inspector-2": P.LOOKED, "inspector-3": P.FETCHED, "inspector-4": P.INFERRED,
     "tracker": P.SCAN_KEPT, "settler": P.SETTLED, "curator": P.HEARD},
    {"inspector-1": P.INVESTIGATED, "inspector-2": P.DECIDED, "inspector-3": P.PARTLY_SENT, "inspector-4": P.HANDLED,
     "curator": P.ENROLLED},
    {"inspector-1": P.ACKNOWLEDGED, "inspector-2": P.REJECTED, "inspector-3": P.BURIED, "inspector-4": P.REVOKING,
     "curator": P.EMBEDDED},
    {"inspector-1": P.DRAINED, "inspector-2": P.COMMITTED, "inspector-3": P.STOPPING, "inspector-4": P.STOPPED},
)  # fmt: skip
PASSES: Final = {FaultPoint.HANDLED: 5, FaultPoint.ACKNOWLEDGED: 5, FaultPoint.DECIDED: 3}  # not the very first one
ON_STOP: Final = frozenset({FaultPoint.STOPPING, FaultPoint.STOPPED})


@dataclass
class Visits:
    """Kills workers at their points, and knows where one has died."""

    stage: Stage
    died: dict[FaultPoint, str] = field(default_factory=dict)  # point -> worker

    async def pay(self, hands: Hands, happened: list[Happened], say: Say) -> None:
        """Visit every point."""
        await asyncio.to_thread(
            self.stage.parts.start_workers,
            inspectors=len(INSPECTORS),
            env=dict(self.stage.env),
            say=lambda _words: None,
        )
        for number, batch in enumerate(VISITS):
            say(", ".join(f"{worker} at {point.value}" for worker, point in batch.items()))
            from_ms = now_ms()
            await self._batch(hands, batch)
            happened.append(Happened(number, " ".join(point.value for point in batch.values()), from_ms, now_ms()))
        from_ms = now_ms()
        await asyncio.to_thread(
            self.stage.parts.start_workers, inspectors=2, env=dict(self.stage.env), say=lambda _words: None
        )
        happened.append(Happened(len(VISITS), "two inspectors again", from_ms, now_ms()))

    async def _batch(self, hands: Hands, batch: Mapping[str, FaultPoint]) -> None:
        specs = {worker: f"{point.value}@{PASSES.get(point, 1)}" for worker, point in batch.items()}
        files = {worker: marker(self._data_dir, worker, spec) for worker, spec in specs.items()}
        for file in files.values():
            file.unlink(missing_ok=True)
        # Every score is raised, so that units are sidelined, judged and proposed to the gallery.
        raised = {"SIDELINE_SCORE_OFFSET": str(FLOOD_OFFSET)}
        await asyncio.gather(
            *(self.stage.again(worker, {**raised, "SIDELINE_FAULT_POINT": spec}) for worker, spec in specs.items())
        )
        deadline = time.monotonic() + VISITED_WITHIN_S
        while waiting := [worker for worker, file in files.items() if not file.exists()]:
            if time.monotonic() > deadline:
                raise AssertionError(f"not visited within {VISITED_WITHIN_S:g} s: {[specs[one] for one in waiting]}")
            await hands.traffic.broken(2)
            await hands.traffic.enrol()
            await hands.traffic.judge()
            for worker in waiting:
                if batch[worker] in ON_STOP and await self._is_ready(worker):
                    with contextlib.suppress(Fatal):  # it dies of the signal, and is started again
                        await asyncio.to_thread(self.stage.parts.kill, worker, 15)
            await asyncio.sleep(0.5)
        self.died |= {point: worker for worker, point in batch.items()}

    async def _is_ready(self, worker: str) -> bool:
        return any(one.name == worker and one.healthy for one in await asyncio.to_thread(self.stage.parts.status))

    @property
    def _data_dir(self) -> Path:
        return self.stage.parts.folder.root / "faust"
