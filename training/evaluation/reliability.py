"""Whether a probability means what it says: of the captures given 20 %, one in five should be damaged.

A fused score is log-odds at the prevalence of a live line. A test set holds far more damage, so the line's prior is
taken out and the set's own put in before anything is compared. That changes no order, only the meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss

from schemas.words import MICRO
from training.evaluation.intervals import Interval, between

BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Captures of about the same probability."""

    said: float  # mean probability
    found: float  # share that was damaged
    captures: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities are from the truth; 0 is perfect in all three."""

    ece: float  # expected calibration error: the mean gap between said and found, bins of equal mass
    brier: float
    log_loss: float
    bins: tuple[Bin, ...]


def at_prevalence(score: NDArray[np.int64], prior: int, prevalence: float) -> NDArray[np.float64]:
    """Return float64[N] probabilities of damage where a share `prevalence` is damaged.

    Args:
        score: int64[N] fused scores, micro-log-odds.
        prior: the calibration's log-odds of damage before any evidence, micro, which every score holds.
        prevalence: share of damaged captures, between 0 and 1.
    """
    evidence = (np.asarray(score, np.float64) - prior) / MICRO
    return np.asarray(expit(evidence + logit(prevalence)), np.float64)


def ece_of(chance: NDArray[np.float64], damaged: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap between said and found, in bins of equal mass."""
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    gaps = (len(part) * abs(float(chance[part].mean() - damaged[part].mean())) for part in parts)
    return sum(gaps) / len(order)


def ece_doubt(
    chance: NDArray[np.float64], damaged: NDArray[np.bool_], product: NDArray[np.int64], *, draws: int, seed: int = 0
) -> Interval:
    """Return the interval of the calibration error over redrawn products, int64[N], 0 ..

    Few captures show gaps that are only luck, in each draw: the interval lies a little above the true error.
    """
    rows = np.argsort(product, kind="stable")
    starts = np.searchsorted(product[rows], np.arange(int(product.max()) + 2))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = rng.integers(len(starts) - 1, size=len(starts) - 1)
        kept = np.concatenate([rows[starts[each] : starts[each + 1]] for each in drawn])
        found.append(ece_of(chance[kept], damaged[kept]))
    return between(found)


def reliability(chance: NDArray[np.float64], damaged: NDArray[np.bool_], *, bins: int = BINS) -> Reliability:
    """Compare probabilities float64[N] with the truth bool[N]; N at least 1."""
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    shown = tuple(Bin(float(chance[part].mean()), float(damaged[part].mean()), len(part)) for part in parts)
    return Reliability(
        ece=ece_of(chance, damaged, bins=bins),
        brier=float(brier_score_loss(damaged, chance)),
        log_loss=float(log_loss(damaged, np.clip(chance, 1e-12, 1 - 1e-12), labels=[False, True])),
        bins=shown,
    )
