"""The fused score: from integers to an integer, and what an unsure identity may do to it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from evidence.calibration import DEFAULT_PATH, Calibration, Densities, Gallery, Line
from evidence.fusion import MAX_SCORE, FitRow, fit, fuse, terms, words
from evidence.identity_limits import IdentityLimits
from evidence.logarithm import ln_micro
from evidence.ratio import gallery_log_ratio
from schemas import codec
from schemas.faults import Fatal
from schemas.messages import Evidence, Identity
from schemas.words import MICRO, Pattern

DENSITIES = Densities(
    origin=100_000,
    step=50_000,
    damaged=[10, 100, 400, 800, 900, 900],
    intact=[600, 900, 400, 90, 9, 1],
    other=[1, 10, 100, 600, 900, 700],
)
CALIBRATION = Calibration(
    version="fusion-test",
    classifier="damage_classifier:1",
    embedding="gallery_embedding:1",
    prior=-6_906_755,
    alone=Line(slope=1_200_000, intercept=30_000),
    by_code=Gallery(line=Line(slope=1_000_000, intercept=250_000), weight=400_000, densities=DENSITIES),
    by_image=Gallery(line=Line(slope=900_000, intercept=-50_000), weight=200_000, densities=DENSITIES),
    weight_cap=500_000,
    clip=3_000_000,
    limits=IdentityLimits(),
)
any_integer = st.integers()
chance = st.integers(0, MICRO)
discrepancies = st.integers(-(10**7), 10**7)
patterns = st.sampled_from(list(Pattern))


def evidence(*, pattern: Pattern = Pattern.GALLERY_BY_CODE, classifier: int = 0, discrepancy: int | None) -> Evidence:
    """Make a record of evidence."""
    return Evidence(pattern=pattern, classifier=classifier, discrepancy=discrepancy, references=["R-1", "R-2"])


def identity(confidence_ppm: int = 990_000, *, conflict: bool = False) -> Identity:
    """Make an identity as sure as that."""
    return Identity(product_id="P-1", confidence_ppm=confidence_ppm, conflict=conflict)


def some_rows(*, seed: int = 3, count: int = 1_500, telling: float = 0.1) -> list[FitRow]:
    """Draw captures of which a third are damaged; `telling` is how much further damage lies from its references."""
    rng = np.random.default_rng(seed)
    shapes = [(Pattern.GALLERY_BY_CODE, 990_000), (Pattern.GALLERY_BY_IMAGE, 900_000), (Pattern.CLASSIFIER, 0)]
    rows = []
    for number in range(count):
        damaged = bool(rng.random() < 1 / 3)
        pattern, sure = shapes[number % 3]
        rows.append(
            FitRow(
                damaged=damaged,
                classifier=round(rng.normal(1.0 if damaged else -1.0, 1.0) * MICRO),
                pattern=pattern,
                confidence_ppm=sure,
                discrepancy=round(rng.normal(0.15 + telling * damaged, 0.04) * MICRO),
                other=round(rng.normal(0.4, 0.05) * MICRO),
            )
        )
    return rows


class TestLogarithm:
    """ln_micro, the integer logarithm."""

    @given(st.integers(1, 10**18), st.integers(1, 10**18))
    def test_it_is_the_logarithm(self, numerator: int, denominator: int) -> None:
        """It agrees with the C library's to the millionth."""
        expected = (math.log(numerator) - math.log(denominator)) * MICRO

        assert abs(expected - ln_micro(numerator, denominator)) <= 1

    @given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(1, 10**15))
    def test_it_is_monotone(self, left: int, right: int, denominator: int) -> None:
        """A larger ratio never has a smaller logarithm."""
        small, large = sorted((left, right))

        assert ln_micro(small, denominator) <= ln_micro(large, denominator)

    def test_one_has_none(self) -> None:
        """The logarithm of 1 is exactly zero, of 2 the known constant, and the reciprocal the opposite."""
        assert (0, 693_147, -693_147) == (ln_micro(7, 7), ln_micro(2, 1), ln_micro(1, 2))

    @pytest.mark.parametrize("ratio", [(0, 1), (1, 0), (-1, 1)])
    def test_what_has_no_logarithm_is_refused(self, ratio: tuple[int, int]) -> None:
        """Zero and negative numbers raise."""
        with pytest.raises(ValueError, match="does not exist"):
            ln_micro(*ratio)


