"""Fit the head: a logistic regression on features of unit length, its logits turned into log-odds that can be believed.

With as many numbers a picture as there are pictures or more, a regression separates its own training set: its logits
there say nothing. So the strength of its penalty and the scale of its logits are both measured on pictures that were
left out, whole captures and products at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from schemas.faults import Fatal

STRENGTHS: Final = (1.0, 10.0, 100.0, 1000.0)  # inverse penalties, as scikit-learn counts them
FOLDS: Final = 5
LEAST: Final = 10  # captures of each class: fewer cannot be folded
LARGE: Final = 4_000  # rows; from here on one round of folds says what ten say on fewer

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One linear answer: log-odds = features @ weights + bias."""

    weights: Floats  # float64[D]
    bias: float
    strength: float  # the penalty's inverse; 0 for a constant

    def __call__(self, features: Floats) -> Floats:
        """Return float64[N] log-odds for float64[N, D]."""
        return np.asarray(features @ self.weights + self.bias, np.float64)


def constant(share: float, width: int) -> Answer:
    """Return the answer that is the same for every picture."""
    return Answer(np.zeros(width), float(np.log(share / (1 - share))), 0.0)


def fit_answer(features: Floats, truth: Bools, groups: Groups, *, seed: int) -> Answer:
    """Fit a calibrated answer on float64[N, D] rows. Rows of one group are never on both sides of a fold."""
    narrow, back = _narrowed(features)
    folds = list(split(truth, groups, seed=seed))
    logits = {strength: _left_out(narrow, truth, folds, strength) for strength in STRENGTHS}
    scales = {strength: _platt(each, truth) for strength, each in logits.items()}
    # Compared as log-odds, or a strong penalty would lose for its small logits alone.
    strength = min(STRENGTHS, key=lambda each: _surprise(logits[each] * scales[each][0] + scales[each][1], truth))
    slope, offset = scales[strength]
    weights, bias = _regression(narrow, truth, strength)
    return Answer(slope * (back @ weights), slope * bias + offset, strength)


def split(truth: Bools, groups: Groups, *, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows to learn from and rows to measure on, five times, each class in every fold where that is possible.

    Raises:
        Fatal: too few products to keep some apart.
    """
    distinct = len(np.unique(groups))
    count = int(min(FOLDS, truth.sum(), (~truth).sum(), distinct))
    if count < 2:  # noqa: PLR2004 - one fold leaves nothing to learn from
        raise Fatal(f"captures of {distinct} products cannot be folded: what is measured has to be of other products")
    if distinct == len(groups):
        yield from StratifiedKFold(n_splits=count, shuffle=True, random_state=seed).split(truth[:, None], truth)
    else:
        folds = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
        yield from folds.split(truth[:, None], truth, groups)


def _narrowed(features: Floats) -> tuple[Floats, Floats]:
    """Return the rows in the space they span, float64[N, R], and the way back, float64[D, R].

    A ridge penalty never leaves that space, so with fewer pictures than features this changes nothing but the time.
    """
    if features.shape[0] >= features.shape[1]:
        return features, np.eye(features.shape[1])
    left, sizes, right = np.linalg.svd(features, full_matrices=False)
    return left * sizes, right.T


def _regression(features: Floats, truth: Bools, strength: float) -> tuple[Floats, float]:
    model = LogisticRegression(C=strength, max_iter=2_000).fit(features, truth)
    return np.asarray(model.coef_[0], np.float64), float(model.intercept_[0])


def _left_out(
    features: Floats, truth: Bools, folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]], strength: float
) -> Floats:
    """Return each row's logit by a regression that did not see it."""
    logits = np.zeros(len(truth))
    for learn, measure in folds:
        if truth[learn].all() or not truth[learn].any():  # one group holds a whole class
            continue
        weights, bias = _regression(features[learn], truth[learn], strength)
        logits[measure] = features[measure] @ weights + bias
    return logits


def _surprise(logits: Floats, truth: Bools) -> float:
    """Return the mean negative log-likelihood."""
    return float(np.logaddexp(0, np.where(truth, -logits, logits)).mean())


def _platt(logits: Floats, truth: Bools) -> tuple[float, float]:
    """Return slope and offset that make logits log-odds (Platt 1999, with his targets, never quite 0 or 1)."""
    sure, never = (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2)
    wanted = np.where(truth, sure, never)
    model = LogisticRegression(C=1e6, max_iter=2_000).fit(
        np.concatenate([logits, logits])[:, None],
        np.repeat([True, False], len(truth)),
        sample_weight=np.concatenate([wanted, 1 - wanted]),
    )
    # Never downwards: where left-out logits are no better than chance, the answer is next to the base rate.
    return max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])
