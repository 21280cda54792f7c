"""How learning went, as a picture: each loss over the steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """Where learning was after a step: losses by name, means over the steps since the last point."""

    step: int
    seconds: float
    losses: dict[str, float]


def draw(course: Sequence[Point], path: Path) -> None:
    """Write the losses of a course as a PNG, whole or not at all; nothing where there are fewer than two points."""
    if len(course) < 2:  # noqa: PLR2004 - a line has two ends
        return
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [point.step for point in course]
    for name in course[0].losses:
        axes.plot(steps, [point.losses[name] for point in course], label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    unfinished = path.with_suffix(f".{os.getpid()}.part.png")
    figure.savefig(unfinished, dpi=110)
    unfinished.replace(path)