class TestGalleryLogRatio:
    """The mixture of a right and a wrong identity."""

    @given(discrepancies)
    def test_an_identity_worth_nothing_says_nothing(self, discrepancy: int) -> None:
        """At q = 0 the ratio is exactly one."""
        assert gallery_log_ratio(discrepancy, 0, DENSITIES) == 0

    @given(discrepancies, chance, chance)
    def test_it_is_monotone_in_confidence(self, discrepancy: int, one: int, two: int) -> None:
        """A surer identity makes the references speak louder, never the other way round."""
        less, more = sorted((one, two))
        quiet, loud = (gallery_log_ratio(discrepancy, sure, DENSITIES) for sure in (less, more))

        assert abs(quiet) <= abs(loud)
        assert quiet * loud >= 0

    @given(discrepancies, discrepancies)
    def test_more_discrepancy_is_more_damage_when_sure(self, one: int, two: int) -> None:
        """With a certain identity the ratio rises with the discrepancy, as its table does."""
        near, far = sorted((one, two))

        assert gallery_log_ratio(near, MICRO, DENSITIES) <= gallery_log_ratio(far, MICRO, DENSITIES)

    def test_it_fades_with_confidence(self) -> None:
        """A discrepancy that says "damaged" by e^4 says next to nothing for an identity that is a guess."""
        assert gallery_log_ratio(300_000, MICRO, DENSITIES) > 4 * MICRO
        assert gallery_log_ratio(300_000, 1_000, DENSITIES) < MICRO // 100

    def test_a_wrong_product_explains_a_large_discrepancy(self) -> None:
        """One doubt in ten takes most of the weight off a discrepancy that a wrong identity would show, too."""
        assert gallery_log_ratio(300_000, 900_000, DENSITIES) < gallery_log_ratio(300_000, MICRO, DENSITIES) // 2


class TestFuse:
    """One score from the record."""

    @given(patterns, any_integer, st.none() | any_integer, any_integer, st.booleans())
    def test_any_record_has_a_bounded_score(
        self, pattern: Pattern, classifier: int, discrepancy: int | None, confidence_ppm: int, conflict: bool
    ) -> None:
        """Whatever integers a record holds, the score is an integer that Redis keeps exactly."""
        score = fuse(
            evidence(pattern=pattern, classifier=classifier, discrepancy=discrepancy),
            identity(confidence_ppm, conflict=conflict),
            CALIBRATION,
        )

        assert type(score) is int
        assert -MAX_SCORE <= score <= MAX_SCORE

    @given(patterns, st.integers(-MAX_SCORE, MAX_SCORE), st.none() | st.integers(0, 2 * MICRO), chance, st.booleans())
    def test_a_record_replays(
        self, pattern: Pattern, classifier: int, discrepancy: int | None, confidence_ppm: int, conflict: bool
    ) -> None:
        """Evidence, identity and calibration read back from JSON give the same score, to the last bit (P7)."""
        recorded = evidence(pattern=pattern, classifier=classifier, discrepancy=discrepancy)
        named = identity(confidence_ppm, conflict=conflict)

        again = fuse(
            codec.decode(Evidence, codec.encode(recorded)),
            codec.decode(Identity, codec.encode(named)),
            msgspec.json.decode(msgspec.json.encode(CALIBRATION), type=Calibration),
        )

        assert fuse(recorded, named, CALIBRATION) == again

    @given(st.integers(-10 * MICRO, 10 * MICRO), discrepancies)
    def test_an_unsure_identity_cannot_raise_an_alarm(self, classifier: int, discrepancy: int) -> None:
        """With no confidence the score is the classifier's alone, whatever the references say."""
        with_gallery = evidence(classifier=classifier, discrepancy=discrepancy)
        without = evidence(pattern=Pattern.CLASSIFIER, classifier=classifier, discrepancy=None)

        assert fuse(without, identity(0), CALIBRATION) == fuse(with_gallery, identity(0), CALIBRATION)

    @given(discrepancies, chance, chance)
    def test_the_gallery_term_is_monotone_in_confidence(self, discrepancy: int, one: int, two: int) -> None:
        """The weighted, clipped term keeps the order of the confidences."""
        quiet, loud = (
            abs(terms(evidence(discrepancy=discrepancy), identity(sure), CALIBRATION).gallery)
            for sure in sorted((one, two))
        )

        assert quiet <= loud + 1  # halves are rounded up, which is not symmetric about zero

    @given(st.integers(-10 * MICRO, 10 * MICRO), discrepancies, chance)
    def test_a_conflict_silences_the_gallery(self, classifier: int, discrepancy: int, sure: int) -> None:
        """When sources of identity disagree the score is the classifier's alone."""
        alone = evidence(pattern=Pattern.CLASSIFIER, classifier=classifier, discrepancy=None)

        assert fuse(alone, identity(0), CALIBRATION) == fuse(
            evidence(classifier=classifier, discrepancy=discrepancy), identity(sure, conflict=True), CALIBRATION
        )

    @given(patterns, st.integers(), st.integers(), st.none() | discrepancies, chance)
    def test_more_classifier_is_never_less_score(
        self, pattern: Pattern, one: int, two: int, discrepancy: int | None, sure: int
    ) -> None:
        """The score rises with the classifier's logit, all else equal."""
        low, high = (
            fuse(evidence(pattern=pattern, classifier=logit, discrepancy=discrepancy), identity(sure), CALIBRATION)
            for logit in sorted((one, two))
        )

        assert low <= high

    @given(st.integers(), st.integers(), st.integers(1, 10**8), st.data(), st.integers(-(10**9), 10**9))
    def test_nor_is_it_with_a_bent_line(self, one: int, two: int, slope: int, data: st.DataObject, knee: int) -> None:
        """However it bends, to the last millionth."""
        bend = data.draw(st.integers(1 - slope, 10**8))
        bent = replace(CALIBRATION, alone=Line(slope=slope, intercept=0, knee=knee, bend=bend))
        low, high = (
            fuse(evidence(pattern=Pattern.CLASSIFIER, classifier=logit, discrepancy=None), identity(0), bent)
            for logit in sorted((one, two))
        )

        assert low <= high

    def test_above_its_knee_a_line_is_steeper(self) -> None:
        """A worked example: at 2 as without a bend, at 5 half a logit more for each of the two above 3."""
        bent = replace(CALIBRATION, alone=Line(slope=1_200_000, intercept=30_000, knee=3 * MICRO, bend=500_000))
        scores = [
            fuse(evidence(pattern=Pattern.CLASSIFIER, classifier=logit * MICRO, discrepancy=None), identity(0), bent)
            for logit in (2, 5)
        ]

        assert [2_430_000 - 6_906_755, 7_030_000 - 6_906_755] == scores
        (line,) = [each for each in words(evidence(discrepancy=None), identity(0), bent) if "classifier says" in each]
        assert "times 1.200 +0.03 and 0.500 for each above +3.00" in line

    @given(discrepancies)
    def test_references_say_no_more_than_weight_times_clip(self, discrepancy: int) -> None:
        """However far a capture is from its references, their term is bounded."""
        bound = CALIBRATION.clip * CALIBRATION.by_code.weight // MICRO

        assert abs(terms(evidence(discrepancy=discrepancy), identity(MICRO), CALIBRATION).gallery) <= bound

    def test_it_adds_up_as_documented(self) -> None:
        """A worked example: slope x logit + intercept + weight x log-ratio + prior."""
        sure = evidence(classifier=2 * MICRO, discrepancy=200_000)  # a knot where damaged and intact are as likely

        assert 2 * MICRO + 250_000 - 6_906_755 == fuse(sure, identity(MICRO), CALIBRATION)


