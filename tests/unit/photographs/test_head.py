"""The head: measured on what was left out, calibrated, and never parted within a capture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schemas.faults import Fatal
from schemas.words import KINDS, DamageKind, Severity
from training.data.form import DataSet, Image, Label, Sample
from training.photographs.classifier import fit_head
from training.photographs.exam import calibration_error, examine, interval
from training.photographs.head import FOLDS, constant, fit_answer, split
from training.photographs.rows import Rows, gather, parted

DENT, SPILL = DamageKind.DEFORMATION, DamageKind.SPILLAGE


def clouds(count: int, apart: float, *, width: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of unit length and truth: two clouds, `apart` deviations from each other."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2 == 0
    rows = rng.normal(0, 1, (count, width))
    rows[:, 0] += apart * truth
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), truth


def rows_of(samples: list[Sample], width: int = 6) -> Rows:
    """Gather samples with features that are noise."""
    rng = np.random.default_rng(3)
    paths = [image.path for sample in samples for image in sample.images]
    return gather(samples, {path: rng.normal(0, 1, width).astype(np.float32) for path in paths})


def sample(number: int, label: Label | None, *, views: int = 1, product: str | None = None) -> Sample:
    """Return a capture."""
    images = tuple(Image(Path(f"{number}-{view}.jpg")) for view in range(views))
    return Sample(f"capture-{number}", images, label, product_id=product)


class TestFitAnswer:
    """`fit_answer`."""

    def test_log_odds_mean_what_they_say(self) -> None:
        """On rows it never saw, overlapping clouds get probabilities within a few points of what happens."""
        features, truth = clouds(4_000, 1.2)
        answer = fit_answer(features[:400], truth[:400], np.arange(400), seed=0)
        chances = 1 / (1 + np.exp(-answer(features[400:])))
        assert calibration_error(chances, truth[400:]) < 0.06

    def test_it_does_not_believe_its_own_training_set(self) -> None:
        """With more numbers a row than rows, pure noise is separable; the answer stays next to the base rate."""
        features, truth = clouds(40, 0.0, width=300)
        answer = fit_answer(features, truth, np.arange(40), seed=0)
        fresh, _ = clouds(200, 0.0, width=300, seed=1)
        assert np.abs(answer(fresh)).mean() < 1.0

    def test_few_rows_and_many_give_the_same_kind_of_answer(self) -> None:
        """Fitting in the space that the rows span changes nothing: weights come back in full width."""
        features, truth = clouds(60, 3.0, width=200)
        answer = fit_answer(features, truth, np.arange(60), seed=0)
        assert (200,) == answer.weights.shape
        assert np.mean((answer(features) > 0) == truth) > 0.9

    def test_a_constant_is_the_log_odds_of_its_share(self) -> None:
        """A quarter is one to three."""
        assert np.log(1 / 3) == pytest.approx(constant(0.25, 5)(np.ones((1, 5)))[0])


class TestSplit:
    """`split`."""

    def test_groups_are_never_parted(self) -> None:
        """Views of one product are learnt from or measured on, never both."""
        truth = np.arange(60) % 2 == 0
        groups = np.arange(60) // 4
        folds = list(split(truth, groups, seed=0))
        assert FOLDS == len(folds)
        assert all(not set(groups[learn]) & set(groups[measure]) for learn, measure in folds)
        assert 60 == sum(len(measure) for _, measure in folds)

    @pytest.mark.parametrize("products", [2, 4])
    def test_few_products_make_few_folds(self, products: int) -> None:
        """As many as there are products, each measured once."""
        truth, groups = np.arange(60) % 2 == 0, np.arange(60) % (2 * products) // 2
        folds = list(split(truth, groups, seed=1))
        assert products == len(folds)
        assert list(range(60)) == sorted(row for _, measured in folds for row in measured.tolist())

    def test_one_product_is_refused(self) -> None:
        """What was learnt would be measured on the same product."""
        with pytest.raises(Fatal, match="captures of 1 products cannot be folded"):
            list(split(np.arange(60) % 2 == 0, np.zeros(60, np.int64), seed=1))


class TestExam:
    """`examine` and its figures."""

    def test_noise_scores_like_chance(self) -> None:
        """Nothing leaks from the measured fold: with features that say nothing the AUROC is near a half."""
        features, truth = clouds(60, 0.0, width=100)
        sheet = examine(features, truth, np.arange(60), np.arange(60), seed=0, rounds=3)
        assert 0.3 < sheet.folds.mean() < 0.7
        assert 15 == len(sheet.folds)

    def test_the_worst_view_speaks_for_a_capture(self) -> None:
        """A capture's score is the highest of its views', and it is damaged where a view is."""
        features, truth = clouds(60, 6.0)
        captures = np.arange(60) // 2  # each with a damaged and an intact view
        sheet = examine(
            np.concatenate([features, features[~truth]]),
            np.concatenate([truth, truth[~truth]]),
            np.concatenate([captures, 30 + np.arange(30)]),
            np.concatenate([captures, 30 + np.arange(30)]),
            seed=0,
            rounds=1,
        )
        assert (60, 30) == (len(sheet.truth), int(sheet.truth.sum()))
        assert sheet.figures()["fold_auroc_mean"] > 0.95

    def test_calibration_error_by_hand(self) -> None:
        """Four captures said 0.8 of which half were damaged, four said 0.2 of which none were: 0.3 and 0.2."""
        chances = np.array([0.8] * 4 + [0.2] * 4)
        truth = np.array([True, True, False, False] + [False] * 4)
        assert 0.25 == pytest.approx(calibration_error(chances, truth))

    def test_the_interval_holds_the_area(self) -> None:
        """Perfect scores have an interval of one point; mixed ones a wide one."""
        truth = np.arange(40) < 20
        assert (1.0, 1.0) == interval(truth.astype(float), truth)
        low, high = interval(np.random.default_rng(0).normal(size=40) + truth, truth)
        assert low < high - 0.1


class TestRows:
    """`gather`, `parted` and `fit_head`."""

    def test_views_share_their_captures_label_and_products_group(self) -> None:
        """Two views are one capture; two captures of a product are one group."""
        samples = [sample(n, Label(damaged=n % 2 == 0), views=2, product=f"p{n // 2}") for n in range(24)]
        rows = rows_of(samples)
        assert (48, 24) == (len(rows), len(rows.paths))
        assert 12 == len(set(rows.groups.tolist()))

    def test_a_view_that_shows_no_damage_is_intact(self) -> None:
        """Where boxes were drawn, views without one teach nothing wrong."""
        hurt = Label(damaged=True, kinds=frozenset({DENT}))
        boxed = Sample("b", (Image(Path("b0"), boxes=((0.1, 0.1, 0.2, 0.2),)), Image(Path("b1"))), hurt)
        samples = [boxed, *(sample(n, Label(damaged=n % 2 == 0)) for n in range(24))]
        rows = rows_of(samples)
        assert [True, False] == rows.damaged[:2].tolist()
        assert not rows.kinds[1].any()

    def test_too_few_are_refused(self) -> None:
        """Nine of a class cannot be folded; unlabelled captures do not count."""
        samples = [sample(n, Label(damaged=n < 9)) for n in range(40)] + [sample(99, None)]
        with pytest.raises(Fatal, match="9 damaged and 31 intact"):
            rows_of(samples)

    def test_kinds_and_severity_are_base_rates_without_labels(self) -> None:
        """A set that only says damaged or not gives constants: a seventh of the damage, and even odds of major."""
        rows = rows_of([sample(n, Label(damaged=n % 2 == 0, severity=Severity.UNKNOWN)) for n in range(40)])
        head, learnt, _ = fit_head(rows, seed=0)
        assert ("damage",) == learnt
        assert not head.weights[:, 1:].any()
        assert np.log(1 / 13) == pytest.approx(head.bias[1])
        assert 0.0 == pytest.approx(head.bias[-1])

    def test_kinds_and_severity_are_learnt_where_labels_are(self) -> None:
        """Enough dents and enough of others: dents and severity get weights, rare kinds their rate."""
        labels = [
            Label(damaged=True, kinds=frozenset({DENT}), severity=Severity.MAJOR),
            Label(damaged=True, kinds=frozenset({SPILL}), severity=Severity.MINOR),
            Label(damaged=False),
        ]
        head, learnt, _ = fit_head(rows_of([sample(n, labels[n % 3]) for n in range(60)]), seed=0)
        assert ("damage", "deformation", "spillage", "severity") == learnt
        assert np.log(1 / 61) == pytest.approx(head.bias[1 + KINDS.index(DamageKind.ACTUATION)])

    def test_a_test_split_is_kept_out(self) -> None:
        """What a data set keeps for measuring is not learnt from."""
        kept = Sample("t", (Image(Path("t")),), Label(damaged=True), split="test")
        learn, test = parted(DataSet("d", Path(), (sample(1, None), kept)))
        assert ["capture-1"] == [each.capture_id for each in learn]
        assert ["t"] == [each.capture_id for each in test]
