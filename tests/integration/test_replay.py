"""Replay of what the real script recorded and the real broker kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import pytest

from budget.config import BudgetConfig
from budget.heads import render_head
from budget.sample import Trial
from cli.here import Line
from cli.replay import exact
from cli.replay.exact import Replayed
from cli.replay.gather import Configurations, Range, Records
from cli.replay.tally import sample, tally
from cli.replay.whatif import Changes, Wanted, compare
from deploy.local.parts import Parts
from evidence.calibration import Calibration
from evidence.fusion import fuse
from schemas.codec import decode, encode
from schemas.faults import Fatal
from schemas.messages import Decision, DecisionHead, Evidence, Identity, Versions
from schemas.words import MICRO, Divert, IdentityMethod, Pattern, Severity, Verdict
from streams.outbox import Outbox
from streams.topics import Entity, create_topics, topic

DATABASE = 12  # of its own beside what other tests keep on the same server
CAPTURES = 700
VERDICT_AFTER = 15  # captures
CONFIG = BudgetConfig(
    alpha_ppm=10_000,
    burst_tokens=4,
    reserve=1,
    audit_ppm=50_000,
    beta_ppm=300_000,
    burst_diverts=60,
    verdict_delay_ms=100,
    captures_per_s=50.0,
)
CALIBRATION = Calibration.load()


@dataclass
class Recorded:
    """A site that decided captures and was told about them, all of it on its topics."""

    parts: Parts
    trial: Trial
    outbox: Outbox
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    decisions: list[bytes] = field(default_factory=list)
    waiting: list[tuple[str, Verdict]] = field(default_factory=list)

    @property
    def line(self) -> Line:
        """The line whose topics these are."""
        return Line(self.parts.endpoints(), self.parts.folder)

    async def play(self, captures: int) -> None:
        """Decide captures one by one; people answer some captures later."""
        for _ in range(captures):
            await self._decide()
            if len(self.waiting) > VERDICT_AFTER:
                await self._judge(*self.waiting.pop(0))
        await self.publish(self.trial.name, self.decisions)

    async def publish(self, site: str, values: list[bytes]) -> None:
        """Put decisions on a site's topic."""
        name = topic(Entity.DECISIONS, site)
        keys = [decode(Decision, value).capture_id.encode() for value in values]
        await asyncio.gather(
            *(self.outbox.send(name, key=key, value=value, headers=[]) for key, value in zip(keys, values, strict=True))
        )

    async def replay(self, site: str, calibrations: dict[str, Calibration]) -> Replayed:
        """Replay what lies on a site's topic under the configurations of this one."""
        records = Records(self.line, site, lambda _stage, _done, _of: None)
        return await exact.replay(
            site, records, Configurations(self.trial.store, self.trial.name), calibrations, Range()
        )

    async def _decide(self) -> None:
        rng = self.rng
        damaged, conflict = rng.random() < 0.05, rng.random() < 0.03
        request = self.trial.line.request(now_ms=self.trial.now_ms())
        evidence = Evidence(
            pattern=Pattern.CLASSIFIER if conflict else Pattern.GALLERY_BY_IMAGE,
            classifier=round(rng.gauss(5e6 if damaged else -3e6, 2e6)),
            severity=Severity.MAJOR if damaged else Severity.NONE,
            major=damaged,
            discrepancy=None if conflict else rng.randrange(10**6),
        )
        identity = Identity(
            product_id="p", method=IdentityMethod.IMAGE, confidence_ppm=rng.randrange(MICRO), conflict=conflict
        )
        draw_ppm, offset = rng.randrange(MICRO), rng.choice([None, 250_000])
        head = DecisionHead(
            capture_id=request.capture_id,
            site=request.site,
            line=request.line,
            station="station-1",
            unit_id=request.unit_id,
            captured_at=datetime.now(UTC),
            identity=identity,
            evidence=evidence,
            versions=Versions(software="0.1.0", classifier="c", embedding="e", fusion=CALIBRATION.version),
            score_offset=offset,
            audit_draw_ppm=draw_ppm,
        )
        record = await self.trial.store.decide(
            replace(
                request,
                score=fuse(evidence, identity, CALIBRATION) + (offset or 0),
                major=evidence.major,
                identity_conflict=conflict,
                audit_draw_ppm=draw_ppm,
                fusion_version=CALIBRATION.version,
                decision_head=render_head(head),
            )
        )
        self.decisions.append(record.decision)
        if decode(Decision, record.decision).divert is not Divert.NONE:
            self.waiting.append((request.capture_id, Verdict.DAMAGED if damaged else Verdict.SELLABLE))

    async def _judge(self, capture_id: str, verdict: Verdict) -> None:
        disposition = self.trial.line.disposition(verdict, capture_id=capture_id)
        await self.trial.store.settle(disposition)
        name = topic(Entity.DISPOSITIONS, self.trial.name)
        await self.outbox.send(name, key=capture_id.encode(), value=encode(disposition), headers=[])


