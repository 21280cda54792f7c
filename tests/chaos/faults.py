"""Which faults there are, and how a run's faults are drawn from its seed."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import Final


class Kind(enum.StrEnum):
    """What can happen to a line."""

    INSPECTOR_KILL = "inspector-kill"  # kill -9
    INSPECTOR_FREEZE = "inspector-freeze"  # SIGSTOP for less than a session timeout
    INSPECTOR_ZOMBIE = "inspector-zombie"  # SIGSTOP for longer: it wakes when others have its partitions
    INSPECTOR_DISK_FULL = "inspector-disk-full"  # no file of it may grow
    ROLLING_RESTART = "rolling-restart"  # SIGTERM to one inspector after the other
    WORKER_JOINS = "worker-joins"  # two more inspectors come and go
    TRACKER_KILL = "tracker-kill"
    CURATOR_KILL = "curator-kill"
    SETTLER_KILL = "settler-kill"
    KAFKA_KILL = "kafka-kill"
    KAFKA_FREEZE = "kafka-freeze"
    KAFKA_DISK_FULL = "kafka-disk-full"
    REDIS_KILL = "redis-kill"
    REDIS_FREEZE = "redis-freeze"
    REDIS_SLOW = "redis-slow"  # every exchange takes longer
    REDIS_HANG = "redis-hang"  # connections stay open, nothing comes
    REDIS_DISK_FULL = "redis-disk-full"
    GALLERY_KILL = "gallery-kill"
    STORE_LOST = "store-lost"  # everything in the decision store is deleted; `sideline restore` mends it
    TRITON_KILL = "triton-kill"
    TRITON_SLOW = "triton-slow"
    TRITON_HANG = "triton-hang"
    STUB_KILL = "stub-kill"  # one model's process inside Triton
    IMAGES_SLOW = "images-slow"
    IMAGES_HANG = "images-hang"
    DUPLICATES = "duplicates"  # stations send again what they have sent
    REORDERED = "reordered"  # and in another order, late
    CLOCK_STEP = "clock-step"  # a station's clock is off by minutes to days
    REUSED_IDS = "reused-ids"  # two stations give different units the same capture id
    GARBAGE = "garbage"  # bytes that are no message


LASTS_S: Final[dict[Kind, tuple[float, float]]] = {  # shortest and longest; what is not named is over at once
    Kind.INSPECTOR_FREEZE: (1.0, 4.0),
    Kind.INSPECTOR_ZOMBIE: (8.0, 11.0),
    Kind.INSPECTOR_DISK_FULL: (3.0, 6.0),
    Kind.WORKER_JOINS: (6.0, 9.0),
    Kind.KAFKA_FREEZE: (2.0, 6.0),
    Kind.REDIS_FREEZE: (1.0, 6.0),
    Kind.REDIS_SLOW: (4.0, 8.0),
    Kind.REDIS_HANG: (2.0, 6.0),
    Kind.TRITON_SLOW: (4.0, 8.0),
    Kind.TRITON_HANG: (2.0, 6.0),
    Kind.IMAGES_SLOW: (4.0, 8.0),
    Kind.IMAGES_HANG: (4.0, 8.0),
}
# These need the line to themselves: they wait for workers to give up or come back.
ALONE: Final = frozenset({Kind.STORE_LOST, Kind.ROLLING_RESTART, Kind.WORKER_JOINS})
TOGETHER: Final = 0.25  # how often a fault comes while the one before it is not over
PAUSE_S: Final = (5.0, 9.0)  # of ordinary work before a fault


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a run. `draw` is its own random number, for whatever it still has to choose: a victim, an amount."""

    number: int
    kind: Kind
    pause_s: float  # since the fault before it ended, or began if `together`
    together: bool
    lasts_s: float
    draw: float


def drawn(count: int, seed: int, *, first: int = 0, kinds: tuple[Kind, ...] = tuple(Kind)) -> list[Fault]:
    """Return faults `first` to `first + count - 1` of a seed, always the same.

    The kinds are a shuffled deck, dealt anew when it is used up: a run of as many faults as there are kinds meets each
    of them, and none is rare.
    """
    rng = random.Random(f"chaos {seed}")
    faults: list[Fault] = []
    deck: list[Kind] = []
    for number in range(first + count):
        if not deck:
            deck = sorted(kinds)
            rng.shuffle(deck)
        kind = deck.pop()
        before = faults[-1].kind if faults else None
        chance, pause, lasts, own = (rng.random() for _ in range(4))
        together = chance < TOGETHER and before is not None and not {kind, before} & ALONE
        shortest, longest = LASTS_S.get(kind, (0.0, 0.0))
        faults.append(
            Fault(
                number=number,
                kind=kind,
                pause_s=1.0 if together else PAUSE_S[0] + pause * (PAUSE_S[1] - PAUSE_S[0]),
                together=together,
                lasts_s=shortest + lasts * (longest - shortest),
                draw=own,
            )
        )
    return faults[first:]
