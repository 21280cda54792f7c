"""What a depth camera adds to a view: two channels, each a height over the table, one coarse and one fine.

Distance along the optical axis says little by itself: cameras stand askew and tables lie at other distances. So the
plane of the table is fitted to the border of the view and taken away. `height` is what rises above it, millimetre by
millimetre; `relief` is the height less its own neighbourhood, tenth by tenth: a dent of three millimetres is nothing in
the one and plain in the other. 0 means "not measured" in both, as everywhere in views that have no depth.
"""

from __future__ import annotations

import io
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evidence.decode import check_size
from schemas.faults import Poison, Reason

Depth = NDArray[np.uint16]  # uint16[H, W], tenths of a millimetre along the optical axis; 0 where nothing was measured

_BORDER: Final = 0.07  # of each side: there lies the table, as units are placed in the middle
_LEAST: Final = 64  # border pixels with depth that a plane needs
_SAMPLE: Final = 400  # border pixels that vote on the plane
_TRIALS: Final = 48  # planes through three of them; with 40 % strangers one in five is all table
_SPREAD: Final = 0.05  # twice the area of the triangle of three points that are far enough apart
_TABLE_MM: Final = 4.0  # so far from the plane a border pixel may lie and count as table
_ZERO_HEIGHT: Final = 11  # the table's value, leaves room for what lies below
_ZERO_RELIEF: Final = 128
_NEIGHBOURHOOD: Final = 1 / 12  # of the view's long side
_LEAST_MEASURED: Final = 0.05  # of a view: with less the camera was blind, and its depth is taken for none


def decode_depth(raw: bytes) -> Depth:
    """Decode a depth view: a PNG of one 16-bit channel.

    Raises:
        Poison: `not_an_image` (anything else) or `too_many_pixels`.
        MemoryError: decoding needs more than the process may have.
    """
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG",)) as image:
            check_size(*image.size)
            _check_mode(image.mode)
            image.load()
            return np.asarray(image, np.int64).clip(0, 65_535).astype(np.uint16)
    except (Poison, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise whatever malformed bytes lead them into
        raise Poison(Reason.NOT_AN_IMAGE, f"no readable 16-bit PNG: {type(error).__name__}") from error


def _check_mode(mode: str) -> None:
    if not mode.startswith("I"):
        raise Poison(Reason.NOT_AN_IMAGE, f"a PNG of mode {mode}, where 16-bit depth was expected")


def channels(depth: Depth) -> NDArray[np.uint8] | None:
    """Return uint8[H, W, 2], relief and height, or None where the camera measured next to nothing.

    `relief`: 128 + 10 a millimetre, 1 to 255. `height`: 11 + 1 a millimetre, 1 to 255. 0 in both: not measured.
    """
    seen = depth > 0
    if float(seen.mean()) < _LEAST_MEASURED:
        return None
    height_mm = _above_table(depth, seen)
    around = 2 * (int(max(depth.shape) * _NEIGHBOURHOOD) // 2) + 1
    weight = cv2.boxFilter(seen.astype(np.float32), cv2.CV_32F, (around, around), borderType=cv2.BORDER_REFLECT)
    mean = cv2.boxFilter(
        np.where(seen, height_mm, np.float32(0)), cv2.CV_32F, (around, around), borderType=cv2.BORDER_REFLECT
    ) / np.maximum(weight, np.float32(1e-6))
    relief = np.clip(np.rint(_ZERO_RELIEF + 10 * (height_mm - mean)), 1, 255)
    height = np.clip(np.rint(_ZERO_HEIGHT + height_mm), 1, 255)
    return np.where(seen[..., None], np.stack([relief, height], axis=-1), 0).astype(np.uint8)


def _above_table(depth: Depth, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return float32[H, W] millimetres between each point and the table, along the optical axis."""
    rows, columns = depth.shape
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in (rows, columns))
    edge = np.zeros(depth.shape, bool)
    band = max(1, round(min(rows, columns) * _BORDER))
    edge[:band], edge[-band:], edge[:, :band], edge[:, -band:] = True, True, True, True
    at = np.argwhere(edge & seen)
    millimetres = depth.astype(np.float32) / np.float32(10)
    if len(at) < _LEAST:
        return np.asarray(np.median(millimetres[seen]) - millimetres, np.float32)
    # A plane's inverse distance is linear in the pixel's place.
    places = np.stack([np.ones(len(at), np.float32), x[at[:, 1]], y[at[:, 0]]], axis=1).astype(np.float64)
    plane = _plane(places, millimetres[at[:, 0], at[:, 1]].astype(np.float64))
    inverse = np.float32(plane[0]) + np.float32(plane[1]) * x[None, :] + np.float32(plane[2]) * y[:, None]
    table = 1 / np.maximum(inverse, np.float32(1e-6))
    return np.asarray(table - millimetres, np.float32)


def _plane(places: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64[3]: the plane that most of N points lie on, by least median of squares (Rousseeuw 1984), refined.

    Units that reach into the border are no table, and may be nearly half of it.

    Args:
        places: float64[N, 3], ones and the pixel's place.
        distance: float64[N], millimetres.
    """
    rng = np.random.default_rng(0)  # the same plane for the same view, everywhere
    few = rng.choice(len(places), min(_SAMPLE, len(places)), replace=False)
    threes = rng.choice(few, (_TRIALS, 3))
    matrices = places[threes]
    sound = np.abs(np.linalg.det(matrices)) > _SPREAD
    if not sound.any():
        found, *_ = np.linalg.lstsq(places, 1 / distance, rcond=None)
        return np.asarray(found, np.float64)
    candidates = np.linalg.solve(matrices[sound], (1 / distance[threes[sound]])[..., None])[..., 0]
    off = np.abs(1 / np.maximum(places[few] @ candidates.T, 1e-6) - distance[few, None])
    best = candidates[int(np.median(off, axis=0).argmin())]
    near = np.abs(1 / np.maximum(places @ best, 1e-6) - distance) < _TABLE_MM
    if near.sum() < _LEAST:
        return np.asarray(best, np.float64)
    found, *_ = np.linalg.lstsq(places[near], 1 / distance[near], rcond=None)
    return np.asarray(found, np.float64)
