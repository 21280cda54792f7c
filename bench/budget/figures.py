"""Means over paired seeds with 95 % intervals, and the tables that say them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from bench.budget.entrants import ENTRANTS, HISTOGRAM, OURS, TRACKER
from bench.budget.streams import Name
from bench.budget.trial import BEST_FIXED, Result, Trial

COLUMNS = (*(entrant.name for entrant in ENTRANTS), BEST_FIXED)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and half the width of its 95 % interval (Student's t over seeds)."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values and its doubt; infinite for a single one."""
    found, count = np.asarray(values, np.float64), len(values)
    if count == 1:
        return Estimate(float(found[0]), float("inf"))
    half = student.ppf(0.975, count - 1) * found.std(ddof=1) / count**0.5
    return Estimate(float(found.mean()), float(half))


def recall(trials: Sequence[Trial], column: str) -> Estimate:
    """Return recall as a share of the oracle's."""
    return estimate([trial.results[column].recall for trial in trials])


def difference(trials: Sequence[Trial], other: str) -> Estimate:
    """Return our recall minus another's on the same captures."""
    return estimate([trial.results[OURS].recall - trial.results[other].recall for trial in trials])


def by_stream(trials: Sequence[Trial]) -> dict[Name, list[Trial]]:
    """Sort trials by stream, streams and seeds in their own order."""
    names = [name for name in Name if any(trial.name is name for trial in trials)]
    return {
        name: sorted((trial for trial in trials if trial.name is name), key=lambda trial: trial.seed) for name in names
    }


def report(trials: Sequence[Trial]) -> str:
    """Return three tables in Markdown: recall, paired differences, and what the escrow had to do."""
    streams = by_stream(trials)
    parts = [
        "Recall as a share of the oracle's (one who knows the drift, free of the escrow):",
        _table(streams, COLUMNS, lambda rows, column: f"{recall(rows, column).mean:.3f}"),
        "Ours, with 95 % interval, and paired differences to the two of design section 5:",
        _table(
            streams,
            (OURS, f"ours - {TRACKER}", f"ours - {HISTOGRAM}"),
            lambda rows, column: str(
                recall(rows, OURS) if column == OURS else difference(rows, column.removeprefix("ours - "))
            ),
        ),
        "Windows above their cap / asked without a token, a run / worst window above alpha x n in tokens:",
        _table(streams, COLUMNS, lambda rows, column: _escrow([trial.results[column] for trial in rows])),
    ]
    return "\n\n".join(parts)


def _escrow(results: Sequence[Result]) -> str:
    withheld = sum(result.withheld for result in results) / len(results)
    worst = max(result.worst for result in results)
    return f"{sum(result.violated for result in results)} / {withheld:.0f} / {worst:.0f}"


def _table(
    streams: dict[Name, list[Trial]], columns: Sequence[str], cell: Callable[[Sequence[Trial], str], str]
) -> str:
    head = f"| stream | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    rows = (f"| {name} | {' | '.join(cell(rows, column) for column in columns)} |" for name, rows in streams.items())
    return "\n".join((head, *rows))
