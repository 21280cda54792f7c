"""What a row of scores is worth: the challenge's figures, and those that count where damage is rare.

At 1 % false positives an excellent classifier is right about one alarm in twenty on a line with one damaged unit in a
thousand. So recall is told at rates that a line could bear, with the doubt there is; a rate that the test set is too
small for is refused in words instead of guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.evaluation.intervals import DRAWS, UNKNOWN, Interval, between, exact, intact_needed, redrawn
from training.scores import auroc, average_precision, recall_at, recall_at_precision, threshold_at

RATES: Final = (1e-2, 1e-3, 5e-4)  # of false positives
ALWAYS: Final = 1e-2  # this rate is one of the challenge's: told however small the set, doubt included


@dataclass(frozen=True, slots=True)
class Official:
    """The challenge's figures; NaN where the set holds only one class."""

    ap_any: float  # average precision of damage
    ap_major: float  # of major damage among intact ones: captures with minor damage are dropped
    auroc: float
    recall_at_half_precision: float
    recall_at_1_percent_fpr: float


@dataclass(frozen=True, slots=True)
class OfficialDoubt:
    """Between which values each of the challenge's figures lies over redrawn products."""

    ap_any: Interval
    ap_major: Interval
    auroc: Interval
    recall_at_half_precision: Interval
    recall_at_1_percent_fpr: Interval


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at a false positive rate. `refused` says why there is none."""

    rate: float
    refused: str = ""
    recall: float = float("nan")
    given_threshold: Interval = UNKNOWN  # exact, the threshold taken as given
    over_products: Interval = UNKNOWN  # threshold measured anew on redrawn products
    threshold: float = float("nan")  # of the scores, in their own unit
    alarms: int = 0  # false ones above the threshold
    rate_may_be: Interval = UNKNOWN  # exact, of the rate at this threshold
    precision: float = float("nan")  # at the stated prevalence


def official(scores: NDArray[np.float64], damaged: NDArray[np.bool_], major: NDArray[np.bool_]) -> Official:
    """Return the challenge's figures for scores float64[N] and truths bool[N]."""
    told = major | ~damaged
    return Official(
        ap_any=average_precision(scores, damaged),
        ap_major=average_precision(scores[told], major[told]),
        auroc=auroc(scores, damaged),
        recall_at_half_precision=recall_at_precision(scores, damaged, 0.5),
        recall_at_1_percent_fpr=recall_at(scores, damaged, 0.01),
    )


def official_doubt(
    scores: NDArray[np.float64],
    damaged: NDArray[np.bool_],
    major: NDArray[np.bool_],
    product: NDArray[np.int64],
    *,
    draws: int = DRAWS,
) -> OfficialDoubt:
    """Return the intervals of `official`: whole products redrawn, int64[N], 0 .."""
    curves = list(redrawn(scores, damaged, product, draws=draws))
    told = major | ~damaged
    of_major = [curve.average_precision() for curve in redrawn(scores[told], major[told], product[told], draws=draws)]
    return OfficialDoubt(
        ap_any=between([curve.average_precision() for curve in curves]),
        ap_major=between(of_major),
        auroc=between([curve.auroc() for curve in curves]),
        recall_at_half_precision=between([curve.recall_at_precision(0.5) for curve in curves]),
        recall_at_1_percent_fpr=between([curve.recall_at(0.01) for curve in curves]),
    )


def recall_with_doubt(
    scores: NDArray[np.float64],
    damaged: NDArray[np.bool_],
    product: NDArray[np.int64],
    rate: float,
    *,
    prevalence: float,
    draws: int = DRAWS,
) -> Recall:
    """Return the recall at a false positive rate with its intervals, or the reason why it cannot be told.

    Args:
        scores: float64[N].
        damaged: bool[N].
        product: int64[N], 0 ..
        rate: false positives allowed, a share.
        prevalence: of damage on the line that the precision is stated for.
        draws: of products, for the second interval.
    """
    intact, hurt = int((~damaged).sum()), int(damaged.sum())
    needed = 1 if rate == ALWAYS else intact_needed(rate)
    if not hurt or intact < needed:
        few = f"{intact:,} intact captures, {needed:,} are needed" if hurt else "no damaged captures"
        return Recall(rate, refused=f"recall at a false positive rate of {rate:g} cannot be told from {few}")
    threshold = threshold_at(scores, damaged, rate)
    hits, alarms = int((scores[damaged] > threshold).sum()), int((scores[~damaged] > threshold).sum())
    recall = hits / hurt
    return Recall(
        rate=rate,
        recall=recall,
        given_threshold=exact(hits, hurt),
        over_products=between([curve.recall_at(rate) for curve in redrawn(scores, damaged, product, draws=draws)]),
        threshold=threshold,
        alarms=alarms,
        rate_may_be=exact(alarms, intact),
        precision=precision_at(recall, alarms / intact, prevalence),
    )


def precision_at(recall: float, false_positive_rate: float, prevalence: float) -> float:
    """Return the share of right alarms where a share `prevalence` of the units is damaged; NaN without any alarm."""
    right, wrong = prevalence * recall, (1 - prevalence) * false_positive_rate
    return right / (right + wrong) if right + wrong else float("nan")
