"""The bytes that the store's script writes are the contract that consumers read."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budget.config import BudgetConfig
from budget.records import Record
from budget.sample import Trial
from deploy.local.endpoints import Endpoints
from schemas.messages import Decision, Sidelined
from schemas.words import MICRO, Action, Divert, Outcome
from tests.contract.contract_files import Json, closed_validator

DATABASE = 8  # of its own beside what other tests keep on the same server
DAMAGED = 3 * MICRO
CASES: dict[str, tuple[dict[str, Any], Action, Divert]] = {
    "pass": ({"score": -DAMAGED}, Action.PASS, Divert.NONE),
    "damage": ({"score": DAMAGED, "major": True}, Action.SIDELINE, Divert.DAMAGE),
    "identity": ({"score": -DAMAGED, "identity_conflict": True}, Action.SIDELINE, Divert.IDENTITY),
    "audit": ({"score": -DAMAGED, "audit_draw_ppm": 0}, Action.PASS, Divert.AUDIT),
    "undetermined": ({"ask": Outcome.UNDETERMINED, "score": None, "reason": "triton_away"}, Action.NONE, Divert.NONE),
    "undetermined with a score": ({"decide_by_ms": 1_000, "score": DAMAGED}, Action.NONE, Divert.NONE),
    "rejected": ({"ask": Outcome.REJECTED, "score": None, "reason": "view_missing"}, Action.NONE, Divert.NONE),
    "awkward reason": (
        {"ask": Outcome.UNDETERMINED, "score": None, "reason": '"\\\n\u2028ß'},
        Action.NONE,
        Divert.NONE,
    ),
}


@pytest.fixture
async def site(servers: Endpoints, unique: str) -> AsyncIterator[Trial]:
    """A site whose budgets are full and whose audits are drawn."""
    config = BudgetConfig(
        burst_tokens=3, reserve=0, burst_identity=3, start_threshold=0, audit_ppm=1_000, verdict_delay_ms=1_000
    )
    trial = await Trial.open(f"{servers.redis_decisions_url.rsplit('/', 1)[0]}/{DATABASE}", unique, config)
    yield trial
    await trial.close()


def only_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make an object of its names and values, refusing a name that comes twice."""
    assert len(pairs) == len(dict(pairs)), pairs
    return dict(pairs)


def parsed(raw: bytes) -> Json:
    """Return a record as any consumer's parser reads it."""
    return json.loads(raw, object_pairs_hook=only_once, parse_float=lambda text: pytest.fail(f"{text} is no integer"))


class TestRecords:
    """Every kind of outcome."""

    @pytest.mark.parametrize("case", CASES)
    async def test_they_are_valid_and_closed(self, site: Trial, case: str) -> None:
        """Integers only, no name twice, no field and no value beyond the published schema, times in UTC."""
        changes, action, divert = CASES[case]
        record: Record = await site.decide(**changes)
        decision = parsed(record.decision)
        closed_validator(Decision).validate(decision)
        assert (action, divert) == (decision["action"], decision["divert"])
        for name in ("captured_at", "decide_by", "decided_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", decision[name])
        assert (divert is not Divert.NONE) == (record.sidelined is not None)
        if record.sidelined is not None:
            sidelined = parsed(record.sidelined)
            closed_validator(Sidelined).validate(sidelined)
            shared = sidelined.keys() & decision.keys()
            assert {name: decision[name] for name in shared} == {name: sidelined[name] for name in shared}
