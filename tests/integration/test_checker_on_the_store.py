"""The run's checker against the real decision script, and against copies of it with one mistake each.

What the store records is laid out as topics would hold it, so nothing but the script is in question.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from budget.config import BudgetConfig
from budget.link import script_text
from budget.sample import Trial
from cli.checker.charge import Charge, Known
from cli.checker.check import check
from cli.checker.findings import Finding, Rule
from cli.checker.reading import read
from cli.checker.tokens import Accounts
from cli.run import terms_of
from cli.tape import Tape
from deploy.local.endpoints import Endpoints
from schemas.codec import cloud_headers, decode, encode
from schemas.messages import Capture, Decision, Message, View
from schemas.words import MICRO, Divert, Verdict
from streams.delivery import Delivery
from streams.topics import Entity, topic

DATABASE = 10  # of its own beside what other tests keep on the same server
CAPTURES = 400
VERDICT_AFTER = 12  # captures
CONFIG = BudgetConfig(
    alpha_ppm=20_000,
    burst_tokens=5,
    reserve=0,
    audit_ppm=10_000,
    beta_ppm=100_000,
    burst_diverts=40,
    verdict_delay_ms=1_000,
)
# The mistake, what is changed in decision.lua, into what.
MISTAKES = {
    "skipped debit": ("      debit(purse[divert])\n", ""),
    "double debit": ("      debit(purse[divert])\n", "      debit(purse[divert])\n      debit(purse[divert])\n"),
    "token returned for a false alarm": ("            destroy(held)\n", "            give_back(held)\n"),
    "refill doubled": ("    refill(purse.damage)\n", "    refill(purse.damage)\n    refill(purse.damage)\n"),
    "number given twice": (
        "    budget.seq = budget.seq + 1\n",
        "    budget.seq = budget.seq + 1 - (budget.seq == 99 and 1 or 0)\n",
    ),
}


@dataclass
class Topics:
    """What would lie on the site's topics."""

    site: str
    records: dict[Entity, list[Delivery]] = field(default_factory=lambda: {entity: [] for entity in Entity})

    def put(self, entity: Entity, key: str, value: bytes | None) -> None:
        """Lay a record down."""
        records = self.records[entity]
        headers = cloud_headers(entity=entity.value, event_id=key, source="/test", time="2027-01-15T08:00:00Z")
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        name = topic(entity, self.site)
        records.append(Delivery(name, 0, len(records), key.encode(), value, tuple(headers), now_ms))

    def tape(self) -> Tape:
        """Return them as they would be read back."""
        wanted = (Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.DEAD)
        return Tape(*(tuple(self.records[entity]) for entity in wanted))


def capture_of(decision: Decision) -> Message:
    """Return the capture that a decision answers."""
    return Capture(
        capture_id=decision.capture_id,
        site=decision.site,
        line=decision.line,
        station=decision.station,
        unit_id=decision.unit_id,
        captured_at=decision.captured_at,
        views=[View(uri="file:///images/1.jpg", sha256="0" * 64, size=1)],
    )


async def judged_flood(url: str, site: str, *, script: str | None = None) -> list[Finding]:
    """Raise most scores of a site, give every stop a verdict, and return what the checker finds."""
    rng = random.Random(5)
    trial = await Trial.open(url, site, CONFIG, script=script)
    topics, truth = Topics(site), dict[str, Known]()
    waiting: list[tuple[int, str]] = []

    async def judge(capture_id: str) -> None:
        verdict = Verdict.DAMAGED if truth[capture_id].damaged else Verdict.SELLABLE
        said = trial.line.disposition(verdict, capture_id=capture_id)
        topics.put(Entity.DISPOSITIONS, capture_id, encode(said))
        await trial.store.settle(said)

    try:
        for number in range(CAPTURES):
            damaged = rng.random() < 0.1
            score = round(rng.gauss(6 if damaged else 3, 1) * MICRO)
            record = await trial.decide(score, audit_draw_ppm=rng.randrange(MICRO))
            decision = decode(Decision, record.decision)
            truth[decision.capture_id] = Known(damaged=damaged)
            topics.put(Entity.CAPTURES, decision.unit_id, encode(capture_of(decision)))
            topics.put(Entity.DECISIONS, decision.capture_id, record.decision)
            if decision.divert is not Divert.NONE:
                topics.put(Entity.SIDELINED, decision.capture_id, record.sidelined)
                waiting.append((number, decision.capture_id))
            while waiting and waiting[0][0] + VERDICT_AFTER <= number:
                await judge(waiting.pop(0)[1])
        for _, capture_id in waiting:
            await judge(capture_id)
        state = await trial.store.state(site)
    finally:
        await trial.close()
    terms = terms_of(CONFIG)
    charge = Charge(
        truth, terms, flood=True, opening=Accounts(terms.burst, 0), closing=Accounts(state.balance, state.pending)
    )
    return check(read(topics.tape()), charge)


@pytest.fixture
def store_url(servers: Endpoints) -> str:
    """Where the session's decision store is, in a database of this file's own."""
    return servers.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"


class TestCheckerOnTheStore:
    """A checker that cannot fail proves nothing."""

    async def test_the_script_itself_passes(self, store_url: str, unique: str) -> None:
        """On the script as it is, in a flood, the checker finds nothing: the cap binds, is used, and holds."""
        assert [] == await judged_flood(store_url, unique)

    @pytest.mark.parametrize("mistake", MISTAKES)
    async def test_a_planted_mistake_is_found(self, store_url: str, unique: str, mistake: str) -> None:
        """Each mistake is found in what the store recorded."""
        right, wrong = MISTAKES[mistake]
        text = script_text()
        assert 1 == text.count(right)

        found = {finding.rule for finding in await judged_flood(store_url, unique, script=text.replace(right, wrong))}

        assert (Rule.SEQ if mistake == "number given twice" else Rule.TOKENS) in found