class TestWords:
    """What `sideline explain` says."""

    def test_each_term_has_its_line(self) -> None:
        """Prior, classifier, references and sum are named with their contributions."""
        lines = words(evidence(classifier=2 * MICRO, discrepancy=300_000), identity(), CALIBRATION)

        assert ["-6.91", "+2.25", "+1.20", "-3.45"] == [line.split()[0] for line in lines]
        assert "99.0 % sure of P-1 by its code, discrepancy 0.300" in lines[2]

    def test_each_coefficient_is_named(self) -> None:
        """So that a reader can do the sum: both lines, the weight and the bound of the references."""
        lines = words(evidence(classifier=2 * MICRO, discrepancy=300_000), identity(), CALIBRATION)

        assert "times 1.200 +0.03, with references times 1.000 +0.25" in lines[1]
        assert "by weight 0.400 and at most 3.00 either way" in lines[2]

    def test_silence_of_the_gallery_has_its_reason(self) -> None:
        """A conflict and missing references are told apart."""
        conflict = words(evidence(discrepancy=300_000), identity(conflict=True), CALIBRATION)
        missing = words(evidence(pattern=Pattern.CLASSIFIER, discrepancy=None), identity(), CALIBRATION)

        assert "disagree" in conflict[2]
        assert "none was compared" in missing[2]


