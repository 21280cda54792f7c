"""Figures of merit, as the official Kaputt challenge computes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auroc(scores: Sequence[float] | NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive scores above a negative, ties counted half; NaN without one of them."""
    values = np.asarray(scores, np.float64)
    if not positive.any() or positive.all():
        return float("nan")
    below = np.searchsorted(np.sort(values[~positive]), values[positive], side="left")
    upto = np.searchsorted(np.sort(values[~positive]), values[positive], side="right")
    return float((below + upto).mean() / 2 / (~positive).sum())


def recall_at(scores: Sequence[float] | NDArray[np.float64], positive: NDArray[np.bool_], rate: float) -> float:
    """Return the best true positive rate at a false positive rate of at most `rate`."""
    values = np.asarray(scores, np.float64)
    negatives = np.sort(values[~positive])[::-1]
    allowed = int(rate * len(negatives))
    limit = negatives[allowed] if allowed < len(negatives) else -np.inf
    return float((values[positive] > limit).mean())
