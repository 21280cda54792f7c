"""The outside checkers: every window, every account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from budget.config import BudgetConfig
from budget.windows import check_ledger, check_promises, in_order, worst_window
from schemas.codec import new_uuid7
from schemas.messages import Decision
from schemas.words import MICRO, Action, Divert, Outcome

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CONFIG = BudgetConfig(alpha_ppm=100_000, burst_tokens=2, reserve=0, verdict_delay_ms=1_000, captures_per_s=1.0)


def decided(seq: int, **changes: Any) -> Decision:  # noqa: ANN401
    """Return a pass that fits an account of two full tokens."""
    decision = Decision(
        capture_id=new_uuid7(at_ms=1_763_700_000_000, random_bits=seq),
        site="s",
        line="l",
        station="st",
        unit_id="u",
        captured_at=NOW,
        outcome=Outcome.DECIDED,
        action=Action.PASS,
        seq=seq,
        score=0,
        threshold=1,
        balance_before=2 * MICRO,
        balance_after=2 * MICRO,
        pending_before=0,
        pending_after=0,
        config_version=1,
        decide_by=NOW,
        decided_at=NOW,
    )
    return msgspec.structs.replace(decision, **changes)


def numberless(bits: int, **changes: Any) -> Decision:  # noqa: ANN401
    """Return a decision without a place in the sequence."""
    return msgspec.structs.replace(decided(bits, **changes), seq=None)


class TestWorstWindow:
    """A single pass finds what trying all windows finds."""

    @given(
        events=st.lists(st.booleans(), min_size=1, max_size=40),
        rates=st.lists(st.integers(0, MICRO), min_size=40, max_size=40),
        bursts=st.lists(st.integers(0, 3), min_size=40, max_size=40),
    )
    def test_it_agrees_with_trying_every_window(self, events: list[bool], rates: list[int], bursts: list[int]) -> None:
        """With rates and bursts that change at every capture."""
        decisions = [decided(at + 1) for at in range(len(events))]
        counted = {one.capture_id for one, event in zip(decisions, events, strict=True) if event}
        limits = list(zip(rates, bursts, strict=True))[: len(events)]
        every = [
            sum(events[first : last + 1]) * MICRO - sum(rates[first : last + 1]) - max(bursts[first : last + 1]) * MICRO
            for first in range(len(events))
            for last in range(first, len(events))
        ]
        assert max(every) == worst_window("x", decisions, counted, limits).over

    def test_it_names_the_window(self) -> None:
        """So that the evidence can be looked at."""
        decisions = [decided(seq) for seq in range(1, 11)]
        counted = {decisions[at].capture_id for at in (4, 5, 6)}
        worst = worst_window("P5a", decisions, counted, [(100_000, 2)] * 10)
        assert (5, 7, 3, 2_300_000) == (worst.first, worst.last, worst.used, worst.allowed)

    def test_nothing_decided_is_within_every_limit(self) -> None:
        """An empty line breaks no promise."""
        assert [0, 0, 0] == [worst.over for worst in check_promises([], set(), {})]


class TestCheckPromises:
    """False alarms are sidelines that no one confirmed."""

    def test_confirmed_sidelines_count_for_the_station_only(self) -> None:
        """P5a does not see them, P5b does."""
        decisions = [decided(seq, divert=Divert.DAMAGE) for seq in range(1, 4)]
        confirmed = {decisions[0].capture_id}
        p5a, identity, p5b = check_promises(decisions, confirmed, {1: CONFIG})
        assert (2, 0, 3) == (p5a.used, identity.used, p5b.used)

    def test_repeated_events_count_once(self) -> None:
        """A topic delivers at least once."""
        decisions = [decided(1, divert=Divert.DAMAGE)] * 5
        assert 1 == len(in_order(decisions))
        assert 1 == check_promises(decisions, set(), {1: CONFIG})[0].used


class TestCheckLedger:
    """Each record is an account that must add up."""

    def test_a_sound_account_has_no_faults(self) -> None:
        """Passes, a sideline, an audit, something undetermined, and a refill."""
        decisions = [
            decided(1),
            decided(2, divert=Divert.DAMAGE, balance_after=MICRO, pending_after=MICRO),
            decided(3, balance_before=0, pending_before=MICRO, balance_after=100_000, pending_after=MICRO),
            decided(4, divert=Divert.AUDIT),
            numberless(99, outcome=Outcome.UNDETERMINED, action=Action.NONE, score=None, threshold=None),
        ]
        assert [] == check_ledger(decisions, {1: CONFIG})

    def test_each_fault_is_named(self) -> None:
        """By its place in the sequence."""
        faults = check_ledger(
            [
                decided(1, divert=Divert.DAMAGE),
                decided(2, divert=Divert.DAMAGE, balance_after=0, pending_after=2 * MICRO),
                decided(3, balance_before=0, balance_after=200_000),
                decided(4, withheld=True),
                decided(6),
                numberless(7),
            ],
            {1: CONFIG},
        )
        for text in (
            "seq has gaps or repeats",
            "seq 1: pending moved by 0, the divert damage takes 1000000",
            "seq 1: balance moved by 0, not by the refill 0 less 1000000",
            "seq 2: pending moved by 2000000",
            "seq 3: balance moved by 200000, not by the refill 100000 less 0",
            "seq 4: withheld below the threshold",
            "outcome decided with seq None",
        ):
            assert any(text in fault for fault in faults), text

    def test_two_answers_to_one_capture_are_a_fault(self) -> None:
        """The same answer twice is not."""
        one = decided(1)
        assert [] == check_ledger([one, one], {1: CONFIG})
        assert any(
            "two different decisions" in fault for fault in check_ledger([one, decided(1, score=-1)], {1: CONFIG})
        )
