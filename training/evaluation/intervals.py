"""How far a measured share may be from the true one.

Two kinds of doubt. With the threshold taken as given, a count of hits is binomial: Clopper and Pearson's interval is
exact. But the threshold was measured, too, on few intact captures that share products and thereby luck: so whole
products are drawn anew with replacement, threshold and recall found again each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

CONFIDENCE: Final = 0.95
DRAWS: Final = 1_000
ALARMS_NEEDED: Final = 20  # a rate is told from so many false alarms: the true one is then within a factor of 1.6


@dataclass(frozen=True, slots=True)
class Interval:
    """Between which values the true one lies, with a confidence of 95 %."""

    low: float
    high: float


UNKNOWN: Final = Interval(0.0, 1.0)


def exact(hits: int, tries: int) -> Interval:
    """Return Clopper and Pearson's interval of a share (Biometrika 26, 1934); of no tries it is all there is."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, tries - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, tries - hits)) if hits < tries else 1.0
    return Interval(low, high)


def intact_needed(rate: float) -> int:
    """Return how many intact captures a false positive rate takes to be told."""
    return round(ALARMS_NEEDED / rate)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Damaged and intact captures counted down from the highest score: int64[steps], one step for equal scores.

    The same figures as in `training.scores`, from counts: captures may count several times, or not at all.
    """

    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]

    def auroc(self) -> float:
        """Return the chance that a damaged capture scores above an intact one, ties counted half."""
        more, before = np.diff(self.alarms, prepend=0), np.concatenate([[0], self.hits[:-1]])
        above = float((more * (before + self.hits) / 2).sum())
        return above / float(self.hits[-1] * self.alarms[-1])

    def average_precision(self) -> float:
        """Return the mean over damaged captures of the precision at their score."""
        precision = self.hits / np.maximum(self.hits + self.alarms, 1)
        return float((np.diff(self.hits, prepend=0) * precision).sum() / self.hits[-1])

    def recall_at_precision(self, precision: float) -> float:
        """Return the best recall at which at least so many alarms are right."""
        fine = self.hits >= precision * (self.hits + self.alarms)
        return float(self.hits[fine].max(initial=0) / self.hits[-1])

    def recall_at(self, rate: float) -> float:
        """Return the best recall at a false positive rate of at most `rate`."""
        kept = int(np.searchsorted(self.alarms, int(rate * self.alarms[-1] * (1 + 1e-12)), side="right"))
        return float(self.hits[kept - 1] / self.hits[-1]) if kept else 0.0


def redrawn(
    scores: NDArray[np.float64],
    damaged: NDArray[np.bool_],
    product: NDArray[np.int64],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Iterator[Curve]:
    """Yield the curves of products drawn anew; draws without damaged or without intact captures are left out.

    Args:
        scores: float64[N].
        damaged: bool[N].
        product: int64[N], 0 ..: what is drawn together.
        draws: how often.
        seed: of the draws.
    """
    order = np.argsort(-scores, kind="stable")
    falling, hurt, own = scores[order], damaged[order], product[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    products = int(product.max()) + 1
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        times = np.bincount(rng.integers(products, size=products), minlength=products)[own]
        curve = Curve(np.cumsum(times * hurt)[ends], np.cumsum(times * ~hurt)[ends])
        if curve.hits[-1] and curve.alarms[-1]:
            yield curve


def between(values: Sequence[float]) -> Interval:
    """Return between which values 95 % of the given ones lie; everything where there are none."""
    if not values:
        return UNKNOWN
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
