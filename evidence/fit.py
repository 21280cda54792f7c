"""Measure a calibration from captures with known truth, in plain numpy.

The training recipe calls it as

    rows = [FitRow(damaged=..., classifier=..., discrepancy=..., other=..., pattern=..., confidence_ppm=...), ...]
    fit(rows, version="2025-11-21", classifier="damage_classifier:1", embedding="gallery_embedding:1").save()

on captures that no model was trained on: one row a capture, its evidence made by `evidence.assemble` and
`evidence.discrepancy` exactly as in the inspector, its identity by `evidence.identity`. `other` is the discrepancy of
the same capture against references of some other product, drawn at random: what a wrong identity looks like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.calibration import Calibration, Densities, Gallery, Line
from evidence.identity_limits import IdentityLimits
from evidence.logistic import log_likelihood, logistic
from evidence.ratio import gallery_log_ratio
from schemas.faults import Fatal
from schemas.words import MICRO, Pattern

LIVE_PPM: Final = 1_000  # fewer than one item in a thousand is damaged
WEIGHT_CAP: Final = MICRO  # no more than the ratio says; less loses what references know (decision 0035)
CLIP: Final = 4 * MICRO  # e^4 = 55: what references may say at most, for or against
LEAST: Final = 20  # rows of each class; below that a fit is noise
KNOTS: Final = 33
SCALE: Final = 10**6  # height of the highest knot
FLATTEST: Final = 0.01  # slope of a line: more evidence is more damage, however little
KNEES: Final = tuple(np.arange(0.5, 0.96, 0.05).tolist())  # quantiles of the logits at which a line may bend
FLOOR: Final = 0.01  # share of a flat density mixed in: what was never seen is unlikely, not impossible

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitRow:
    """One capture with known truth; the scores are the recorded integers."""

    damaged: bool
    classifier: int
    pattern: Pattern = Pattern.CLASSIFIER  # what the identity of this capture allowed
    confidence_ppm: int = 0  # of that identity
    discrepancy: int | None = None  # against the references of its own product
    other: int | None = None  # against those of another product


def fit(
    rows: Sequence[FitRow],
    *,
    version: str,
    classifier: str,
    embedding: str,
    limits: IdentityLimits | None = None,
    live_ppm: int = LIVE_PPM,
    weight_cap: int = WEIGHT_CAP,
) -> Calibration:
    """Return the calibration that fits the rows.

    The classifier's line is a logistic regression on all rows, bent at a knee where that tells enough. For the gallery,
    three densities are measured, then line and weight are fitted together on the pattern's rows, starting from the
    classifier's own line; the weight is held between zero and the cap. A pattern with too few rows is fitted on those
    of both.

    Args:
        rows: at least 20 damaged and 20 intact ones; each density needs 20, too.
        version: name of the result, recorded in every decision.
        classifier: model version that made the rows, as `evidence.triton` reports it.
        embedding: likewise.
        limits: of identification, see `evidence.limits.fit_limits`.
        live_ppm: share of damaged units on the line where it will be used.
        weight_cap: upper bound of the gallery's weight, millionths.

    Raises:
        Fatal: too few rows, naming what is missing.
    """
    damaged = np.array([row.damaged for row in rows], dtype=bool)
    _need("damaged captures", int(damaged.sum()))
    _need("intact captures", int((~damaged).sum()))
    logits = np.array([row.classifier for row in rows], dtype=np.float64) / MICRO
    alone = _fit_alone(logits, damaged)
    compared = [row for row in rows if row.discrepancy is not None]
    by_code, code_rows = _fit_gallery(compared, Pattern.GALLERY_BY_CODE, alone, weight_cap)
    by_image, image_rows = _fit_gallery(compared, Pattern.GALLERY_BY_IMAGE, alone, weight_cap)
    return Calibration(
        version=version,
        classifier=classifier,
        embedding=embedding,
        prior=round(_logit(live_ppm / MICRO) * MICRO),
        alone=alone.line(),
        by_code=by_code,
        by_image=by_image,
        weight_cap=weight_cap,
        clip=CLIP,
        limits=limits or IdentityLimits(),
        measured=[
            f"{len(rows)} captures, {int(damaged.sum())} of them damaged",
            f"gallery by code on {code_rows} captures, by image on {image_rows}",
            f"prior: {live_ppm} of a million units are damaged on the line",
        ],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Bent:
    """A line in plain numbers: float64[3] slope, intercept and bend, and the knee."""

    numbers: Floats
    knee: float

    def features(self, logits: Floats) -> Floats:
        """Return float64[rows, 3], what the numbers are multiplied with."""
        return np.stack([logits, np.ones_like(logits), np.maximum(logits - self.knee, 0)], axis=1)

    def rising(self) -> _Bent:
        """Return it with a slope of at least `FLATTEST`, on both sides of the knee."""
        slope, intercept, bend = self.numbers.tolist()
        slope = max(slope, FLATTEST)
        return _Bent(np.array([slope, intercept, max(bend, FLATTEST - slope)]), self.knee)

    def line(self) -> Line:
        """Return it in millionths."""
        slope, intercept, bend = (round(number * MICRO) for number in self.numbers.tolist())
        return Line(slope=slope, intercept=intercept, knee=round(self.knee * MICRO), bend=bend)


def _fit_alone(logits: Floats, damaged: NDArray[np.bool_]) -> _Bent:
    """Return the line to the classifier's log-likelihood ratio, bent where that is worth two more numbers.

    It is where the log-likelihood gets better by the logarithm of the rows (Schwarz 1978).
    """
    offset = np.full_like(logits, _logit(float(damaged.mean())))
    straight = _Bent(np.array([1.0, 0.0, 0.0]), 0.0)
    features = straight.features(logits)[:, :2]
    found = logistic(features, damaged, offset, prior=straight.numbers[:2])
    best = _Bent(np.array([*found, 0.0]), 0.0)
    worth = log_likelihood(features, damaged, offset, found)
    worth += math.log(len(logits))
    for knee in np.quantile(logits, KNEES).tolist():
        features = _Bent(straight.numbers, knee).features(logits)
        found = logistic(features, damaged, offset, prior=straight.numbers)
        if (likely := log_likelihood(features, damaged, offset, found)) > worth:
            best, worth = _Bent(found, knee), likely
    return best.rising()


def _fit_gallery(compared: Sequence[FitRow], pattern: Pattern, alone: _Bent, weight_cap: int) -> tuple[Gallery, int]:
    """Return the gallery's part of one pattern and on how many rows it was fitted."""
    own = [row for row in compared if row.pattern is pattern]
    if min(sum(row.damaged for row in own), sum(not row.damaged for row in own)) < 5 * LEAST:
        own = [row for row in compared if row.pattern is not Pattern.CLASSIFIER]
    densities = _densities(own)
    damaged = np.array([row.damaged for row in own], dtype=bool)
    sure = np.array([row.confidence_ppm for row in own], dtype=np.float64) / MICRO
    logits = np.array([row.classifier for row in own], dtype=np.float64) / MICRO
    ratios = [gallery_log_ratio(row.discrepancy or 0, row.confidence_ppm, densities) for row in own]
    ratio = np.clip(np.array(ratios, dtype=np.float64), -CLIP, CLIP) / MICRO
    # As evidence.fusion adds up: (1 - q) of the classifier's own line, q of the line looked for, the ratio beside it.
    features = alone.features(logits)
    offset = _logit(float(damaged.mean())) + (1 - sure) * (features @ alone.numbers)
    line_features = sure[:, None] * features
    if not alone.numbers[2]:
        line_features = line_features[:, :2]  # what is straight alone is straight beside references
    prior = alone.numbers[: line_features.shape[1]]
    both = logistic(np.column_stack([line_features, ratio]), damaged, offset, prior=np.array([*prior, 0.0]))
    weight = min(max(float(both[-1]), 0.0), weight_cap / MICRO)
    found = logistic(line_features, damaged, offset + weight * ratio, prior=prior)
    line = _Bent(np.array([*found, 0.0][:3]), alone.knee).rising()
    return Gallery(line=line.line(), weight=int(weight * MICRO), densities=densities), len(own)


