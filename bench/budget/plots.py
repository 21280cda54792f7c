"""Two pictures: recall of every controller on every stream, and one drifting day as each saw it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from bench.budget.entrants import ENTRANTS
from bench.budget.figures import COLUMNS, by_stream, recall
from bench.budget.streams import ALPHA_PPM, Name, make
from bench.budget.trial import Trial, compete
from schemas.words import MICRO

SHOWN: Final = 4  # the controllers that learn, in the second picture
LOWEST: Final = 0.5  # recalls below are drawn at the edge
STEPS: Final = 2_000  # points of a line


def draw_recall(trials: Sequence[Trial], file: Path) -> None:
    """Draw means and 95 % intervals of recall as a share of the oracle's."""
    mpl.use("Agg")
    streams = by_stream(trials)
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(streams) + 1.4), layout="constrained")
    for place, column in enumerate(COLUMNS):
        found = [recall(rows, column) for rows in streams.values()]
        heights = [at + 0.7 * (place / (len(COLUMNS) - 1) - 0.5) for at in range(len(streams))]
        means = [max(LOWEST, each.mean) for each in found]
        doubts = [each.half if np.isfinite(each.half) and each.mean > LOWEST else 0 for each in found]
        axes.errorbar(means, heights, xerr=doubts, fmt="o", markersize=4, label=column)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(streams)), [str(name) for name in streams])
    axes.invert_yaxis()
    axes.set_xlabel(f"damage caught, of what the oracle catches (at the left edge: {LOWEST:g} or less)")
    axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_thresholds(seed: int, captures: int, file: Path) -> None:
    """Draw the thresholds of the controllers that learn over the stream that drifts and jumps, with the oracle's."""
    mpl.use("Agg")
    stream = make(Name.JUMP, seed, captures)
    every = np.linspace(0, captures - 1, STEPS).astype(int)
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    intact = np.sort(stream.known[~stream.damaged])[::-1]
    drift = stream.scores / MICRO - stream.known
    axes.plot(every, drift[every] + intact[ALPHA_PPM * captures // MICRO], color="black", label="oracle")
    for entrant in ENTRANTS[:SHOWN]:
        trace = compete(stream, entrant)[1]
        axes.plot(every, np.clip(trace[every] / MICRO, -8, 8), linewidth=0.8, label=entrant.name)
    axes.set_xlabel("capture")
    axes.set_ylabel("threshold, log-odds")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)
