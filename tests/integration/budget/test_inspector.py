"""An inspector on the real store: permissions to redrive and what their letters say, and what is said of being late."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from budget.records import Record
from budget.redrives import Rejected
from budget.sample import Trial
from evidence.calibration import DEFAULT_PATH, Calibration
from schemas.codec import encode, new_uuid7, read_dead_letter
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import Capture, DeadLetter, Evidence, Identity, View
from schemas.words import KINDS, MICRO, Outcome, Pattern
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, topic
from workers.answers import Answers, Findings, Served
from workers.findings import Investigator
from workers.inspector import Inspector
from workers.mailroom import Undertaker


class Kept(Outbox):
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__("nowhere", client_id="test")
        self.letters: list[DeadLetter] = []
        self.decisions = 0

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Keep a dead letter, and count what is none."""
        if "dead" in topic:
            self.letters.append(read_dead_letter(headers))
        else:
            self.decisions += 1


class Views(Investigator):
    """Evidence of views that are there or not."""

    def __init__(self, calibration: Calibration) -> None:
        """Miss them at first."""
        self.calibration = calibration
        self.missing = True
        self.busy_until = 0.0

    async def investigate(self, capture: Capture, *, append_ms: int) -> Findings:
        """Find the views, or do not."""
        if self.missing:
            raise Poison(Reason.VIEW_MISSING, "no such file")
        time.sleep(max(0.0, self.busy_until - time.time()))  # noqa: ASYNC251 - nothing else runs, so no one notices that the time is over
        kinds = [-3 * MICRO] * len(KINDS)
        return Findings(Evidence(pattern=Pattern.CLASSIFIER, classifier=-3 * MICRO, kinds=kinds), Identity())


@dataclass(slots=True)
class Bench:
    """One inspector and one capture."""

    site: Trial
    inspector: Inspector
    outbox: Kept
    views: Views
    breakers: Breakers

    def delivery(self, **changes: Any) -> Delivery:  # noqa: ANN401 - fields of many types
        """Deliver the capture."""
        now_ms = self.site.now_ms()
        known: dict[str, Any] = {
            "capture_id": new_uuid7(at_ms=now_ms, random_bits=7),
            "site": self.site.name,
            "line": "line-1",
            "station": "station-1",
            "unit_id": "unit-1",
            "captured_at": datetime.now(UTC),
            "views": [View(uri="file:///images/a.jpg", sha256="0" * 64, size=1)],
        }
        value = encode(Capture(**{**known, **changes}))
        return Delivery(topic(Entity.CAPTURES, self.site.name), 0, 1, b"unit-1", value, (), now_ms)

    async def handle(self, delivery: Delivery) -> None:
        """Handle it as the window does."""
        try:
            await self.inspector.inspect(delivery)
        except Poison as fault:
            await self.inspector.bury(delivery, fault)

    async def grant(self, delivery: Delivery) -> None:
        """Permit to work on it once more."""
        letter = self.outbox.letters[-1]
        record = await self.look(delivery)
        digest = hashlib.sha256(delivery.value or b"").hexdigest()
        assert letter.reason == record.reason
        await self.site.store.redrive(self.site.name, Rejected(record.capture_id, digest, record.decided_at))

    async def look(self, delivery: Delivery) -> Record:
        """Return what is on record."""
        value = (delivery.value or b"").decode()
        found = await self.site.store.look(self.site.name, value.partition('"capture_id":"')[2][:36])
        assert found is not None
        return found


@pytest.fixture
async def bench(site: Trial) -> Bench:
    """An inspector whose views are missing."""
    calibration = await asyncio.to_thread(Calibration.load, Path(__file__).parents[3] / DEFAULT_PATH)
    outbox, views, breakers = Kept(), Views(calibration), Breakers({"redis": site.store.verify})
    inspector = Inspector(
        settings=Settings(store_id=site.store_id, decide_within_s=600.0),
        sites={site.name: frozenset({"line-1"})},
        store=site.store,
        investigator=views,
        answers=Answers(calibration=calibration, served=Served("classifier:1", "embedding:1"), audit_key="key"),
        outbox=outbox,
        undertaker=Undertaker(outbox, entity="capture", worker="inspector-1"),
        breakers=breakers,
    )
    return Bench(site, inspector, outbox, views, breakers)