class TestCalibrationFile:
    """The file the recipe writes and the workers read."""

    def test_it_survives_its_file(self, tmp_path: Path) -> None:
        """What is saved is what is loaded."""
        CALIBRATION.save(tmp_path / "fusion.json")

        assert CALIBRATION == Calibration.load(tmp_path / "fusion.json")

    def test_the_one_that_is_shipped_is_usable(self) -> None:
        """The file beside the models is read by this software, and its densities rise as they should."""
        shipped = Calibration.load(Path(__file__).parents[2] / DEFAULT_PATH)
        knots = range(len(shipped.by_code.densities.intact))
        densities = shipped.by_code.densities
        ratios = [gallery_log_ratio(densities.origin + knot * densities.step, MICRO, densities) for knot in knots]

        assert shipped.classifier.startswith("damage_classifier:")
        assert all(before <= after + 20_000 for before, after in pairwise(ratios))  # heights are rounded to integers

    def test_the_same_numbers_make_the_same_bytes(self, tmp_path: Path) -> None:
        """A calibration made twice shows no change in version control."""
        CALIBRATION.save(tmp_path / "one.json")
        Calibration.load(tmp_path / "one.json").save(tmp_path / "two.json")

        assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()

    @pytest.mark.parametrize(
        "change",
        [
            b"",
            b"[]",
            b"\xff\xfe",
            msgspec.json.encode(CALIBRATION).replace(b'"slope":1200000', b'"slope":0'),
            msgspec.json.encode(CALIBRATION).replace(b'"slope":1200000', b'"slope":1.5'),
            msgspec.json.encode(CALIBRATION).replace(b'"weight":400000', b'"weight":600000'),
            msgspec.json.encode(CALIBRATION).replace(b'"intact":[600,', b'"intact":['),
            msgspec.json.encode(CALIBRATION).replace(b'"intact":[600,', b'"intact":[0,'),
            msgspec.json.encode(CALIBRATION).replace(b'"clip"', b'"clap"'),
        ],
    )
    def test_a_damaged_file_stops_the_worker(self, tmp_path: Path, change: bytes) -> None:
        """Anything but a whole, consistent calibration is fatal and the message names the file and the fix."""
        path = tmp_path / "fusion.json"
        path.write_bytes(change)

        with pytest.raises(Fatal, match=r"fusion\.json.*make models"):
            Calibration.load(path)

    def test_a_missing_file_stops_the_worker(self, tmp_path: Path) -> None:
        """Without a calibration nothing can be decided, and the message says what to do."""
        with pytest.raises(Fatal, match=r"missing\.json.*make models"):
            Calibration.load(tmp_path / "missing.json")

    def test_a_line_that_falls_is_refused(self) -> None:
        """Above its knee, too, more evidence is more damage; a file of before has no knee and is read."""
        raw = msgspec.json.encode(CALIBRATION.alone)
        bent = raw.replace(b'"bend":0', b'"bend":-1200000')

        assert bent != raw
        with pytest.raises(msgspec.ValidationError, match="above the knee more evidence would be less damage"):
            msgspec.json.decode(bent, type=Line)
        assert Line(slope=1, intercept=2) == msgspec.json.decode(b'{"slope":1,"intercept":2}', type=Line)

    def test_other_models_are_refused(self) -> None:
        """A calibration says no to models it was not measured with, and yes to its own."""
        CALIBRATION.check(classifier="damage_classifier:1", embedding="gallery_embedding:1")
        with pytest.raises(Fatal, match="embedding 'gallery_embedding:1' but 'gallery_embedding:2'"):
            CALIBRATION.check(classifier="damage_classifier:1", embedding="gallery_embedding:2")


