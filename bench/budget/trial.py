"""One stream, all controllers: what each caught, let pass for want of a token, and spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.budget import race as run
from bench.budget.entrants import ENTRANTS, Entrant
from bench.budget.others import bucket
from bench.budget.streams import ALPHA_PPM, Name, Stream, hindsight, make
from budget.config import BudgetConfig
from schemas.words import MICRO

Ints = npt.NDArray[np.int64]

BEST_FIXED: Final = "best fixed"
TRIED: Final = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1)  # alphas of the intact above the fixed threshold
LIMIT: Final = 60 * MICRO  # floor and ceiling, out of the way: the controllers are what is tried


@dataclass(frozen=True, slots=True)
class Result:
    """What one controller did with one stream."""

    caught: int  # damaged units that were sidelined
    recall: float  # ... of those that the oracle catches
    alarms: int  # false ones
    withheld: int
    worst: float  # tokens: the largest excess of false alarms over alpha * n in any window
    violated: bool  # ... is above the burst


@dataclass(frozen=True, slots=True)
class Trial:
    """One stream's results, by controller, and what the oracle catches of it."""

    name: Name
    seed: int
    oracle: int
    results: dict[str, Result]


def trial(name: Name, seed: int, captures: int) -> Trial:
    """Run every controller on the same captures, and the best fixed threshold that hindsight finds."""
    stream = make(name, seed, captures)
    oracle = hindsight(stream)
    results = {entrant.name: _result(stream, oracle, compete(stream, entrant)[0]) for entrant in ENTRANTS}
    intact = np.sort(stream.scores[~stream.damaged])[::-1]
    fixed = [
        _result(stream, oracle, _fixed(stream, int(intact[int(share * ALPHA_PPM * captures / MICRO)])))
        for share in TRIED
    ]
    results[BEST_FIXED] = max(fixed, key=lambda result: result.caught)
    return Trial(name, seed, oracle, results)


def compete(stream: Stream, entrant: Entrant) -> tuple[Ints, Ints]:
    """Return the counts int64[race.FIELDS] of one controller, and the threshold in force at each capture int64[N]."""
    config = BudgetConfig(
        alpha_ppm=ALPHA_PPM, burst_tokens=stream.burst, reserve=0, floor=-LIMIT, ceiling=LIMIT, start_threshold=0
    )
    rules = np.array([config.alpha_ppm, config.burst_tokens, config.floor, config.ceiling], np.int64)
    counts, ends, trace = _purse(stream)
    for negatives, begin, end in (
        (stream.vetted, 0, stream.turn),
        (stream.renewed, stream.turn, len(stream.scores)),
    ):
        if begin == end:
            continue
        start = entrant.start(negatives, int(counts[run.BALANCE]), int(counts[run.PENDING]), config)
        counts[run.THRESHOLD] = start.threshold
        run.race(
            entrant.step, start.state, start.memory, rules, stream.scores, stream.damaged, stream.delays, begin, end,
            counts, *ends, trace,
        )  # fmt: skip
    return counts, trace


def _fixed(stream: Stream, threshold: int) -> Ints:
    rules = np.array([ALPHA_PPM, stream.burst, -LIMIT, LIMIT], np.int64)
    counts, ends, trace = _purse(stream)
    counts[run.THRESHOLD] = threshold
    run.race(
        bucket, np.zeros(1), np.zeros(1), rules, stream.scores, stream.damaged, stream.delays, 0, len(stream.scores),
        counts, *ends, trace,
    )  # fmt: skip
    return counts


def _purse(stream: Stream) -> tuple[Ints, tuple[Ints, Ints], Ints]:
    """Return a full purse, the two rows of verdicts to come, and room for the thresholds."""
    counts = np.zeros(run.FIELDS, np.int64)
    counts[run.BALANCE] = stream.burst * run.TOKEN
    length = len(stream.scores) + int(stream.delays.max()) + 2
    return counts, (np.zeros(length, np.int64), np.zeros(length, np.int64)), np.zeros(len(stream.scores), np.int64)


def _result(stream: Stream, oracle: int, counts: Ints) -> Result:
    worst = int(counts[run.WORST])
    return Result(
        caught=int(counts[run.CAUGHT]),
        recall=float(counts[run.CAUGHT] / max(1, oracle)),
        alarms=int(counts[run.ALARMS]),
        withheld=int(counts[run.WITHHELD]),
        worst=worst / run.TOKEN,
        violated=worst > stream.burst * run.TOKEN,
    )
