"""From a verdict to the gallery and back, through the running line: proposed, contradicted, withdrawn, found again."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from budget.store import DecisionStore
from cli import gallery as commands
from cli.here import Line
from gallery.facts import Facts, State
from gallery.store import GalleryStore
from schemas.faults import Fatal
from schemas.messages import Capture, Decision, Disposition, Product, Reference, Scan
from schemas.words import MICRO, Divert, Verdict
from streams.topics import Entity
from tests.integration.line.running import LIMIT_S, LINE, SITE, RunningLine, picture


@dataclass(slots=True)
class Shop:
    """A product of one test on the running line, every pass of which goes to a person."""

    line: RunningLine
    store: DecisionStore
    gallery: GalleryStore
    product_id: str

    async def enrol(self) -> str:
        """Enrol a reference of the product, as a catalogue does, and wait for it."""
        name = f"ref-{self.product_id}"
        view = self.line.store_picture(picture(self.product_id))
        await self.line.send(Entity.PRODUCTS, Product(product_id=self.product_id), site=None)
        reference = Reference(
            reference_id=name, product_id=self.product_id, views=[view], source="studio", enrolled_at=datetime.now(UTC)
        )
        await self.line.send(Entity.REFERENCES, reference, site=None)
        await self.until(name, lambda facts: facts.state is State.TRUSTED)
        return name

    async def stopped(self) -> Decision:
        """Send a capture of the product that is audited, and return its decision."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:  # the index may not have the product yet
            capture: Capture = self.line.capture(self.line.store_picture(picture(f"{self.product_id}{uuid.uuid4()}")))
            scan = Scan(
                scan_id=f"scan-{capture.unit_id}"[:64],
                site=SITE,
                line=LINE,
                station="scanner",
                unit_id=capture.unit_id,
                scanned_at=datetime.now(UTC),
                code=self.product_id,
            )
            await self.line.send(Entity.SCANS, scan)
            await self.line.send(Entity.CAPTURES, capture)
            decision = (await self.line.decisions([capture]))[capture.capture_id][0]
            if decision.divert is not Divert.NONE and decision.identity and decision.identity.product_id:
                return decision
        raise AssertionError("no capture of the product was stopped")

    async def say(self, decision: Decision, verdict: Verdict, *, who: str = "ann") -> None:
        """Judge a capture."""
        disposition = Disposition(
            disposition_id=f"{who}-{uuid.uuid4()}",
            site=SITE,
            associate_id=who,
            judged_at=datetime.now(UTC),
            verdict=verdict,
            capture_id=decision.capture_id,
            unit_id=decision.unit_id,
        )
        await self.line.send(Entity.DISPOSITIONS, disposition)

    async def until(self, reference_id: str, holds: Callable[[Facts], bool]) -> Facts:
        """Wait until a reference is known and stands as it should."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                facts = await self.gallery.facts(reference_id)
                if facts is not None and holds(facts):
                    return facts
                await asyncio.sleep(0.05)


@pytest.fixture
async def shop(line: RunningLine, unique: str) -> AsyncIterator[Shop]:
    """A product of this test's own; every pass is audited meanwhile."""
    store = DecisionStore(line.endpoints.redis_decisions_url, store_id=line.store_id)
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    before = (await store.state(SITE)).config
    await store.configure(
        SITE, msgspec.structs.replace(before, audit_ppm=MICRO, beta_ppm=MICRO, burst_diverts=before.burst_diverts * 10)
    )
    yield Shop(line, store, gallery, unique)
    await store.configure(SITE, before)
    await store.close()
    await gallery.close()


async def eventually(what: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(LIMIT_S):
        while not await what():
            await asyncio.sleep(0.05)


class TestFeedback:
    """A verdict reaches the gallery."""

    async def test_a_cleared_stop_becomes_a_candidate_and_a_revised_one_is_withdrawn(self, shop: Shop) -> None:
        """With the capture, the unit, and who cleared it; the contradiction is on record, too."""
        await shop.enrol()
        decision = await shop.stopped()
        name = f"capture.{decision.capture_id}"
        await shop.say(decision, Verdict.SELLABLE)
        facts = await shop.until(name, lambda facts: facts.state is State.CANDIDATE)

        assert (shop.product_id, decision.unit_id, "ann") == (facts.product_id, facts.unit_id, facts.associate_id)
        await shop.say(decision, Verdict.DAMAGED, who="bob")
        facts = await shop.until(name, lambda facts: facts.state is State.WITHDRAWN)
        assert "damaged by bob" == facts.why

    async def test_a_withdrawn_reference_is_out_of_every_decision_within_seconds(
        self, shop: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The command lists the decisions that were measured against it; soon after there are no more of them."""
        name = await shop.enrol()
        before = await shop.stopped()
        assert before.evidence is not None
        assert [name] == before.evidence.references
        line = Line(shop.line.endpoints, shop.line.parts.folder)
        await commands._withdraw(line, name, "ann: torn")
        withdrawn = time.monotonic()

        assert before.capture_id in capsys.readouterr().out
        assert "ann: torn" == (await shop.until(name, lambda facts: facts.state is State.WITHDRAWN)).why

        async def unused() -> bool:
            evidence = (await shop.stopped()).evidence
            return evidence is not None and name not in evidence.references

        await eventually(unused)
        assert time.monotonic() - withdrawn < LIMIT_S / 2

    async def test_a_person_may_let_a_reference_in(self, shop: Shop) -> None:
        """A candidate, on the word of whoever does it; what is in already is said to be."""
        await shop.enrol()
        decision = await shop.stopped()
        name = f"capture.{decision.capture_id}"
        await shop.say(decision, Verdict.SELLABLE)
        await shop.until(name, lambda facts: facts.state is State.CANDIDATE)
        line = Line(shop.line.endpoints, shop.line.parts.folder)
        await commands._promote(line, name, "ann: seen at the vendor's")

        facts = await shop.until(name, lambda facts: facts.state is State.TRUSTED)
        assert "ann: seen at the vendor's" == facts.source
        with pytest.raises(Fatal, match="trusted already"):
            await commands._promote(line, name, "ann: again")
        with pytest.raises(Fatal, match="knows no reference"):
            await commands._withdraw(line, "nothing", "ann: wrong")
