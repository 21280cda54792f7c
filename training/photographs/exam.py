"""How good the whole procedure is on captures it did not see: folds in folds, so that nothing was chosen on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.photographs.head import FOLDS, LARGE, Bools, Floats, Groups, fit_answer, split
from training.scores import auroc, recall_at

ROUNDS: Final = 10
BINS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Captures and their scores when they were left out, one column a round; a capture's score is its worst view's."""

    truth: Bools  # bool[C]
    scores: Floats  # float64[C, rounds], log-odds
    folds: Floats  # float64[rounds x folds], AUROC

    @property
    def mean(self) -> Floats:
        """The mean log-odds of each capture over the rounds."""
        return np.asarray(self.scores.mean(axis=1), np.float64)

    @property
    def chances(self) -> Floats:
        """Each capture's probability in each round, float64[C x rounds]."""
        return np.asarray(1 / (1 + np.exp(-self.scores.ravel())), np.float64)

    @property
    def truths(self) -> Bools:
        """The truth beside `chances`."""
        return np.repeat(self.truth, self.scores.shape[1])

    def figures(self) -> dict[str, float]:
        """Return what a card states."""
        low, high = interval(self.mean, self.truth)
        rounds = [auroc(column, self.truth) for column in self.scores.T]
        return {
            "fold_auroc_mean": float(self.folds.mean()),
            "fold_auroc_lowest": float(self.folds.min()),
            "fold_auroc_deviation": float(self.folds.std()),
            "auroc_of_rounds_lowest": float(min(rounds)),
            "auroc_of_rounds_highest": float(max(rounds)),
            "auroc_95_percent_from": low,
            "auroc_95_percent_to": high,
            "recall_at_5_percent_fpr": recall_at(self.mean, self.truth, 0.05),
            "expected_calibration_error": calibration_error(self.chances, self.truths),
            "brier": float(((self.chances - self.truths) ** 2).mean()),
        }


def examine(
    features: Floats,
    truth: Bools,
    captures: Groups,
    groups: Groups,
    *,
    seed: int,
    rounds: int = ROUNDS,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Sheet:
    """Fit and measure in rounds of five folds, a single round where there are many rows.

    Args:
        features: float64[N, D], one row a view.
        truth: bool[N].
        captures: int64[N], 0 .. C-1: whose view a row is.
        groups: int64[N]: what must not be split, captures or products.
        seed: of the folds.
        rounds: how often.
        tell: called after each fold with how many are done, and of how many.
    """
    rounds = rounds if len(truth) <= LARGE else 1
    count = int(captures.max()) + 1
    whole, scores, folds = np.zeros(count, bool), np.full((count, rounds), -np.inf), []
    np.logical_or.at(whole, captures, truth)
    for number in range(rounds):
        for learn, measure in split(truth, groups, seed=seed + number):
            answer = fit_answer(features[learn], truth[learn], groups[learn], seed=seed + number)
            np.maximum.at(scores[:, number], captures[measure], answer(features[measure]))
            seen = np.unique(captures[measure])
            folds.append(auroc(scores[seen, number], whole[seen]))
            tell(len(folds), rounds * FOLDS)
    return Sheet(whole, scores, np.asarray([fold for fold in folds if not np.isnan(fold)], np.float64))


def interval(scores: Floats, truth: Bools) -> tuple[float, float]:
    """Return the 95 % interval of the AUROC by DeLong's variance (DeLong et al. 1988), within 0 and 1."""
    ill, well = np.sort(scores[truth]), np.sort(scores[~truth])
    beaten = (np.searchsorted(well, ill, side="left") + np.searchsorted(well, ill, side="right")) / 2 / len(well)
    beating = 1 - (np.searchsorted(ill, well, side="left") + np.searchsorted(ill, well, side="right")) / 2 / len(ill)
    area = float(beaten.mean())
    spread = 1.96 * float(np.sqrt(beaten.var(ddof=1) / len(ill) + beating.var(ddof=1) / len(well)))
    return max(0.0, area - spread), min(1.0, area + spread)


def calibration_error(chances: Floats, truth: Bools) -> float:
    """Return the expected calibration error: |said - happened| over ten equal bins, weighted by their captures."""
    said, happened, counts = bins(chances, truth)
    return float(np.abs(said - happened) @ counts / counts.sum())


def bins(chances: Floats, truth: Bools) -> tuple[Floats, Floats, NDArray[np.float64]]:
    """Return of each bin that is not empty: the mean chance said, the share damaged, and how many there are."""
    place = np.minimum((chances * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS).astype(np.float64)
    kept = counts > 0
    said = np.bincount(place, weights=chances, minlength=BINS)[kept] / counts[kept]
    happened = np.bincount(place, weights=truth, minlength=BINS)[kept] / counts[kept]
    return said, happened, counts[kept]
