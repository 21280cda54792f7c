"""Do things that have nothing to do with damage tell damaged from intact? Then a model will learn them instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.scores import auroc

LEAST: Final = 20  # samples of either label: with fewer, chance tells them apart as well
WARN: Final = 0.65
SPOIL: Final = 0.90
_SURE: Final = 4.0  # standard errors from 0.5; with a dozen statistics a chance hit is one in a thousand data sets
_MOST_VALUES: Final = 50  # of a category


@dataclass(frozen=True, slots=True)
class Telltale:
    """A statistic and the AUROC with which it tells damaged from intact, whichever way round."""

    name: str
    auroc: float


def telltales(
    numbers: Mapping[str, Sequence[float]], words: Mapping[str, Sequence[str]], damaged: Sequence[bool]
) -> list[Telltale]:
    """Return the statistics that tell more than `WARN`, and surely more than chance; the worst first.

    A category (camera, format) is scored by the rate of damage among the other half of its samples, so that rare values
    do not look telling because they were seen.
    """
    truth = np.asarray(damaged, bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < LEAST:
        return []
    error = float(np.sqrt((positives + negatives + 1) / (12 * positives * negatives)))  # of a U statistic by chance
    found = []
    scored = {name: np.asarray(values, np.float64) for name, values in numbers.items()}
    scored |= {name: _rates(values, truth) for name, values in words.items() if 1 < len(set(values)) <= _MOST_VALUES}
    for name, values in scored.items():
        area = auroc(values, truth)
        telling = max(area, 1 - area)
        if telling >= WARN and telling - 0.5 >= _SURE * error:
            found.append(Telltale(name, telling))
    return sorted(found, key=lambda tale: -tale.auroc)


def _rates(values: Sequence[str], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each sample the rate of damage among those of its category in the other half."""
    names = np.unique(np.asarray(values, object).astype(str), return_inverse=True)[1]
    half = np.random.default_rng(0).permutation(len(truth)) % 2
    rates = np.empty(len(truth))
    for side in (0, 1):
        other = half != side
        seen = np.bincount(names[other], minlength=names.max() + 1)
        hurt = np.bincount(names[other], weights=truth[other], minlength=names.max() + 1)
        rates[half == side] = ((hurt + truth.mean()) / (seen + 1))[names[half == side]]
    return rates
