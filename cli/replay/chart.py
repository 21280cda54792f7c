"""A what-if as a picture: scores and thresholds along the sequence, and what had been sidelined and caught by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cli.replay.whatif import Compared, Way
from schemas.words import MICRO, Divert, Verdict

PNG: Final = "replay.png"
_GREY, _BLUE, _RED = "#888888", "#1f4e9c", "#b3261e"
_STYLE: Final[Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True}
_FAINT: Final[Any] = {"grid.alpha": 0.25, "legend.edgecolor": "none", "legend.framealpha": 0.9}


def draw(compared: Compared, folder: Path) -> Path:
    """Draw the picture and return its file."""
    with mpl.rc_context(_STYLE | _FAINT):
        figure = Figure(figsize=(9, 7.5), layout="constrained")
        scores, sidelined = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _scores(scores, compared)
        _counts(sidelined, compared)
        path = folder / PNG
        figure.savefig(path, dpi=110)
    return path


def _scores(axes: Axes, compared: Compared) -> None:
    seq = np.array([row.seq for row in compared.rows])
    values = np.array([one.score for one in compared.changed.outcomes]) / MICRO
    damaged = np.array([_is_damaged(compared, row.capture_id) for row in compared.rows], bool)
    axes.plot(seq[~damaged], values[~damaged], ".", color=_GREY, markersize=2, alpha=0.4, rasterized=True)
    axes.plot(seq[damaged], values[damaged], "x", color=_RED, markersize=5, label="a verdict says damaged")
    for way, colour in ((compared.on_record, _GREY), (compared.changed, _BLUE)):
        axes.step(seq, [one.threshold / MICRO for one in way.outcomes], color=colour, label=f"threshold, {way.name}")
    axes.set_ylabel("score with changes, log-odds")
    axes.legend(loc="lower left", ncols=3)


def _counts(axes: Axes, compared: Compared) -> None:
    seq = [row.seq for row in compared.rows]
    damaged = np.array([_is_damaged(compared, row.capture_id) for row in compared.rows], bool)
    for way, colour in ((compared.on_record, _GREY), (compared.changed, _BLUE)):
        stops = _stops(way)
        axes.step(seq, stops.cumsum(), color=colour, linestyle="--", label=f"sidelined for damage, {way.name}")
        axes.step(seq, (stops & damaged).cumsum(), color=colour, label=f"of these damaged by verdict, {way.name}")
    axes.set_xlabel("seq")
    axes.set_ylabel("captures so far")
    axes.legend(loc="upper left")


def _stops(way: Way) -> NDArray[np.bool_]:
    return np.array([one.divert is Divert.DAMAGE for one in way.outcomes], bool)


def _is_damaged(compared: Compared, capture_id: str) -> bool:
    label = compared.labels.get(capture_id)
    return label is not None and label.verdict is Verdict.DAMAGED
