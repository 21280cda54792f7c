"""From a map of cells to the box a person should look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evidence.frame import SIDE, Inset
from schemas.words import MICRO

Place = tuple[int, int, int, int]  # x, y, width, height in millionths of the view


def around_peak(heat: NDArray[np.float32]) -> Place:
    """Return the box of the cells that belong to the hottest one.

    A cell belongs if a path of side-by-side cells joins it to the peak and each is hotter than half way between the
    map's median and its peak.

    Args:
        heat: float32[rows, columns], any scale.
    """
    rows, columns = heat.shape
    peak = divmod(int(heat.argmax()), columns)
    hot = heat >= (float(heat[peak]) + float(np.median(heat))) / 2
    reached, frontier = {peak}, [peak]
    while frontier:
        row, column = frontier.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= cell[0] < rows and 0 <= cell[1] < columns
            if inside and cell not in reached and hot[cell]:
                reached.add(cell)
                frontier.append(cell)
    top, bottom = min(row for row, _ in reached), max(row for row, _ in reached) + 1
    left, right = min(column for _, column in reached), max(column for _, column in reached) + 1
    return (
        left * MICRO // columns,
        top * MICRO // rows,
        (right - left) * MICRO // columns,
        (bottom - top) * MICRO // rows,
    )


def in_picture(place: Place, inset: Inset) -> Place:
    """Return a place of the models' square as a place of the picture inside it, cut at the picture's edges."""
    left, width = _cut(place[0], place[2], inset.x, inset.width)
    top, height = _cut(place[1], place[3], inset.y, inset.height)
    return left, top, width, height


def _cut(start: int, length: int, offset: int, extent: int) -> tuple[int, int]:
    """Move a span in millionths of the square to millionths of a picture lying at these pixels of it."""
    first, last = ((edge * SIDE - offset * MICRO) // extent for edge in (start, start + length))
    first, last = (min(max(edge, 0), MICRO) for edge in (first, last))
    return first, last - first
