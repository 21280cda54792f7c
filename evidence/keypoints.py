"""Keypoints of a picture, and which of them are the same in two pictures.

SIFT (Lowe 2004) with Hellinger-normalised descriptors, "RootSIFT" (Arandjelovic and Zisserman 2012), kept as bytes:
144 bytes a keypoint, so that 400 of a reference view are 58 kB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

RATIO: Final = 0.88  # of distances to the best and second best match (Lowe's test); geometry sorts out the rest
CONTRAST: Final = 0.02  # half of OpenCV's default: small print in photographs is faint
EDGE: Final = 15.0
QUANTUM: Final = 1 / 512  # descriptors are kept as value / QUANTUM; larger components than 0.498 do not occur

Spots = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """N keypoints: float32[N, 4] x, y, size in pixels, angle in radians; uint8[N, 128] descriptors."""

    spots: Spots
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.spots)


def detect(rgb: NDArray[np.uint8], *, most: int, side: int, mask: NDArray[np.bool_] | None = None) -> Keypoints:
    """Return the strongest keypoints of uint8[H, W, 3], in its pixels.

    Args:
        rgb: the picture.
        most: at most so many.
        side: the picture is scaled to this long side first: size is what decides how much small print is seen.
        mask: bool[H, W], only keypoints inside count.
    """
    scale = side / max(rgb.shape[:2])
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    where = None
    if mask is not None:
        where = cv2.resize(mask.astype(np.uint8), (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_NEAREST)
    sift = cv2.SIFT.create(nfeatures=most, contrastThreshold=CONTRAST, edgeThreshold=EDGE)
    found, raw = sift.detectAndCompute(grey, where)
    if raw is None or not found:
        return Keypoints(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    order = np.argsort([-each.response for each in found], kind="stable")[:most]
    spots = np.array([[*each.pt, each.size, 0.0] for each in found], np.float32) / scale
    spots[:, 3] = np.deg2rad([each.angle for each in found])
    root = np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-6))
    return Keypoints(spots[order], np.minimum(np.rint(root / QUANTUM), 255).astype(np.uint8)[order])


def match(reference: Keypoints, picture: Keypoints) -> NDArray[np.intp]:
    """Return int[M, 2]: keypoints of a reference and their like in a picture that pass the ratio test, best first."""
    if len(picture) < 2 or not len(reference):  # noqa: PLR2004 - a second best is needed
        return np.zeros((0, 2), np.intp)
    alike = (reference.descriptors.astype(np.float32) * QUANTUM) @ (picture.descriptors.astype(np.float32) * QUANTUM).T
    rows = np.arange(len(reference))
    best = alike.argmax(axis=1)
    first = alike[rows, best]
    alike[rows, best] = -1.0
    near, next_near = (np.sqrt(np.maximum(2.0 - 2.0 * each, 1e-9)) for each in (first, alike.max(axis=1)))
    ratio = near / next_near
    kept = np.flatnonzero(ratio < RATIO)
    kept = kept[np.argsort(ratio[kept], kind="stable")]
    return np.column_stack([kept, best[kept]])
