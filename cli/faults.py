"""Faults on request: parts of the line killed or taken away while captures come in, one after the other."""

from __future__ import annotations

import asyncio
import enum
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Disturbances:
    """What was done to the line so far: outages explain undetermined captures, takeovers are measured after kills."""

    outages: list[Outage] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)


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


async def disturb(parts: Parts, faults: Sequence[Fault], done: Disturbances, *, say: Callable[[str], None]) -> None:
    """Do the faults in their order and note in `done` what was done and when.

    Cancelled while a part is away, it starts the part again before it gives up.
    """
    for number, fault in enumerate(faults):
        await asyncio.sleep(FIRST_AFTER_S if number == 0 else RECOVERY_S)
        if fault is Fault.INSPECTOR_KILL:
            await _kill(parts, done, say)
        else:
            await _take_away(parts, STOPPED[fault], done, say)
    if faults:
        await asyncio.sleep(RECOVERY_S)


async def _kill(parts: Parts, done: Disturbances, say: Callable[[str], None]) -> None:
    say(f"kill -9 {VICTIM}")
    at_ms = _now_ms()
    await asyncio.to_thread(parts.kill, VICTIM, signal.SIGKILL)
    done.kills.append(Kill(VICTIM, at_ms))
    done.outages.append(Outage(f"{VICTIM} was killed", at_ms, at_ms + round(RECOVERY_S * 1000)))


async def _take_away(parts: Parts, names: Sequence[str], done: Disturbances, say: Callable[[str], None]) -> None:
    say(f"stopping {' and '.join(names)} for {AWAY_S:.0f} s")
    began_ms = _now_ms()
    try:
        await asyncio.gather(*(asyncio.to_thread(parts.stop, name) for name in names))
        await asyncio.sleep(AWAY_S)
    finally:
        say(f"starting {' and '.join(names)} again")
        await asyncio.gather(*(asyncio.to_thread(parts.start, name) for name in names))
        done.outages.append(Outage(f"{names[0]} was stopped", began_ms, _now_ms() + round(CATCH_UP_S * 1000)))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
