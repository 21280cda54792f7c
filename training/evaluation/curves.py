"""Curves of a report as pictures: drawn without a screen, returned as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from schemas.words import MICRO
from training.evaluation.reliability import Reliability
from training.evaluation.table import Table, Way

_SIZE: Final = (6.4, 4.2)  # inches
_DPI: Final = 110
_COLOURS: Final = {Way.ALONE: "#888888", Way.BY_CODE: "#0b6e4f", Way.BY_IMAGE: "#c8800a", Way.ARRIVED: "#1f4e9c"}

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
mpl.rcParams.update({"grid.alpha": 0.25, "legend.frameon": False})


def roc(tables: Mapping[Way, Table]) -> bytes:
    """Draw recall over the false positive rate, on a logarithmic axis: what matters lies below one in a hundred."""
    figure, axes = _axes("False positive rate", "Recall")
    lowest = 1.0
    for way, table in tables.items():
        rates, recalls, _ = roc_curve(table.damaged, table.scores(way), drop_intermediate=True)
        finest = 1 / max(1, int((~table.damaged).sum()))
        lowest = min(lowest, finest)
        axes.step(np.maximum(rates, finest), recalls, where="post", color=_COLOURS[way], label=way.value)
    axes.set_xscale("log")
    axes.set_xlim(lowest, 1)
    axes.set_ylim(0, 1.01)
    axes.legend(loc="lower right")
    return _png(figure)


def precision_recall(tables: Mapping[Way, Table]) -> bytes:
    """Draw precision over recall, at the set's own prevalence."""
    figure, axes = _axes("Recall", "Precision")
    for way, table in tables.items():
        precisions, recalls, _ = precision_recall_curve(table.damaged, table.scores(way))
        axes.step(recalls, precisions, where="post", color=_COLOURS[way], label=way.value)
    axes.set_ylim(0, 1.01)
    axes.legend(loc="lower left")
    return _png(figure)


def reliabilities(found: Mapping[Way, Reliability]) -> bytes:
    """Draw what was found over what was said, one point a bin, on log-odds axes: rare chances count here."""
    figure, axes = _axes("Probability of damage said", "Share that was damaged")
    axes.plot([1e-3, 1 - 1e-3], [1e-3, 1 - 1e-3], color="#bbbbbb", linewidth=1)
    for way, each in found.items():
        said, true = (np.clip([getattr(one, name) for one in each.bins], 1e-3, 1 - 1e-3) for name in ("said", "found"))
        axes.plot(said, true, "o-", color=_COLOURS[way], markersize=4, label=f"{way.value}: ECE {each.ece:.3f}")
    axes.set_xscale("logit")
    axes.set_yscale("logit")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda *_: "")
    axes.legend(loc="upper left")
    return _png(figure)


def histogram(scores: NDArray[np.float64], damaged: NDArray[np.bool_], threshold: float) -> bytes:
    """Draw how fused scores (micro-log-odds) of damaged and intact captures are distributed, and a threshold."""
    figure, axes = _axes("Fused score, log-odds of damage on the line", "Share of the class")
    odds = scores / MICRO
    edges = np.linspace(float(odds.min()), float(odds.max()) + 1e-9, 60)
    for wanted, colour, name in ((~damaged, "#0b6e4f", "intact"), (damaged, "#b3261e", "damaged")):
        if wanted.any():
            share = np.full(int(wanted.sum()), 1 / wanted.sum())
            axes.hist(odds[wanted], edges, weights=share, color=colour, alpha=0.55, label=name)
    if np.isfinite(threshold):
        axes.axvline(threshold / MICRO, color="#333333", linestyle="--", linewidth=1, label="1 % of the intact above")
    axes.set_yscale("log")
    axes.legend(loc="upper right")
    return _png(figure)


def _axes(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
