"""The people at the sideline station: they look at every diverted unit and say what it is, a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from zlib import crc32

import structlog
from aiokafka import AIOKafkaConsumer

from booth.draws import Domain, draws
from booth.wire import Sender
from booth.world import Truth
from schemas.codec import decode
from schemas.faults import Poison
from schemas.messages import Disposition, Sidelined
from schemas.words import DamageKind, Divert, Severity, Verdict
from streams import connection
from streams.topics import Entity, topic

_TRUTH_WITHIN_S: Final = 5.0  # a decision may be faster than the acknowledgement that tells the booth of its capture

log = structlog.get_logger(__name__)


Lies = Callable[[str, Truth], bool]  # tells whether a person clears a unit whatever it is


def honest(_who: str, _truth: Truth) -> bool:
    """Lie about nothing."""
    return False


class Associate:
    """Answers each capture on the sidelined topic once, from the truth; wrongly at `error_rate`.

    Several units are looked at side by side: the delay is that of one verdict, not of a queue. What was sidelined
    before `work` began is somebody else's. Of several `people` each takes their share of the units, whichever come.
    """

    def __init__(
        self,
        *,
        kafka_bootstrap: str,
        site: str,
        truth: Callable[[str], Truth | None],
        delay_s: float = 1.5,
        error_rate: float = 0.0,
        seed: int,
        people: Sequence[str] = ("associate-1",),
        lies: Lies = honest,
    ) -> None:
        self._bootstrap = kafka_bootstrap
        self._site = site
        self._truth = truth
        self._delay_s = delay_s
        self._error_rate = error_rate
        self._seed = seed
        self._people = tuple(people)
        self._lies = lies

    async def work(self) -> None:
        """Look and answer until cancelled."""
        consumer = AIOKafkaConsumer(
            topic(Entity.SIDELINED, self._site),
            **connection.arguments(self._bootstrap),
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        async with Sender(self._bootstrap, source=f"/booth/{self._site}/station") as sender:
            await consumer.start()
            await consumer.seek_to_end()
            try:
                async with asyncio.TaskGroup() as group:
                    seen: set[str] = set()
                    async for record in consumer:
                        try:
                            stop = decode(Sidelined, record.value)
                        except Poison as fault:
                            log.warning("sidelined event not understood", error=str(fault))
                            continue
                        if stop.capture_id not in seen:  # the line may send one event again
                            seen.add(stop.capture_id)
                            group.create_task(self._answer(sender, stop))
            finally:
                await consumer.stop()

    async def _answer(self, sender: Sender, stop: Sidelined) -> None:
        await asyncio.sleep(self._delay_s)
        truth = await self._known(stop.capture_id)
        if truth is None:
            log.warning("a unit was sidelined that this booth never sent", capture_id=stop.capture_id)
            return
        now = datetime.now(UTC)
        who = self._people[crc32(stop.capture_id[::-1].encode()) % len(self._people)]
        verdict = Verdict.SELLABLE if self._lies(who, truth) else self.judge(stop, truth)
        found = truth.damaged and verdict is Verdict.DAMAGED
        answer = Disposition(
            disposition_id=f"{who}.{stop.capture_id}"[:64],
            site=self._site,
            associate_id=who,
            judged_at=now,
            verdict=verdict,
            capture_id=stop.capture_id,
            unit_id=stop.unit_id,
            kinds=list(truth.kinds) if found else [DamageKind.SUPERFICIAL] * (verdict is Verdict.DAMAGED),
            severity=truth.severity if found else _severity(verdict),
        )
        await sender.send(
            topic(Entity.DISPOSITIONS, self._site),
            stop.unit_id,
            answer,
            entity="disposition",
            event_id=answer.disposition_id,
            at=now,
        )

    def judge(self, stop: Sidelined, truth: Truth) -> Verdict:
        """Say what a person finds: the same for the same capture, seed and truth.

        A person holds the unit: damage is damage, whatever it was stopped for; where it is whole, a stop for its
        identity is right if its label is of another product.
        """
        chance = draws(Domain.PERSON, self._seed, crc32(stop.capture_id.encode())).random()
        mistaken = bool(chance < self._error_rate)
        if truth.damaged:
            return Verdict.SELLABLE if mistaken else Verdict.DAMAGED
        if stop.divert is Divert.IDENTITY and truth.wrong_label:
            return Verdict.SELLABLE if mistaken else Verdict.WRONG_ITEM
        return Verdict.DAMAGED if mistaken else Verdict.SELLABLE

    async def _known(self, capture_id: str) -> Truth | None:
        """Return the truth of a capture, as soon as the booth has it."""
        deadline = asyncio.get_running_loop().time() + _TRUTH_WITHIN_S
        while (truth := self._truth(capture_id)) is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
        return truth


def _severity(verdict: Verdict) -> Severity:
    return Severity.MINOR if verdict is Verdict.DAMAGED else Severity.NONE
