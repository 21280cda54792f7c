"""A threshold's first knowledge, from the scores of vetted negatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.words import MICRO

# The same numbers as in decision.lua, which says why.
BINS: Final = 512
BINS_PER_SCALE: Final = 16
BIN_OF_LOCATION: Final = 64
CLIP: Final = 2  # deviations count at most so many scales: outliers drag neither location nor scale
SCALE_MIN: Final = 1_000
WEIGHT: Final = 1 << 20
MIN_NEGATIVES: Final = 100
PRIOR_CAPTURES: Final = 3_000  # longer than the memory of location and scale: a day of live captures outweighs it
ROUNDS: Final = 50  # of clipping; the clipped mean of a long tail settles within them


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Location and scale in micro-log-odds, `captures` the weight of this knowledge, `masses` int[512].

    `certified` is the lowest threshold that these negatives certify, where there are enough of them.
    """

    captures: int
    location: int
    scale: int
    masses: tuple[int, ...]
    certified: int | None = None

    def arguments(self) -> list[int | str]:
        """Return what the script's operation `warm` takes, after the fusion version."""
        certified = "" if self.certified is None else self.certified
        return [self.captures, self.location, self.scale, certified, *self.masses]


def warm_start(
    negative_scores: Sequence[int], *, prior_captures: int = PRIOR_CAPTURES, alpha_ppm: int | None = None
) -> WarmStart:
    """Return what the threshold should know before the first capture.

    `negative_scores` are fused scores of intact units in micro-log-odds. They count as at most `prior_captures` live
    captures, and never as more than there are. With `alpha_ppm`, and enough of them to certify that rate, the threshold
    does not start below the certified one.

    Raises:
        ValueError: fewer than MIN_NEGATIVES scores, too few to know the tail of anything.
    """
    scores = sorted(negative_scores)
    if len(scores) < MIN_NEGATIVES:
        raise ValueError(
            f"{len(scores)} negatives are too few for a warm start: {MIN_NEGATIVES} at least, 299 certify 1 %"
        )
    count = len(scores)
    location, scale = _clipped(scores)
    captures = min(count, prior_captures)
    counts = [0] * BINS
    for score in scores:
        position = (score - location) * BINS_PER_SCALE // scale + BIN_OF_LOCATION
        counts[max(0, min(BINS - 1, position))] += 1
    masses = tuple(found * WEIGHT * captures // count for found in counts)
    return WarmStart(captures, location, scale, masses, _certified(scores, alpha_ppm))


def _clipped(scores: Sequence[int]) -> tuple[int, int]:
    """Return location and scale where the threshold's running means of clipped deviations would come to rest."""
    known, count = np.asarray(scores, np.int64), len(scores)
    location = scores[count // 2]
    scale = max(SCALE_MIN, scores[-1] - location, location - scores[0])
    for _ in range(ROUNDS):
        near = np.clip(known - location, -CLIP * scale, CLIP * scale)
        location += int(near.sum()) // count
        scale = max(SCALE_MIN, int(np.abs(near).sum()) // count)
    return location, scale


def _certified(scores: Sequence[int], alpha_ppm: int | None) -> int | None:
    try:
        return None if alpha_ppm is None else certified_threshold(scores, fpr_ppm=alpha_ppm)
    except ValueError:
        return None


def certified_threshold(negative_scores: Sequence[int], *, fpr_ppm: int, confidence_ppm: int = 950_000) -> int:
    """Return the lowest threshold that keeps the false-positive rate at or below `fpr_ppm` with the given confidence.

    For a configuration's `start_threshold`: an order statistic of vetted negatives, valid for any score distribution
    (Tong, Feng, Li: Neyman-Pearson classification algorithms and NP receiver operating characteristics, 2018).

    Raises:
        ValueError: there are too few negatives to certify that, naming how many it needs.
    """
    scores = sorted(negative_scores)
    count, rate = len(scores), fpr_ppm / MICRO
    doubt = 1 - confidence_ppm / MICRO
    violation, above = 0.0, -1  # the chance that more than `rate` of all negatives lie above the order statistic
    while above < count - 1:
        more = math.exp(
            math.lgamma(count + 1)
            - math.lgamma(above + 2)
            - math.lgamma(count - above)
            + (above + 1) * math.log(rate)
            + (count - above - 1) * math.log1p(-rate)
        )
        if violation + more > doubt:
            break
        violation, above = violation + more, above + 1
    if above < 0:
        need = math.ceil(math.log(doubt) / math.log1p(-rate))
        raise ValueError(f"{count} negatives cannot certify {fpr_ppm} ppm at {confidence_ppm} ppm: it needs {need}")
    return scores[count - 1 - above] + 1
