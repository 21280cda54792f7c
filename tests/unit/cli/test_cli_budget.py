"""Changing a budget from the command line: what is written becomes a configuration, or an error that names the fix."""

from __future__ import annotations

import time

import pytest

from budget.config import BudgetConfig, LineBudget
from cli.site import _by_hand, changed
from schemas.faults import Fatal
from schemas.words import MICRO

OWN = BudgetConfig(lines={"in.1": LineBudget(alpha_ppm=10, burst_tokens=2)})


class TestFields:
    """`--set FIELD=VALUE`."""

    def test_fields_of_a_line_make_and_change_its_budget(self) -> None:
        """The name of a line may hold dots."""
        made = changed(BudgetConfig(), ["lines.in.1.alpha_ppm=10", "lines.in.1.burst_tokens=2", "reserve=1"])
        assert (OWN.lines, 1) == (made.lines, made.reserve)
        assert 7 == changed(OWN, ["lines.in.1.burst_tokens=7"]).lines["in.1"].burst_tokens

    def test_a_budget_of_a_line_is_taken_away(self) -> None:
        """By its name alone."""
        assert {} == changed(OWN, ["lines.in.1=none"]).lines

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("alpha=5", "write FIELD=VALUE with a field of: alpha_ppm"),
            ("alpha_ppm", "write FIELD=VALUE"),
            ("lines=1", "write FIELD=VALUE"),
            ("lines.in.1.alpha=5", "write lines.LINE.FIELD with a field of: alpha_ppm, burst_tokens"),
            ("lines.alpha_ppm=5", "write lines.LINE.FIELD"),
            ("lines.out=none", "line out has no budget of its own"),
            ("lines.out.alpha_ppm=5", "burst_tokens"),
            ("alpha_ppm=much", "refused"),
        ],
    )
    def test_a_mistake_is_named(self, change: str, words: str) -> None:
        """With what would be right."""
        with pytest.raises(Fatal, match=words):
            changed(OWN, [change])


class TestByHand:
    """`--override`, which ends by itself and has a reason."""

    def test_it_becomes_a_threshold_and_an_end(self) -> None:
        """In micro-log-odds and Unix milliseconds."""
        threshold, until = _by_hand(-2.5, "30m", "new lamps")
        assert f"override_threshold={-2_500_000}" == threshold
        left_ms = int(until.removeprefix("override_until_ms=")) - time.time_ns() // 1_000_000
        assert 29 * 60_000 < left_ms <= 30 * 60_000
        assert -2.5 * MICRO == changed(BudgetConfig(), [threshold, until]).check().override_threshold

    @pytest.mark.parametrize(
        ("lasting", "why", "words"),
        [
            ("", "lamps", "must end"),
            ("0m", "lamps", "must end"),
            ("3d", "lamps", "must end"),
            ("30m", "", "needs --why"),
        ],
    )
    def test_without_an_end_or_a_reason_it_is_refused(self, lasting: str, why: str, words: str) -> None:
        """An override nobody remembers is how a line goes blind."""
        with pytest.raises(Fatal, match=words):
            _by_hand(1.0, lasting, why)

    def test_a_duration_alone_is_a_mistake(self) -> None:
        """And no override is no change."""
        assert [] == _by_hand(None, "", "")
        with pytest.raises(Fatal, match="give both"):
            _by_hand(None, "30m", "lamps")
