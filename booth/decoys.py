"""Prints that look like damage: on every unit of a product, damaged or not, and on its references."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Decoy, Spec
from booth.draws import grain_patch
from booth.lettering import PX_PER_CM, Paint

Field = NDArray[np.float32]  # float32[h, w]

_PAPER: Final = (222, 228, 232)


def decoy(face: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print the product's decoy somewhere on uint8[h, w, 3]."""
    height, width = face.shape[:2]
    x, y = int(width * rng.uniform(0.25, 0.75)), int(height * rng.uniform(0.25, 0.6))
    reach = min(width, height) * rng.uniform(0.12, 0.24)
    dark = tuple(int(channel * 0.25) for channel in spec.ground)
    if spec.decoy is Decoy.CRACK:
        for _ in range(3):
            steps = rng.normal(0, reach * 0.14, (14, 2)) + np.array([reach * 0.16, reach * 0.05])
            walk = np.cumsum(steps, axis=0) + np.array([x - reach, y - reach * 0.2])
            cv2.polylines(face, [walk.astype(np.int32)], isClosed=False, color=dark, thickness=2, lineType=cv2.LINE_AA)
    elif spec.decoy is Decoy.BURST:
        angles = np.linspace(0, 2 * np.pi, 25)[:-1]
        away = np.where(np.arange(24) % 2, reach, reach * 0.6) * rng.uniform(0.8, 1.2, 24)
        star = np.stack([x + away * np.cos(angles), y + away * np.sin(angles)], 1).astype(np.int32)
        cv2.fillPoly(face, [star], dark, cv2.LINE_AA)
        cv2.polylines(face, [star], isClosed=True, color=spec.accent, thickness=3, lineType=cv2.LINE_AA)
    elif spec.decoy is Decoy.SPLASH:
        for _ in range(11):
            spot = (int(x + rng.normal(0, reach * 0.6)), int(y + rng.normal(0, reach * 0.45)))
            cv2.circle(face, spot, max(3, int(reach * rng.uniform(0.1, 0.5))), spec.accent, -1, cv2.LINE_AA)
    elif spec.decoy is Decoy.DOTS:
        for _ in range(40):
            spot = (int(x + rng.normal(0, reach * 0.6)), int(y + rng.normal(0, reach * 0.45)))
            cv2.circle(face, spot, int(rng.integers(1, 6)), dark, -1, cv2.LINE_AA)
    elif spec.decoy is Decoy.HOLE:
        _hole(face, (x, y), reach, rng)
    elif spec.decoy is Decoy.CRUMPLED_PHOTO:
        _crumpled(face, (x, y), reach * 1.5, rng)
    else:
        _stain(face, (x, y), reach, rng)


def _hole(face: Paint, place: tuple[int, int], reach: float, rng: np.random.Generator) -> None:
    """Print a torn hole with its paper rim, as campaigns do to show what is inside."""
    inside = _blob(face, place, reach, rng)
    rim, hole = np.clip(inside / 3 + 1.6, 0, 1)[..., None], np.clip(inside / 2, 0, 1)[..., None]
    paint = face.astype(np.float32)
    paint += (np.array(_PAPER, np.float32) - paint) * rim
    paint += (rng.uniform(20, 80, 3).astype(np.float32) - paint) * hole
    face[:] = np.clip(paint, 0, 255).astype(np.uint8)


def _crumpled(face: Paint, place: tuple[int, int], reach: float, rng: np.random.Generator) -> None:
    """Print a photograph of crumpled paper in a frame: creases lit from the side, flat to the touch."""
    low = (max(2, int(place[0] - reach)), max(2, int(place[1] - reach * 0.7)))
    high = (min(face.shape[1] - 3, int(place[0] + reach)), min(face.shape[0] - 3, int(place[1] + reach * 0.7)))
    if high[0] - low[0] < 12 or high[1] - low[1] < 12:
        return
    part = face[low[1] : high[1], low[0] : high[0]]
    y, x = np.mgrid[0 : part.shape[0], 0 : part.shape[1]].astype(np.float32)
    shade: Field = np.zeros(part.shape[:2], np.float32)
    nearest: Field = np.full(part.shape[:2], 1e9, np.float32)
    for _ in range(16):  # facets around random middles, each turned to the light in its own way
        spot = rng.uniform(0, 1, 2) * (part.shape[1], part.shape[0])
        away = np.abs(x - spot[0]) * np.float32(rng.uniform(0.6, 1.6)) + np.abs(y - spot[1])
        closer = away < nearest
        slant = (x - spot[0]) * np.float32(rng.normal(0, 0.004)) + (y - spot[1]) * np.float32(rng.normal(0, 0.004))
        shade = np.where(closer, np.float32(rng.uniform(0.72, 1.1)) + slant, shade)
        nearest = np.where(closer, away, nearest)
    shade = np.asarray(cv2.GaussianBlur(np.clip(shade, 0.4, 1.25).astype(np.float32), (0, 0), 1.0), np.float32)
    tone = rng.uniform(120, 225, 3).astype(np.float32)
    part[:] = np.clip(tone * shade[..., None], 0, 255).astype(np.uint8)
    cv2.rectangle(face, low, high, (245, 245, 245), 2)


def _stain(face: Paint, place: tuple[int, int], reach: float, rng: np.random.Generator) -> None:
    """Print a coffee ring or a paint stain in the way designers like them."""
    inside = _blob(face, place, reach, rng)
    ring = np.clip(inside / 2 + 0.5, 0, 1) * np.where(inside < 0.12 * reach, 0.85, 0.35 if rng.random() < 0.5 else 0.7)
    tone = np.array(((30, 60, 100), (40, 40, 46), (30, 30, 150), (120, 90, 40))[int(rng.integers(4))], np.float32)
    paint = face.astype(np.float32)
    paint += (tone - paint) * np.asarray(ring, np.float32)[..., None]
    face[:] = np.clip(paint, 0, 255).astype(np.uint8)


def _blob(face: Paint, place: tuple[int, int], reach: float, rng: np.random.Generator) -> Field:
    """Return float32[h, w]: pixels inside (positive) or outside of a ragged round shape."""
    height, width = face.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot(x - place[0], (y - place[1]) * np.float32(rng.uniform(0.8, 1.5)))
    rough = grain_patch(rng, height, width, finest=8) * np.float32(0.2 * reach + 0.02 * PX_PER_CM)
    return np.asarray(np.float32(reach) - away + rough, np.float32)
