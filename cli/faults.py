"""Faults on request: parts of the line killed or taken away while captures come in, one after the other."""

from __future__ import annotations

import asyncio
import enum
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cli.checker.charge import Outage
from deploy.local.parts import Parts
from schemas.faults import Fatal

FIRST_AFTER_S: Final = 6.0
AWAY_S: Final = 20.0
RECOVERY_S: Final = 18.0  # until the next fault: takeover, backlog, and a while of ordinary work
CATCH_UP_S: Final = 10.0  # after a part is back: what waited meanwhile is worked off, some of it too late
VICTIM: Final = "inspector-1"


class Fault(enum.StrEnum):
    """What can be done to a running line."""

    INSPECTOR_KILL = "inspector-kill"
    REDIS_STOP = "redis-stop"
    TRITON_STOP = "triton-stop"
    KAFKA_STOP = "kafka-stop"


STOPPED: Final = {
    Fault.REDIS_STOP: ("redis-decisions", "redis-gallery"),
    Fault.TRITON_STOP: ("triton",),
    Fault.KAFKA_STOP: ("kafka",),
}


@dataclass(frozen=True, slots=True)
class Kill:
    """An inspector killed without warning, at a Unix time in ms."""

    name: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Disturbances:
    """What was done to the line: outages that explain undetermined captures, and kills whose takeover is measured."""

    outages: tuple[Outage, ...] = ()
    kills: tuple[Kill, ...] = ()


def parse(text: str) -> tuple[Fault, ...]:
    """Read a list like `inspector-kill,redis-stop`.

    Raises:
        Fatal: naming the faults there are.
    """
    try:
        return tuple(Fault(word.strip()) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise Fatal(f"{error}; there are: {', '.join(Fault)}") from None


def lasts_s(faults: Sequence[Fault]) -> float:
    """Return how long captures must come in for all faults to fall among them."""
    away = sum(AWAY_S for fault in faults if fault in STOPPED)
    return FIRST_AFTER_S + away + RECOVERY_S * len(faults) if faults else 0.0


async def disturb(parts: Parts, faults: Sequence[Fault], *, say: Callable[[str], None]) -> Disturbances:
    """Do the faults in their order and return what was done and when."""
    outages: list[Outage] = []
    kills: list[Kill] = []
    for number, fault in enumerate(faults):
        await asyncio.sleep(FIRST_AFTER_S if number == 0 else RECOVERY_S)
        began_ms = _now_ms()
        if fault is Fault.INSPECTOR_KILL:
            say(f"kill -9 {VICTIM}")
            await asyncio.to_thread(parts.kill, VICTIM, signal.SIGKILL)
            kills.append(Kill(VICTIM, began_ms))
            outages.append(Outage(f"{VICTIM} was killed", began_ms, began_ms + round(RECOVERY_S * 1000)))
            continue
        names = STOPPED[fault]
        say(f"stopping {' and '.join(names)} for {AWAY_S:.0f} s")
        await asyncio.gather(*(asyncio.to_thread(parts.stop, name) for name in names))
        await asyncio.sleep(AWAY_S)
        say(f"starting {' and '.join(names)} again")
        await asyncio.gather(*(asyncio.to_thread(parts.start, name) for name in names))
        ended_ms = _now_ms() + round(CATCH_UP_S * 1000)
        outages.append(Outage(f"{names[0]} was stopped", began_ms, ended_ms))
    if faults:
        await asyncio.sleep(RECOVERY_S)
    return Disturbances(tuple(outages), tuple(kills))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