def _densities(rows: Sequence[FitRow]) -> Densities:
    """Measure the three densities, with f1/f0 made to rise: more discrepancy is never a sign of less damage."""
    right = [(row.damaged, row.discrepancy) for row in rows if row.discrepancy is not None]
    damaged = np.array([value for is_damaged, value in right if is_damaged], dtype=np.float64)
    intact = np.array([value for is_damaged, value in right if not is_damaged], dtype=np.float64)
    other = np.array([row.other for row in rows if row.other is not None], dtype=np.float64)
    for name, values in (("damaged", damaged), ("intact", intact), ("wrongly identified", other)):
        _need(f"discrepancies of {name} captures with a gallery pattern", len(values))
    everything = np.concatenate([damaged, intact, other])
    low, high = float(everything.min()), float(everything.max())
    step = max(1, math.ceil((high - low) / (KNOTS - 1)))
    knots = math.floor(low) + step * np.arange(KNOTS, dtype=np.float64)
    f1, f0, fw = (_density(values, knots) for values in (damaged, intact, other))
    both = f0 + f1  # kept, so that the share of the damaged is all that changes
    share = 1 / (1 + np.exp(-_rising(np.log(f1 / f0), both)))
    f1, f0 = both * share, both * (1 - share)
    top = max(f1.max(), f0.max(), fw.max())
    tables = [[max(1, round(float(height) / top * SCALE)) for height in density] for density in (f1, f0, fw)]
    return Densities(origin=int(knots[0]), step=step, damaged=tables[0], intact=tables[1], other=tables[2])


def _density(values: Floats, knots: Floats) -> Floats:
    """Return a Gaussian kernel estimate at the knots, sum 1, with a flat share; bandwidth by Silverman's rule."""
    spread = min(float(values.std()), float(np.subtract(*np.percentile(values, [75, 25]))) / 1.34)
    width = max(0.9 * spread * len(values) ** -0.2, knots[1] - knots[0])
    kernels = np.exp(-0.5 * ((knots[:, None] - values[None, :]) / width) ** 2).sum(axis=1)
    density: Floats = (1 - FLOOR) * kernels / kernels.sum() + FLOOR / len(knots)
    return density


def _rising(values: Floats, weights: Floats) -> Floats:
    """Return the nearest non-decreasing sequence in weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (left, left_weight, left_length), (right, right_weight, right_length) = blocks[-2:]
            total = left_weight + right_weight
            mean = (left * left_weight + right * right_weight) / total
            blocks[-2:] = [(mean, total, left_length + right_length)]
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _need(what: str, found: int) -> None:
    if found < LEAST:
        raise Fatal(f"a calibration needs at least {LEAST} {what}, the rows hold {found}: render more test captures.")
