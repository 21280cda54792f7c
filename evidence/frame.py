"""The square that the models see: a picture scaled whole into 224 x 224, never cropped, never stretched.

Damage sits at corners and edges, so nothing may be cut off, and a squeezed carton looks crushed. What is left of the
square is filled with the median colour of the picture's own border, the belt or table it lies on: no hard black
bar for a model to take for an edge. Behind the colours lie two channels of depth, all zero where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.depth import channels

SIDE: Final = 224
CHANNELS: Final = 5  # red, green, blue, relief, height (evidence.depth)


@dataclass(frozen=True, slots=True)
class Inset:
    """Where in the square a picture lies, in pixels of the square."""

    x: int
    y: int
    width: int
    height: int


def inset(width: int, height: int, *, side: int = SIDE) -> Inset:
    """Return where a picture of this size comes to lie in the square."""
    scale = side / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    return Inset((side - inner_width) // 2, (side - inner_height) // 2, inner_width, inner_height)


def frame(rgb: NDArray[np.uint8], *, side: int = SIDE) -> NDArray[np.uint8]:
    """Return uint8[side, side, 3] for a picture uint8[H, W, 3]."""
    height, width = rgb.shape[:2]
    place = inset(width, height, side=side)
    shrinks = place.width <= width
    inner = cv2.resize(rgb, (place.width, place.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    square = np.empty((side, side, 3), np.uint8)
    square[:] = np.median(border, axis=0).astype(np.uint8)
    square[place.y : place.y + place.height, place.x : place.x + place.width] = inner
    return square


def model_input(rgb: NDArray[np.uint8], depth: NDArray[np.uint16] | None = None) -> NDArray[np.uint8]:
    """Return uint8[224, 224, 5], what both models are asked about.

    Args:
        rgb: uint8[H, W, 3].
        depth: uint16[h, w] of the same view, tenths of a millimetre; the same field of view, in any resolution.
    """
    height, width = rgb.shape[:2]
    whole = np.zeros((SIDE, SIDE, CHANNELS), np.uint8)
    whole[..., :3] = frame(rgb)
    heights = None if depth is None else channels(depth)
    if heights is not None:
        place = inset(width, height)
        # Nearest: between a height and "not measured" lies nothing.
        inner = cv2.resize(heights, (place.width, place.height), interpolation=cv2.INTER_NEAREST)
        whole[place.y : place.y + place.height, place.x : place.x + place.width, 3:] = inner
    return whole
