"""The checkers see a planted mistake: each one below is a copy of decision.lua with one line changed."""

from __future__ import annotations

import random

import msgspec
import pytest

from budget.config import BudgetConfig, LineBudget
from budget.link import script_text
from budget.sample import Trial
from budget.windows import check_ledger, check_promises
from schemas.codec import decode
from schemas.messages import Decision
from schemas.words import Divert, Verdict

DEBIT = """local function debit(purse)
  purse.balance = purse.balance - TOKEN
  purse.pending = purse.pending + TOKEN
"""
DESTROY = """local function destroy(purse)
  purse.pending = purse.pending - TOKEN
"""
MISTAKES = {
    "skipped debit": ("      debit(purse[divert])\n", ""),
    "double debit": ("      debit(purse[divert])\n", "      debit(purse[divert])\n      debit(purse[divert])\n"),
    "debit without escrow": (DEBIT, DEBIT.replace("  purse.pending = purse.pending + TOKEN\n", "")),
    "spent tokens come back": (DESTROY, DESTROY + "  purse.balance = purse.balance + TOKEN\n"),
    "refill beside pending": (
        "return math.max(0, purse.burst - purse.balance - purse.pending)",
        "return math.max(0, purse.burst - purse.balance)",
    ),
    "refill doubled": ("    refill(purse.damage)\n", "    refill(purse.damage)\n    refill(purse.damage)\n"),
    "balance unchecked": ("local balance = purse.damage.balance\n", "local balance = purse.damage.balance + TOKEN\n"),
    "seq repeats": ("    budget.seq = budget.seq + 1\n", "    budget.seq = budget.seq + 1 - budget.seq % 2\n"),
    "stops stay open": ('  write("ZREM", expect(OPEN, "zset"), stop)\n', ""),
    "a line pays nothing": ("      debit(of_line)\n", ""),
    "a line is asked nothing": ("of_line.balance < TOKEN", "of_line.balance < 0"),
    "tokens of a line come back spent": (
        "          else\n            destroy(held)\n",
        "          else\n            give_back(held)\n",
    ),
    "diverts unlimited": ("  local capacity = diverts >= TOKEN\n", "  local capacity = true\n"),
}


async def flood(trial: Trial) -> list[str]:
    """Raise every score for 250 captures, judge at random and repeatedly, and return what the checkers say."""
    rng = random.Random(11)
    decisions: list[Decision] = []
    judged: dict[str, Verdict] = {}
    for _ in range(250):
        decision = decode(Decision, (await trial.decide(5_000_000, identity_conflict=rng.random() < 0.2)).decision)
        decisions.append(decision)
        if rng.random() < 0.2:
            diverted = [one.capture_id for one in decisions if one.divert is not Divert.NONE]
            capture_id, verdict = rng.choice(diverted[-6:]), rng.choice([Verdict.SELLABLE, Verdict.DAMAGED])
            judged.setdefault(capture_id, verdict)
            await trial.judge(verdict, capture_id)
    confirmed = {capture_id for capture_id, verdict in judged.items() if verdict is Verdict.DAMAGED}
    configs = {1: trial.config}
    over = [str(worst) for worst in check_promises(decisions, confirmed, configs) if worst.over > 0]
    return over + check_ledger(decisions, configs)


CONFIG = BudgetConfig(
    alpha_ppm=20_000,
    burst_tokens=5,
    reserve=0,
    alpha_identity_ppm=10_000,
    burst_identity=3,
    beta_ppm=40_000,
    burst_diverts=12,
    audit_ppm=0,
    verdict_delay_ms=1_000,
)


class TestSabotage:
    """A checker that cannot fail proves nothing."""

    async def test_the_script_itself_passes(self, store_url: str, unique: str) -> None:
        """The flood uses the allowance and stays within it."""
        trial = await Trial.open(store_url, unique, CONFIG)
        try:
            assert [] == await flood(trial)
            state = await trial.store.state(unique)
            assert state.withheld > 100
        finally:
            await trial.close()

    @pytest.mark.parametrize("mistake", MISTAKES)
    async def test_a_planted_mistake_is_found(self, store_url: str, unique: str, mistake: str) -> None:
        """By a window, by the account, or by both."""
        right, wrong = MISTAKES[mistake]
        text = script_text()
        assert 1 == text.count(right)
        config = CONFIG
        if "diverts" in mistake:
            config = msgspec.structs.replace(CONFIG, beta_ppm=5_000, burst_diverts=4)
        if "line" in mistake:
            config = msgspec.structs.replace(CONFIG, lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=2)})
        trial = await Trial.open(store_url, unique, config, script=text.replace(right, wrong))
        try:
            assert [] != await flood(trial)
        finally:
            await trial.close()
