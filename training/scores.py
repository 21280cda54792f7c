"""Figures of merit of one row of scores, as the official Kaputt challenge computes them.

Standard statistics are scikit-learn's; what it has no name for is written out. All of them depend on the order of the
scores only. Average precision and recall at a precision depend on the share of positives as well: compare them only at
a data set's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

Scores = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]
Truth = NDArray[np.bool_]

NONE: Final = float("nan")  # what cannot be told: there is no positive, or no negative


def auroc(scores: Scores, positive: Truth) -> float:
    """Return the chance that a positive scores above a negative, ties counted half; NaN without one of them."""
    return float(roc_auc_score(positive, np.asarray(scores, np.float64))) if _both(positive) else NONE


def average_precision(scores: Scores, positive: Truth) -> float:
    """Return the mean over positives of the precision at their score (no interpolation); NaN without one of them."""
    return float(average_precision_score(positive, np.asarray(scores, np.float64))) if _both(positive) else NONE


def recall_at_precision(scores: Scores, positive: Truth, precision: float) -> float:
    """Return the best recall at which at least so many of the alarms are right; 0 where that is never so."""
    if not _both(positive):
        return NONE
    precisions, recalls, _ = precision_recall_curve(positive, np.asarray(scores, np.float64))
    return float(recalls[precisions >= precision].max())


def recall_at(scores: Scores, positive: Truth, rate: float) -> float:
    """Return the best true positive rate at a false positive rate of at most `rate`."""
    values = np.asarray(scores, np.float64)
    return float((values[positive] > threshold_at(values, positive, rate)).mean()) if positive.any() else NONE


def threshold_at(scores: Scores, positive: Truth, rate: float) -> float:
    """Return the score that at most so many of the negatives lie above; -inf where all of them may."""
    negatives = np.sort(np.asarray(scores, np.float64)[~positive])[::-1]
    allowed = int(rate * len(negatives) * (1 + 1e-12))  # 0.29 x 100 is 28.999999999999996
    return float(negatives[allowed]) if allowed < len(negatives) else -np.inf


def _both(positive: Truth) -> bool:
    return bool(positive.any() and not positive.all())
