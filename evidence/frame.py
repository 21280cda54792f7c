"""The square that the models see: a picture scaled whole into 160 x 160, never cropped, never stretched.

Damage sits at corners and edges, so nothing may be cut off, and a squeezed carton looks crushed. What is left of the
square is filled with the median colour of the picture's own border, the belt or table it lies on: no hard black
bar for a model to take for an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE: Final = 160


@dataclass(frozen=True, slots=True)
class Inset:
    """Where in the square a picture lies, in pixels of the square."""

    x: int
    y: int
    width: int
    height: int


def inset(width: int, height: int) -> Inset:
    """Return where a picture of this size comes to lie in the square."""
    scale = SIDE / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    return Inset((SIDE - inner_width) // 2, (SIDE - inner_height) // 2, inner_width, inner_height)


def frame(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8[160, 160, 3] for a picture uint8[H, W, 3]."""
    height, width = rgb.shape[:2]
    place = inset(width, height)
    shrinks = place.width <= width
    inner = cv2.resize(rgb, (place.width, place.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    square = np.empty((SIDE, SIDE, 3), np.uint8)
    square[:] = np.median(border, axis=0).astype(np.uint8)
    square[place.y : place.y + place.height, place.x : place.x + place.width] = inner
    return square
