"""Figures of merit and their doubt, on cases that can be counted by hand, and laws that hold for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.evaluation.intervals import UNKNOWN, exact, intact_needed, redrawn
from training.evaluation.metrics import official, precision_at, recall_with_doubt
from training.evaluation.reliability import at_prevalence, ece_doubt, ece_of, reliability
from training.scores import auroc, average_precision, recall_at, recall_at_precision, threshold_at

#          damaged: minor major intact minor intact intact, falling
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
DAMAGED = np.array([True, True, False, True, False, False])
MAJOR = np.array([False, True, False, False, False, False])

scored = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(hurt for _, hurt in rows) < len(rows)
)


def columns(rows: list[tuple[int, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and truths."""
    return np.array([score for score, _ in rows], np.float64), np.array([hurt for _, hurt in rows], bool)


class TestOfficial:
    """metrics.official."""

    def test_by_hand(self) -> None:
        """AP any is (1 + 1 + 3/4) / 3; without the minor ones the major one is first; 8 of 9 pairs are in order."""
        found = official(SCORES, DAMAGED, MAJOR)

        assert (1 + 1 + 3 / 4) / 3 == pytest.approx(found.ap_any)
        assert 1.0 == found.ap_major
        assert 8 / 9 == pytest.approx(found.auroc)
        assert 1.0 == found.recall_at_half_precision
        assert 2 / 3 == pytest.approx(found.recall_at_1_percent_fpr)

    def test_one_class_has_no_figures(self) -> None:
        """Without damaged captures nothing can be told, and nothing fails."""
        found = official(SCORES, np.zeros(6, bool), np.zeros(6, bool))
        assert math.isnan(found.ap_any)
        assert math.isnan(found.auroc)
        assert math.isnan(found.recall_at_1_percent_fpr)


class TestLaws:
    """What holds for any scores."""

    @given(scored)
    def test_reversing_mirrors_the_area(self, rows: list[tuple[int, bool]]) -> None:
        """The area of negated scores is one minus the area."""
        scores, damaged = columns(rows)
        assert 1 - auroc(scores, damaged) == pytest.approx(auroc(-scores, damaged))

    @given(scored, st.floats(0.1, 3), st.floats(-3, 3))
    def test_only_the_order_counts(self, rows: list[tuple[int, bool]], slope: float, shift: float) -> None:
        """A rising line through the scores changes no figure."""
        scores, damaged = columns(rows)
        moved = slope * scores + shift
        assert average_precision(scores, damaged) == pytest.approx(average_precision(moved, damaged))
        assert recall_at(scores, damaged, 0.2) == recall_at(moved, damaged, 0.2)
        assert recall_at_precision(scores, damaged, 0.5) == recall_at_precision(moved, damaged, 0.5)

    @given(scored, st.floats(0, 1))
    def test_the_rate_is_never_exceeded(self, rows: list[tuple[int, bool]], rate: float) -> None:
        """At most the allowed share of intact captures lies above the threshold, and one more would be too many."""
        scores, damaged = columns(rows)
        intact = scores[~damaged]
        threshold = threshold_at(scores, damaged, rate)
        assert (intact > threshold).sum() <= rate * len(intact) * (1 + 1e-9)
        assert (intact >= threshold).sum() > int(rate * len(intact)) or threshold == -np.inf

    @given(scored, st.floats(0, 1))
    def test_counts_tell_the_same_as_scores(self, rows: list[tuple[int, bool]], share: float) -> None:
        """With one product every draw is the set itself, and its curve has the set's own figures."""
        scores, damaged = columns(rows)
        (curve,) = redrawn(scores, damaged, np.zeros(len(rows), np.int64), draws=1)

        assert auroc(scores, damaged) == pytest.approx(curve.auroc())
        assert average_precision(scores, damaged) == pytest.approx(curve.average_precision())
        assert recall_at(scores, damaged, share) == pytest.approx(curve.recall_at(share))
        assert recall_at_precision(scores, damaged, 0.5) == pytest.approx(curve.recall_at_precision(0.5))


class TestExact:
    """intervals.exact."""

    def test_known_values(self) -> None:
        """0 of 10 and 5 of 10, from printed tables of Clopper and Pearson's interval."""
        assert [0.0, 0.3085] == pytest.approx([exact(0, 10).low, exact(0, 10).high], abs=1e-4)
        assert [0.1871, 0.8129] == pytest.approx([exact(5, 10).low, exact(5, 10).high], abs=1e-4)

    def test_of_nothing_nothing_is_known(self) -> None:
        """No tries leave the whole range."""
        assert exact(0, 0) == UNKNOWN

    @given(st.integers(1, 500), st.data())
    def test_the_share_lies_inside(self, tries: int, data: st.DataObject) -> None:
        """The measured share is between the bounds, whatever it is."""
        hits = data.draw(st.integers(0, tries))
        found = exact(hits, tries)
        assert 0 <= found.low <= hits / tries <= found.high <= 1