@pytest.fixture
async def recorded(parts: Parts, unique: str) -> AsyncIterator[Recorded]:
    """A site with a history, and a second site whose topics are empty."""
    endpoints = parts.endpoints()
    url = endpoints.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"
    trial = await Trial.open(url, unique, CONFIG)
    await create_topics(endpoints.kafka_bootstrap, [unique, f"{unique}-copy"], partitions=4)
    outbox = Outbox(endpoints.kafka_bootstrap, client_id="test")
    yield Recorded(parts, trial, outbox)
    await outbox.close()
    await trial.close()


AT_HAND = {CALIBRATION.version: CALIBRATION}


class TestExact:
    """Bit for bit, or named."""

    async def test_a_history_is_equal_until_a_record_is_changed(self, recorded: Recorded) -> None:
        """Through a change of configuration; a copy of the topic with one record changed names that one."""
        await recorded.play(CAPTURES // 2)
        await recorded.trial.configure(alpha_ppm=20_000, floor=-6 * MICRO)
        await recorded.play(CAPTURES // 2)
        site = recorded.trial.name

        found = await recorded.replay(site, AT_HAND)

        assert [] == list(found.faults())
        assert (CAPTURES, CAPTURES, 0) == (found.equal, found.scored, found.partial)
        assert CAPTURES // 2 == found.again  # the first half was published twice
        diverts = {decode(Decision, raw).divert for raw in recorded.decisions}
        assert {Divert.NONE, Divert.DAMAGE, Divert.AUDIT, Divert.IDENTITY} == diverts

        number = next(at for at, raw in enumerate(recorded.decisions) if b'"divert":"damage"' in raw)
        stopped = decode(Decision, recorded.decisions[number])
        tampered = encode(msgspec.structs.replace(stopped, score=(stopped.score or 0) + 1))
        copy = [*recorded.decisions[:number], tampered, *recorded.decisions[number + 1 :]]
        await recorded.publish(f"{site}-copy", copy)

        again = await recorded.replay(f"{site}-copy", AT_HAND)

        assert [stopped.capture_id] == list(again.unequal)
        assert not again.holds
        assert "score" in next(again.faults())

    async def test_two_values_of_one_capture_are_named(self, recorded: Recorded) -> None:
        """As P2 forbids them."""
        await recorded.play(20)
        other = encode(msgspec.structs.replace(decode(Decision, recorded.decisions[3]), unit_id="another"))
        await recorded.publish(recorded.trial.name, [other])
        found = await recorded.replay(recorded.trial.name, AT_HAND)
        assert [decode(Decision, other).capture_id] == found.twice
        assert not found.holds

    async def test_a_version_that_is_not_at_hand_is_named(self, recorded: Recorded) -> None:
        """With the number of records that need it, and nothing is skipped."""
        await recorded.play(20)
        with pytest.raises(Fatal, match=f"{CALIBRATION.version} of 20 records.*--fusions"):
            await recorded.replay(recorded.trial.name, {})


class TestWhatIf:
    """The recorded sequence under another budget."""

    async def test_a_larger_alpha_catches_no_less(self, recorded: Recorded) -> None:
        """And the simulation without a change goes nearly as the line went."""
        await recorded.play(CAPTURES)
        records = Records(recorded.line, recorded.trial.name, lambda _stage, _done, _of: None)
        changes = Changes(settings=("alpha_ppm=40000", "burst_tokens=12"))
        wanted = Wanted(recorded.line, recorded.trial.name, Range(), changes, AT_HAND)
        configs = Configurations(recorded.trial.store, recorded.trial.name)

        compared = await compare(wanted, records, configs, lambda _stage, _done, _of: None)

        drawn = sample(compared.rows, compared.labels)
        on_record, unchanged, changed = (tally(compared.rows, way, compared.labels, drawn) for way in compared.ways)
        assert CAPTURES == len(compared.rows)
        assert compared.agreeing > 0.97
        assert changed.caught >= unchanged.caught > 0
        assert changed.diverts[Divert.DAMAGE] > on_record.diverts[Divert.DAMAGE]
        assert changed.unconfirmed <= changed.allowed
