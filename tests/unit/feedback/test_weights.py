"""Weights undo how captures were chosen."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.labels import Stop, join
from feedback.weights import chance_ppm, estimate, weight
from schemas.words import MICRO, Divert, Verdict
from tests.unit.feedback.judged import SITE, decision, said, stop


class TestWeight:
    """One capture's."""

    @pytest.mark.parametrize("divert", [Divert.DAMAGE, Divert.IDENTITY])
    def test_a_stop_stands_for_itself(self, divert: Divert) -> None:
        """It was looked at for certain, whatever the audits' share was."""
        assert 1.0 == weight(decision(divert, audit_ppm=500))

    @pytest.mark.parametrize("withheld", [False, True])
    def test_an_audit_stands_for_as_many_as_it_was_drawn_from(self, withheld: bool) -> None:
        """Also where the score asked for a stop and no token was left: it passed like the others."""
        assert 500.0 == weight(decision(Divert.AUDIT, audit_ppm=2_000, withheld=withheld))

    @pytest.mark.parametrize("changes", [{"divert": Divert.AUDIT, "audit_ppm": 0}, {"divert": Divert.UNKNOWN}])
    def test_an_unknown_chance_has_no_weight(self, changes: dict[str, Any]) -> None:
        """Nothing is made up."""
        unknown = decision(**changes)
        assert 0 == chance_ppm(unknown)
        with pytest.raises(ValueError, match="no known probability"):
            weight(unknown)


def judged(divert: Divert, verdict: Verdict, **changes: Any) -> Stop:  # noqa: ANN401 - fields of many types
    """Return a divert with a verdict."""
    one = stop(divert, **changes)
    join(SITE, [one], [said(verdict, one)])
    return one


class TestEstimate:
    """Sums over what was seen, for what was not."""

    def test_counts_by_hand(self) -> None:
        """Two audits of a five-hundredth each, one of them damaged, and three damaged stops."""
        found = estimate(
            [
                *[judged(Divert.DAMAGE, Verdict.DAMAGED) for _ in range(3)],
                judged(Divert.DAMAGE, Verdict.SELLABLE),
                judged(Divert.AUDIT, Verdict.SELLABLE),
                judged(Divert.AUDIT, Verdict.DAMAGED),
                stop(Divert.AUDIT),
            ],
            passes=1_010,
        )
        assert (1_010, 1_000.0, 3, 1, 500.0) == (
            found.passes,
            found.passes_estimated,
            found.damaged_stopped,
            found.damaged_audited,
            found.damaged_passed,
        )
        assert found.recall == pytest.approx(3 / 503)
        assert found.damaged_passed_error == pytest.approx(math.sqrt(500 * 499))

    def test_nothing_damaged_is_no_recall(self) -> None:
        """Rather than a number that means nothing."""
        assert estimate([judged(Divert.AUDIT, Verdict.SELLABLE)], passes=500).recall is None

    @settings(max_examples=60, deadline=None)
    @given(
        shares=st.lists(st.tuples(st.integers(50, 3_000), st.integers(5_000, MICRO)), min_size=1, max_size=4),
        seed=st.integers(0, 2**32),
    )
    def test_audits_stand_for_all_passes(self, shares: list[tuple[int, int]], seed: int) -> None:
        """Whatever shares were in force one after another: within five standard errors of the truth, as drawn here.

        The true error is taken, not the estimated one: with few draws that may be 0. Five of them are one in two
        million for a normal sum, so the bound has the slack that skewed sums of few draws need.
        """
        rng = random.Random(seed)
        drawn: list[Stop] = []
        for passes, ppm in shares:
            audits = sum(rng.randrange(MICRO) < ppm for _ in range(passes))
            drawn += [judged(Divert.AUDIT, Verdict.SELLABLE, audit_ppm=ppm) for _ in range(audits)]
        total = sum(passes for passes, _ in shares)
        true_error = math.sqrt(sum(passes * (MICRO / ppm - 1) for passes, ppm in shares))
        largest = max(MICRO / ppm for _, ppm in shares)
        found = estimate(drawn, total)
        assert abs(found.passes_estimated - total) <= 5 * true_error + 5 * largest

    def test_an_adaptive_share_estimates_damage_without_bias(self) -> None:
        """The mean over 400 draws of what was missed is the truth to within four of its own errors."""
        rng = random.Random(3)
        truth = [(ppm, damaged) for ppm in (20_000, 50_000, 200_000) for damaged in [True] * 20 + [False] * 180]
        seen = {
            (ppm, damaged): judged(Divert.AUDIT, Verdict.DAMAGED if damaged else Verdict.SELLABLE, audit_ppm=ppm)
            for ppm, damaged in set(truth)
        }
        found = [
            estimate([seen[each] for each in truth if rng.randrange(MICRO) < each[0]], len(truth)).damaged_passed
            for _ in range(400)
        ]
        mean = sum(found) / len(found)
        error = math.sqrt(sum(MICRO / ppm - 1 for ppm, damaged in truth if damaged) / len(found))
        assert abs(mean - 60) <= 4 * error