class TestRecallWithDoubt:
    """metrics.recall_with_doubt."""

    def test_too_few_intact_captures_are_refused_in_words(self) -> None:
        """A rate of 5 in 10,000 needs 40,000 intact captures, and says so."""
        damaged = np.arange(1000) < 100
        found = recall_with_doubt(np.arange(1000.0), damaged, np.zeros(1000, np.int64), 5e-4, prevalence=0.001)
        assert 40_000 == intact_needed(5e-4)
        assert "900 intact captures, 40,000 are needed" in found.refused
        assert math.isnan(found.recall)

    def test_without_damage_there_is_no_recall(self) -> None:
        """No damaged capture: refused, not zero."""
        found = recall_with_doubt(np.arange(9.0), np.zeros(9, bool), np.zeros(9, np.int64), 0.01, prevalence=0.1)
        assert "no damaged captures" in found.refused

    def test_both_intervals_hold_the_recall(self) -> None:
        """20,000 intact captures tell a rate of 1 in 1,000: 20 alarms, and intervals around the recall."""
        rng = np.random.default_rng(3)
        scores = np.concatenate([rng.normal(size=20_000), rng.normal(3, 1, 2_000)])
        damaged = np.arange(22_000) >= 20_000
        product = rng.integers(400, size=22_000)
        found = recall_with_doubt(scores, damaged, product, 1e-3, prevalence=0.001)

        assert "" == found.refused
        assert 20 == found.alarms
        assert 0.464 == pytest.approx(found.recall, abs=0.05)  # P(z > 3.09 - 3)
        assert found.given_threshold.low < found.recall < found.given_threshold.high
        assert found.over_products.low < found.recall < found.over_products.high
        wide = found.over_products.high - found.over_products.low
        assert wide > found.given_threshold.high - found.given_threshold.low
        assert precision_at(found.recall, 1e-3, 0.001) == pytest.approx(found.precision)

    def test_precision_by_hand(self) -> None:
        """Of 100,000 units 100 are damaged: 90 found, 999 false alarms."""
        assert 90 / (90 + 999) == pytest.approx(precision_at(0.9, 0.01, 0.001))


class TestReliability:
    """Whether probabilities mean what they say."""

    def test_the_prior_is_undone(self) -> None:
        """Without evidence a score is the prior, and the chance the prevalence of the set."""
        assert [0.25] == pytest.approx(at_prevalence(np.array([-6_900_000]), -6_900_000, 0.25).tolist())

    def test_by_hand(self) -> None:
        """Two bins of two: said 0.1 and 0.8, found 0 and 1/2."""
        chance, damaged = np.array([0.1, 0.8, 0.8, 0.1]), np.array([False, True, False, False])
        found = reliability(chance, damaged, bins=2)

        assert (0.1 + 0.3) / 2 == pytest.approx(found.ece)
        assert (0.01 + 0.04 + 0.64 + 0.01) / 4 == pytest.approx(found.brier)
        assert [2, 2] == [each.captures for each in found.bins]

    def test_true_probabilities_have_no_gap(self) -> None:
        """Captures damaged as often as said have an error near zero; said twice as boldly, a large one."""
        rng = np.random.default_rng(0)
        odds = rng.normal(-1, 2, 40_000)
        damaged = rng.random(40_000) < 1 / (1 + np.exp(-odds))
        micro = np.rint(odds * 1e6).astype(np.int64)

        assert 0.01 > reliability(at_prevalence(micro, 0, 0.5), damaged).ece
        assert 0.05 < reliability(at_prevalence(2 * micro, 0, 0.5), damaged).ece

    def test_the_doubt_of_the_error(self) -> None:
        """With one product there is no doubt; with many the interval holds a large error, and is narrow."""
        rng = np.random.default_rng(0)
        damaged = rng.random(2_000) < 0.3
        chance = np.clip(0.5 + rng.normal(0, 0.01, 2_000), 0, 1)

        alone = ece_doubt(chance, damaged, np.zeros(2_000, np.int64), draws=3)
        assert alone.low == alone.high == pytest.approx(ece_of(chance, damaged))
        many = ece_doubt(chance, damaged, rng.integers(200, size=2_000), draws=100)
        assert many.low < 0.2 < many.high
        assert many.high - many.low < 0.08

    @given(scored)
    def test_bins_hold_every_capture_once(self, rows: list[tuple[int, bool]]) -> None:
        """Bins have equal mass, up to one, and lose nothing."""
        scores, damaged = columns(rows)
        sizes = [each.captures for each in reliability(1 / (1 + np.exp(-scores)), damaged).bins]
        assert len(rows) == sum(sizes)
        assert max(sizes) - min(sizes) <= 1
