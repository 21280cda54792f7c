"""Three charts a person looks at before trusting a classifier: ROC, reliability, and what it got most wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evidence.decode import decode
from evidence.frame import SIDE, inset
from evidence.place import Place, in_picture
from schemas.words import MICRO
from training.photographs.exam import Sheet, bins
from training.scores import auroc

WORST: Final = 12
_INK, _PALE = "#1d3557", "#a8b6c8"


def draw_roc(sheet: Sheet, path: Path) -> None:
    """Draw the ROC of each round, and of their mean."""
    figure, axes = _figure("False positive rate", "True positive rate")
    for column in sheet.scores.T:
        axes.plot(*_roc(column, sheet), color=_PALE, linewidth=0.8)
    area = auroc(sheet.mean, sheet.truth)
    axes.plot(*_roc(sheet.mean, sheet), color=_INK, label=f"mean of rounds, AUROC {area:.3f}")
    axes.plot([0, 1], [0, 1], color=_PALE, linestyle=":")
    axes.set_title("Captures scored when they were left out")
    axes.legend(loc="lower right", frameon=False)
    _save(figure, path)


def draw_reliability(sheet: Sheet, path: Path) -> None:
    """Draw what was said against what happened; a point's area says how many captures stand behind it."""
    figure, axes = _figure("Probability of damage, as said", "Share that was damaged")
    said, happened, counts = bins(sheet.chances, sheet.truths)
    axes.plot([0, 1], [0, 1], color=_PALE, linestyle=":")
    axes.plot(said, happened, color=_INK, linewidth=0.8)
    axes.scatter(said, happened, s=400 * counts / counts.max(), color=_INK, alpha=0.7)
    axes.set_title("Does the probability mean what it says?")
    _save(figure, path)


def draw_mistakes(sheet: Sheet, paths: tuple[Path, ...], places: dict[Path, Place], path: Path) -> None:
    """Show the captures whose left-out scores were most wrong, with the place where the model sees damage.

    Args:
        sheet: of the captures.
        paths: a picture of each capture.
        places: boxes in the models' square, of the pictures that are to have one.
        path: of the chart.
    """
    wrong = np.where(sheet.truth, -sheet.mean, sheet.mean)
    figure = Figure(figsize=(12, 9.6), layout="constrained")
    axes = figure.subplots(3, 4).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, capture in zip(axes, np.argsort(-wrong)[:WORST], strict=False):
        rgb, size = decode(paths[capture].read_bytes(), long_side=2 * SIDE)
        axis.imshow(rgb)
        if (place := places.get(paths[capture])) is not None:
            height, width = rgb.shape[:2]
            x, y, wide, high = (value / MICRO for value in in_picture(place, inset(*size)))
            box = (x * width, y * height), wide * width, high * height
            axis.add_patch(Rectangle(*box, fill=False, edgecolor="#e63946", linewidth=2))
        word = "damaged" if sheet.truth[capture] else "intact"
        axis.set_title(f"{word}, said {sheet.mean[capture]:+.1f}\n{paths[capture].name[:28]}", fontsize=9)
    figure.suptitle("Most wrong when left out (log-odds of damage), worst first")
    _save(figure, path)


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_aspect("equal")
    return figure, axes


def _roc(scores: np.typing.NDArray[np.float64], sheet: Sheet) -> tuple[list[float], list[float]]:
    order = np.argsort(-scores, kind="stable")
    ill = sheet.truth[order]
    up = np.concatenate([[0], np.cumsum(ill) / max(1, ill.sum())])
    across = np.concatenate([[0], np.cumsum(~ill) / max(1, (~ill).sum())])
    return across.tolist(), up.tolist()


def _save(figure: Figure, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}")
    figure.savefig(unfinished, dpi=110, format="png", metadata={"Software": None})
    unfinished.replace(path)