def values(line: Line, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a line makes of logits, as log-odds."""
    told: NDArray[np.float64] = (
        line.slope * logits + line.intercept + line.bend * np.maximum(logits - line.knee / MICRO, 0)
    )
    return told / MICRO


class TestFit:
    """Measuring a calibration."""

    def test_it_recovers_a_known_line(self) -> None:
        """Two unit Gaussians at +-1 have the log-likelihood ratio 2x, and that is what is found."""
        alone = fit(some_rows(count=6_000), version="v", classifier="c", embedding="e").alone

        assert abs(alone.slope - 2 * MICRO) < 150_000
        assert abs(alone.intercept) < 150_000

    @pytest.mark.parametrize("seed", range(4))
    def test_a_sure_classifier_is_fitted_too(self, seed: int) -> None:
        """Logits from -9 to 25, as of a network that learnt long: as many are damaged as the line promises.

        Newton's whole steps overshoot there and never come back. Some damage looks intact, so the truth is no straight
        line: at -4, 0 and 4 the log-likelihood ratio is -1.81, -0.84 and 3.89.
        """
        rng = np.random.default_rng(seed)
        damaged = rng.random(2_000) < 0.3
        seen = damaged & (rng.random(2_000) < 0.85)
        logits = np.where(seen, rng.normal(9, 5, 2_000), rng.normal(-3.8, 2.4, 2_000))
        rows = [
            FitRow(
                bool(hurt), round(logit * MICRO), Pattern.GALLERY_BY_CODE, 990_000, 150_000 + 100_000 * bool(hurt), 1
            )
            for hurt, logit in zip(damaged, logits, strict=True)
        ]
        alone = fit(rows, version="v", classifier="c", embedding="e").alone
        told = values(alone, logits) + math.log(damaged.mean() / (1 - damaged.mean()))

        assert abs((1 / (1 + np.exp(-told))).sum() - damaged.sum()) < 3
        assert pytest.approx([-1.81, -0.84, 3.89], abs=0.7) == values(alone, np.array([-4.0, 0.0, 4.0])).tolist()

    @pytest.mark.parametrize("bend", [0.8, -0.3])
    def test_a_line_bends_where_what_happened_does(self, bend: float) -> None:
        """Units are damaged as half a logit says, and above 3 by more of it, or by less: both lines are found."""
        rng = np.random.default_rng(7)
        logits = rng.uniform(-8, 8, 20_000)
        damaged = rng.random(20_000) < 1 / (1 + np.exp(-0.5 * logits - bend * np.maximum(logits - 3, 0)))
        rows = [
            FitRow(bool(hurt), round(logit * MICRO), Pattern.GALLERY_BY_CODE, MICRO, round(rng.normal(2e5, 5e4)), 1)
            for hurt, logit in zip(damaged, logits, strict=True)
        ]
        found = fit(rows, version="v", classifier="c", embedding="e")

        for line in (found.alone, found.by_code.line):
            rises = np.diff(values(line, np.array([-4.0, 0.0, 4.5, 7.5]))) / [4, 4.5, 3]
            assert pytest.approx(0.5, abs=0.06) == rises[0]
            assert pytest.approx(0.5 + bend, abs=0.2) == rises[2]

    def test_references_that_tell_get_weight(self) -> None:
        """A discrepancy that separates the classes is weighted up to the cap and moves the score both ways."""
        found = fit(some_rows(), version="v", classifier="c", embedding="e")
        near, far = (terms(evidence(discrepancy=value), identity(), found).gallery for value in (150_000, 250_000))

        assert found.weight_cap == found.by_code.weight
        assert near < 0 < far

    def test_references_that_tell_nothing_get_next_to_none(self) -> None:
        """A discrepancy that is the same for both classes hardly moves the score."""
        found = fit(some_rows(telling=0.0, count=6_000), version="v", classifier="c", embedding="e")
        moved = [abs(terms(evidence(discrepancy=d), identity(), found).gallery) for d in range(50_000, 300_000, 10_000)]

        assert max(moved) < MICRO // 4

    def test_the_live_prevalence_replaces_that_of_the_rows(self) -> None:
        """The prior is the log-odds on the line, and a rarer damage shifts every score alike."""
        rare, common = (
            fit(some_rows(), version="v", classifier="c", embedding="e", live_ppm=ppm) for ppm in (1_000, 40_000)
        )
        record = evidence(classifier=MICRO, discrepancy=200_000)

        assert (-6_906_755, -3_178_054) == (rare.prior, common.prior)
        assert common.prior - rare.prior == fuse(record, identity(), common) - fuse(record, identity(), rare)

    def test_scores_are_calibrated(self) -> None:
        """On fresh captures of the same kind the log-odds mean what they say, at the rows' own prevalence."""
        found = fit(some_rows(count=6_000), version="v", classifier="c", embedding="e", live_ppm=333_333)
        fresh = [row for row in some_rows(seed=4, count=6_000) if row.pattern is Pattern.GALLERY_BY_CODE]
        scores = [
            fuse(evidence(classifier=row.classifier, discrepancy=row.discrepancy), identity(row.confidence_ppm), found)
            for row in fresh
        ]
        promised = sum(1 / (1 + math.exp(-score / MICRO)) for score in scores)

        assert abs(promised - sum(row.damaged for row in fresh)) < 0.1 * sum(row.damaged for row in fresh)

    def test_too_few_rows_are_refused(self) -> None:
        """A handful of captures makes no calibration, and the message says what is missing."""
        with pytest.raises(Fatal, match="at least 20 damaged captures"):
            fit(some_rows(count=10), version="v", classifier="c", embedding="e")

    def test_rows_without_a_gallery_are_refused(self) -> None:
        """Without any discrepancy there is nothing to measure the gallery with."""
        bare = [FitRow(damaged=row.damaged, classifier=row.classifier) for row in some_rows()]

        with pytest.raises(Fatal, match="with a gallery pattern"):
            fit(bare, version="v", classifier="c", embedding="e")
