"""Planted mistakes on the full line: both inspectors run with one, the fault that shows it happens, sound ones go on.

Whatever the mistake did lies on the topics and in the store by then, where the judgement of the round must find it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from streams.fault_points import FaultPoint, marker
from tests.chaos.acts import Hands
from tests.chaos.core.planted import LINGER_S, Bug
from tests.chaos.measure import Happened
from tests.chaos.stage import INSPECTORS, Say
from tests.chaos.traffic import REMEMBERED, now_ms

MODULE: Final = "tests.chaos.planted_worker"
WORK_S: Final = 12.0  # with the mistake and without a fault: stops are made, captures from the bucket come
SLOW_HEADS: Final = 2  # Faust 0.15.3 does not commit past two missing offsets in a row, only past one
BEHIND_THEM: Final = 16
COMMITTED_AFTER_S: Final = 6.0  # Faust commits twice a second, but a busy machine needs time to answer what is behind
PATIENCE: Final = {"SIDELINE_DECIDE_WITHIN_S": "30"}  # so that heads are not given up before
DIED_WITHIN_S: Final = 30.0
DYING: Final = INSPECTORS[0], f"{FaultPoint.PARTLY_SENT.value}@5"
Trigger = Callable[[Hands], Awaitable[None]]


async def _slow_heads_and_kill(hands: Hands) -> None:
    """Pictures in the bucket hang, those on disk do not; what is committed past the hanging ones dies with them."""
    hands.stage.images.hang()
    try:
        now = datetime.now(UTC)
        await asyncio.gather(*(hands.traffic.send_like(place, at=now, in_bucket=True) for place in range(SLOW_HEADS)))
        await hands.traffic.broken(BEHIND_THEM)  # answered at once, by dead letters
        await asyncio.sleep(COMMITTED_AFTER_S)
        await _kill_both(hands)
    finally:
        hands.stage.images.flow()


async def _die_between_sending_and_recording(hands: Hands) -> None:
    """Wait until the inspector that was armed for it has died there."""
    name, spec = DYING
    file = marker(hands.stage.parts.folder.root / "faust", name, spec)
    async with asyncio.timeout(DIED_WITHIN_S):
        while not file.exists():
            await asyncio.sleep(0.2)


async def _kill_both(hands: Hands) -> None:
    """Kill -9, under load."""
    for name in INSPECTORS:
        await hands.stage.signal(name, signal.SIGKILL)


async def _resend(hands: Hands) -> None:
    """Stations send again what they have sent: stops among it."""
    await hands.traffic.resend(REMEMBERED)
    await asyncio.sleep(WORK_S)


# What shows each mistake. ADMIT_REVOKED needs deliveries that wait in Faust's buffer while a partition is given up with
# a head in work, which this load does not make: the schedules of tests/chaos/core show it.
TRIGGERS: Final[dict[Bug, Trigger]] = {
    Bug.ACK_ON_COMPLETION: _slow_heads_and_kill,
    Bug.EMIT_BEFORE_RECORD: _die_between_sending_and_recording,
    Bug.DEBIT_AGAIN: _resend,
    Bug.ACK_BEFORE_DELIVERY: _kill_both,
    Bug.DECIDE_AGAIN: _resend,
}


async def grow(bug: Bug, hands: Hands, happened: list[Happened], say: Say) -> None:
    """Run both inspectors with a mistake, let the fault happen that shows it, and put sound ones in their place."""
    stage, from_ms = hands.stage, now_ms()
    say(f"both inspectors have the mistake {bug.value}")
    marker(stage.parts.folder.root / "faust", *DYING).unlink(missing_ok=True)
    for name in INSPECTORS:
        dies = bug is Bug.EMIT_BEFORE_RECORD and name == DYING[0]
        env = {
            "SIDELINE_PLANTED_BUG": bug.value,
            "SIDELINE_FAULT_POINT": DYING[1] if dies else "",
            **(PATIENCE if bug is Bug.ACK_ON_COMPLETION else {}),
        }
        await stage.again(name, env, module=MODULE)
    await stage.ready(*INSPECTORS)
    await asyncio.sleep(WORK_S)
    await TRIGGERS[bug](hands)
    await asyncio.sleep(LINGER_S)
    await asyncio.to_thread(
        stage.parts.start_workers, inspectors=len(INSPECTORS), env=dict(stage.env), say=lambda _words: None
    )
    happened.append(Happened(0, bug.value, from_ms, now_ms()))
