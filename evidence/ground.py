"""The unit and the ground it lies on, told apart by what joins the border of the picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR: Final = 18  # grey levels from the border's colour; JPEG noise and soft shadows on white stay below
LEAST: Final = 0.03  # of the picture: a smaller unit is none, the ground was not plain
MOST: Final = 0.97
SPECK: Final = 0.02  # of the largest part; what is smaller is dust or noise


def unit_mask(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return bool[H, W], True where the unit is; True everywhere where the ground is not plain enough to tell.

    Ground is what has about the median colour of the border and hangs together with it. A white carton on white ground
    loses its blank sides that way, so the unit is the convex hull of what is left: goods are packed convex, nearly all.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    apart = np.abs(rgb.astype(np.int16) - np.median(border, axis=0).astype(np.int16)).max(axis=2)
    _, areas = cv2.connectedComponents((apart <= NEAR).astype(np.uint8), connectivity=4)
    at_border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    apart_from_ground = ~np.isin(areas, at_border[at_border > 0])
    unit = _filled(apart_from_ground) if apart_from_ground.any() else apart_from_ground
    return unit if LEAST < float(unit.mean()) < MOST else np.ones(rgb.shape[:2], np.bool_)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the convex hull of the parts of a mask that are no specks."""
    count, parts, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = facts[1:, cv2.CC_STAT_AREA].max() if count > 1 else 0
    kept = np.flatnonzero(facts[1:, cv2.CC_STAT_AREA] >= SPECK * largest) + 1
    spots = np.argwhere(np.isin(parts, kept))[:, ::-1].astype(np.int32)
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(spots), 1)
    return hull > 0