class TestPermission:
    """Under one, or not."""

    async def test_used_by_an_attempt_that_saw_it(self, bench: Bench) -> None:
        """It fails again: a new rejection that counts. It succeeds: a decision."""
        delivery = bench.delivery()
        await bench.handle(delivery)
        await bench.grant(delivery)
        await bench.handle(delivery)
        assert [0, 1] == [letter.redrives for letter in bench.outbox.letters]
        assert 2 == len({letter.failed_at for letter in bench.outbox.letters})
        await bench.grant(delivery)
        bench.views.missing = False
        await bench.handle(delivery)
        assert (1, 2, Outcome.DECIDED) == (
            bench.outbox.decisions,
            len(bench.outbox.letters),
            (await bench.look(delivery)).outcome,
        )

    async def test_not_used_by_one_that_found_the_rejection_before_it(self, bench: Bench) -> None:
        """A redelivery looks, somebody permits, it is buried: the letter is a copy, and the permission is there."""
        delivery = bench.delivery()
        await bench.handle(delivery)
        with pytest.raises(Poison) as caught:
            await bench.inspector.inspect(delivery)
        await bench.grant(delivery)
        await bench.inspector.bury(delivery, caught.value)
        first, copy = bench.outbox.letters
        assert (first.reason, first.failed_at, 0) == (copy.reason, copy.failed_at, copy.redrives)
        assert 1 == (await bench.look(delivery)).grant

    async def test_giving_up_counts(self, bench: Bench) -> None:
        """What fails for our reasons under a permission is rejected again, so that the limit holds for it, too."""
        delivery = bench.delivery()
        await bench.handle(delivery)
        await bench.grant(delivery)
        await bench.inspector.bury(delivery, Poison(Reason.GAVE_UP, "failed 3 times"))
        newest = bench.outbox.letters[-1]
        assert (Reason.GAVE_UP.value, 1) == (newest.reason, newest.redrives)
        assert (1, 0) == ((await bench.look(delivery)).redrives, (await bench.look(delivery)).grant)

    async def test_every_letter_of_a_rejection_says_the_same(self, bench: Bench) -> None:
        """Whatever went wrong with a later delivery: the outcome on record has one reason and one time."""
        delivery = bench.delivery()
        await bench.handle(delivery)
        await bench.inspector.bury(delivery, Poison(Reason.GAVE_UP, "failed 3 times"))
        assert 1 == len({(letter.reason, letter.failed_at) for letter in bench.outbox.letters})

    async def test_a_deadline_that_no_one_can_keep_is_looked_at_again_and_counts(self, bench: Bench) -> None:
        """It is refused after the look, not before it: a redrive of it is a try like any other."""
        delivery = bench.delivery(decide_by=datetime(9999, 12, 31, tzinfo=UTC))
        await bench.handle(delivery)
        await bench.grant(delivery)
        await bench.handle(delivery)
        told = [(letter.reason, letter.redrives) for letter in bench.outbox.letters]
        assert [(Reason.DEADLINE.value, 0), (Reason.DEADLINE.value, 1)] == told

    async def test_a_deadline_before_all_time_is_past(self, bench: Bench) -> None:
        """Undetermined, as any other that is over."""
        delivery = bench.delivery(decide_by=datetime(1, 1, 1, tzinfo=UTC))
        await bench.handle(delivery)
        assert Outcome.UNDETERMINED is (await bench.look(delivery)).outcome


class TestLate:
    """The deadline passes after the evidence is there and before the store hears of it."""

    @pytest.mark.parametrize(("away", "reason"), [(True, "redis_away"), (False, "late")])
    async def test_says_what_was_away_meanwhile(self, bench: Bench, *, away: bool, reason: str) -> None:
        """The store sees only that it is late; whoever asked knows why."""
        decide_by = datetime.now(UTC) + timedelta(seconds=1.5)
        bench.views.missing, bench.views.busy_until = False, decide_by.timestamp() + 0.05
        delivery = bench.delivery(decide_by=decide_by)
        if away:
            bench.breakers.trip(Retryable("redis", "no answer"))
            await bench.breakers.all_closed()
        await bench.handle(delivery)
        record = await bench.look(delivery)
        assert (Outcome.UNDETERMINED, reason, 1) == (record.outcome, record.reason, bench.outbox.decisions)
        assert 1 == (await bench.site.store.state(bench.site.name)).late
        await bench.breakers.close()
