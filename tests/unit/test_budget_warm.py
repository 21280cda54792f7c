"""First thresholds from vetted negatives."""

from __future__ import annotations

import random

import pytest

from budget.config import BudgetConfig
from budget.threshold import Threshold, pace
from budget.warm import BINS, WEIGHT, certified_threshold, warm_start
from schemas.words import MICRO


class TestWarmStart:
    """What the threshold knows before its first capture."""

    def test_location_scale_and_weight_are_those_of_the_negatives(self) -> None:
        """Clipped means, as the running ones would find them, and at most 3,000 captures' worth of trust."""
        start = warm_start([round(random.Random(at).gauss(-4e6, 1e6)) for at in range(5_000)])
        assert BINS == len(start.masses)
        assert 3_000 == start.captures
        assert abs(sum(start.masses) - 3_000 * WEIGHT) < BINS
        assert abs(start.location + 4_000_000) < 50_000
        assert abs(start.scale - 743_000) < 30_000  # of deviations clipped at two scales; unclipped 798,000

    def test_few_negatives_weigh_no_more_than_they_are(self) -> None:
        """And too few are refused."""
        assert 150 == warm_start(range(0, 1_500_000, 10_000)).captures
        with pytest.raises(ValueError, match="99 negatives are too few"):
            warm_start(range(99))

    def test_equal_scores_are_no_division_by_zero(self) -> None:
        """The scale has a floor."""
        assert 1_000 == warm_start([7] * 200).scale

    @pytest.mark.parametrize(("balance", "share"), [(50, 0.02), (45, 0.006_86), (25, 0.004_71), (4, 0.002_88)])
    def test_the_threshold_leaves_the_share_that_the_balance_allows(self, balance: int, share: float) -> None:
        """It is alpha at the pace of the tokens at hand, less below a tenth of them; here of 100,000 negatives."""
        scores = [round(random.Random(at).gauss(-4e6, 1e6)) for at in range(100_000)]
        threshold = Threshold.warm(warm_start(scores), balance=balance * MICRO, config=BudgetConfig())
        above = sum(score >= threshold.value for score in scores) / len(scores)
        assert abs(above - share) < 0.1 * share

    def test_without_balance_only_the_ceiling_asks(self) -> None:
        """There is nothing to spend."""
        threshold = Threshold.warm(warm_start(range(0, 10**6, 1_000)), balance=0, config=BudgetConfig())
        assert BudgetConfig().ceiling == threshold.value

    def test_it_does_not_start_below_what_the_negatives_certify(self) -> None:
        """A certificate asks for more than the quantile: of 700 at 0.5 % only the largest carries it."""
        scores = [round(random.Random(at).gauss(-4e6, 1e6)) for at in range(700)]
        start = warm_start(scores, alpha_ppm=5_000)
        assert certified_threshold(scores, fpr_ppm=5_000) == start.certified
        threshold = Threshold.warm(start, balance=25 * MICRO, config=BudgetConfig())
        assert start.certified == threshold.value
        quantile = Threshold.warm(warm_start(scores), balance=25 * MICRO, config=BudgetConfig())
        assert quantile.value < threshold.value

    def test_too_few_to_certify_start_from_their_quantile(self) -> None:
        """598 certify 0.5 %."""
        assert warm_start(range(598), alpha_ppm=5_000).certified is not None
        assert warm_start(range(597), alpha_ppm=5_000).certified is None


class TestPace:
    """How fast tokens are spent."""

    @pytest.mark.parametrize(
        ("level_ppm", "alphas_ppm"),
        [
            (0, 900_000),
            (300_000, 900_000),
            (770_000, MICRO),
            (860_000, 1_250_000),
            (950_000, 1_500_000),
            (MICRO, 4 * MICRO),
        ],
    )
    def test_it_is_nearly_alpha_until_tokens_are_about_to_be_lost(self, level_ppm: int, alphas_ppm: int) -> None:
        """A full purse loses what is added: there it spends four times as fast."""
        assert alphas_ppm == pace(level_ppm)


class TestCertifiedThreshold:
    """Neyman-Pearson: a rate that holds with a stated confidence, for any distribution."""

    @pytest.mark.parametrize(("fpr_ppm", "count"), [(10_000, 299), (1_000, 2_995)])
    def test_the_fewest_negatives_certify_with_their_largest_score(self, fpr_ppm: int, count: int) -> None:
        """One fewer is refused with the number it needs."""
        assert count == certified_threshold(range(count), fpr_ppm=fpr_ppm)
        with pytest.raises(ValueError, match=f"it needs {count}"):
            certified_threshold(range(count - 1), fpr_ppm=fpr_ppm)

    def test_more_negatives_allow_a_lower_threshold(self) -> None:
        """Of 10,000 the 84th largest certifies 1 %: the binomial's 5 % quantile at 10,000 draws of 1 % is 84."""
        assert 10_000 - 84 + 1 == certified_threshold(range(1, 10_001), fpr_ppm=10_000) - 1

    def test_the_certificate_holds_as_often_as_it_says(self) -> None:
        """Over 400 draws of negatives the true rate exceeds 5 % in about 5 % of them."""
        rng = random.Random(5)
        broken = 0
        for _ in range(400):
            threshold = certified_threshold([rng.randrange(MICRO) for _ in range(400)], fpr_ppm=50_000)
            broken += MICRO - threshold > 50_000
        assert broken <= 36  # 20 expected, 36 is beyond 3.5 standard deviations
