"""The controllers of a race: how each starts from vetted negatives, and its compiled step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.budget import others, ours
from budget.config import BudgetConfig
from budget.threshold import Threshold
from budget.warm import warm_start
from schemas.words import MICRO

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Start:
    """What a controller knows before its first capture."""

    state: Array
    memory: Array
    threshold: int


@dataclass(frozen=True, slots=True)
class Entrant:
    """A controller. `start` takes scores int64[M] of intact units, the balance and pending tokens, and the rules."""

    name: str
    step: Callable[..., Any]
    start: Callable[[Ints, int, int, BudgetConfig], Start]


def _ours(negatives: Ints, balance: int, pending: int, config: BudgetConfig) -> Start:
    start = warm_start(negatives.tolist(), alpha_ppm=config.alpha_ppm)
    threshold = Threshold.warm(start, balance=balance, pending=pending, config=config)
    return Start(*ours.warmed(threshold), threshold.value)


def _histogram(negatives: Ints, _balance: int, _pending: int, config: BudgetConfig) -> Start:
    """Start as design section 5 had it: mean and mean deviation, the negatives in the bins."""
    location = int(negatives.mean())
    scale = max(1_000, int(np.abs(negatives - location).mean()))
    memory = np.zeros(others.BINS + others.SETTLING, np.int64)
    places = (negatives - location) * others.BINS_PER_SCALE // scale + others.BIN_OF_LOCATION
    np.add.at(memory, np.clip(places, 0, others.BINS - 1), 1 << 20)
    state = np.array([len(negatives), location, scale, 1 << 20, memory.sum(), 0], np.int64)
    return Start(state, memory, _quantile(negatives, config))


def _floats(third: Callable[[int, BudgetConfig], float]) -> Callable[[Ints, int, int, BudgetConfig], Start]:
    """Start from the same location, scale and quantile; the third number of the state is the controller's own."""

    def start(negatives: Ints, _balance: int, _pending: int, config: BudgetConfig) -> Start:
        threshold = _quantile(negatives, config)
        state, memory = np.zeros(5), np.zeros(others.WINDOW)
        state[: others.SCALE + 1] = len(negatives), negatives.mean(), np.abs(negatives - negatives.mean()).mean()
        state[3] = third(threshold, config)
        memory[: len(negatives)] = negatives
        return Start(state, memory, threshold)

    return start


def _fixed(negatives: Ints, _balance: int, _pending: int, config: BudgetConfig) -> Start:
    return Start(np.zeros(5), np.zeros(1), _quantile(negatives, config))


def _quantile(negatives: Ints, config: BudgetConfig) -> int:
    return int(np.sort(negatives)[len(negatives) - 1 - config.alpha_ppm * len(negatives) // MICRO])


OURS: Final = "ours"
HISTOGRAM: Final = "histogram"
TRACKER: Final = "tracker"
ENTRANTS: Final = (
    Entrant(OURS, ours.step, _ours),
    Entrant(HISTOGRAM, others.histogram, _histogram),
    Entrant(TRACKER, others.tracker, _floats(lambda threshold, _config: threshold)),
    Entrant("ACI", others.aci, _floats(lambda _threshold, config: config.alpha_ppm / MICRO)),
    Entrant("conformal PID", others.pid, _floats(lambda threshold, _config: threshold)),
    Entrant("fixed quota", others.quota, _fixed),
    Entrant("token bucket", others.bucket, _fixed),
)
