"""Damage to a surface: holes, dents, scratches, dirt, missing pieces. Each returns the damaged unit, marks included."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import KRAFT, lids
from booth.catalogue import Packaging
from booth.draws import grain_patch
from booth.lettering import PX_PER_CM
from booth.scene import Mark, Panel, Pinch
from booth.unit import Unit

Field = NDArray[np.float32]  # float32[h, w] over a face

_CONTENTS: Final = ((210, 214, 216), (120, 150, 180), (60, 60, 66), (150, 170, 120), (90, 110, 190), (200, 190, 160))


def penetrate(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Tear a hole: a dark inside, a torn paper rim, the board around it pressed in."""
    name, panel = _pick(unit, rng)
    radius = rng.uniform(1.8, 3.0) if major else rng.uniform(0.9, 1.4)
    away, centre = _distance(panel, rng, radius, stretch=rng.uniform(1.0, 2.0))
    height, width = away.shape
    rough = grain_patch(rng, height, width, finest=4)
    inside = radius - away + rough * np.float32(0.34 * radius)
    hole = _step(inside, 0.06)
    fringe = grain_patch(rng, height, width, finest=2)
    rim = _step(inside + np.float32(rng.uniform(0.22, 0.42)) * (1 + 0.7 * fringe), 0.08)
    paint, relief = _open(panel)
    fibre = np.array((214, 226, 232) if rng.random() < 0.6 else KRAFT, np.float32)
    fibre_texture = fibre + (grain_patch(rng, height, width, finest=2) * 9)[..., None]
    content = np.array(_CONTENTS[int(rng.integers(len(_CONTENTS)))], np.float32)
    depth_light = np.clip(0.09 + 0.2 * (1 - inside / np.float32(radius)) * (1 + 0.3 * fringe) + 0.05 * rough, 0.05, 0.4)
    paint = _mix(paint, fibre_texture, rim)
    paint = _mix(paint, content * depth_light[..., None], hole)
    relief = relief - np.float32(0.3 * radius) * np.exp(-((away / np.float32(1.7 * radius)) ** 2)) + 0.12 * (rim - hole)
    relief = relief * (1 - hole)
    return unit.with_side(name, _close(panel, paint, relief)).adding(marks=(_mark(panel, centre, radius * 1.25),))


def deform(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Crush a corner or press a dent into a face."""
    if unit.spec.packaging is not Packaging.MAILER and rng.random() < 0.5:
        return _crush_corner(unit, rng, major=major)
    name, panel = _pick(unit, rng)
    radius = rng.uniform(3.4, 5.0) if major else rng.uniform(2.3, 3.1)
    depth = radius * (rng.uniform(0.48, 0.64) if major else rng.uniform(0.4, 0.5))
    away, centre = _distance(panel, rng, radius * 0.7, stretch=rng.uniform(1.0, 1.7))
    height, width = away.shape
    kernel = np.maximum(1 - (away / np.float32(radius)) ** 2, 0) ** 2
    paint, relief = _open(panel)
    lower = np.float32(depth) * kernel
    for _ in range(3 if major else 2):  # folds: the board breaks along lines through the dent
        angle, shift, thin = rng.uniform(0, np.pi), rng.normal(0, 0.35 * radius), rng.uniform(0.08, 0.16)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(PX_PER_CM)
        line = (x - centre[0]) * np.sin(angle) - (y - centre[1]) * np.cos(angle) - shift
        lower += np.float32(0.3 * depth) * np.sqrt(kernel) * np.exp(-np.abs(line) / np.float32(3 * thin))
    lower += np.float32(0.05 * depth) * kernel * grain_patch(rng, height, width, finest=16)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sunk = y - lower * np.float32(0.5 * PX_PER_CM)  # seen from the station, what is lower is nearer
    paint = np.asarray(cv2.remap(paint, x, sunk, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    return unit.with_side(name, _close(panel, paint, relief - lower)).adding(
        marks=(_mark(panel, centre, radius * 0.8),)
    )


def _crush_corner(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    length, depth, height = unit.spec.size_cm
    left = bool(rng.random() < 0.5)
    corner = np.array([-length / 2 if left else length / 2, -depth / 2, height])
    size = rng.uniform(2.0, 2.9) if major else rng.uniform(1.1, 1.5)
    push = np.array([size if left else -size, size * rng.uniform(0.5, 1.0), -size * rng.uniform(0.4, 0.9)])
    radius = size * rng.uniform(2.4, 3.0)
    around = corner + radius * 0.6 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, -1]], np.float64)
    pinch = Pinch(corner, push, radius_cm=radius, folds=5 if major else 3)
    return unit.adding(pinches=(pinch,), marks=(Mark(around),))


def scuff(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Scratch, rub or soil a face without breaking it."""
    name, panel = _pick(unit, rng)
    radius = rng.uniform(3.4, 4.8) if major else rng.uniform(2.0, 2.8)
    away, centre = _distance(panel, rng, radius * 0.8, stretch=rng.uniform(1.2, 2.2))
    height, width = away.shape
    paint, relief = _open(panel)
    near = np.maximum(1 - (away / np.float32(radius)) ** 2, 0)
    kind = int(rng.integers(3))
    if kind == 0:  # scratches down to the paper
        lines = np.zeros((height, width), np.uint8)
        heading = rng.uniform(0, np.pi)
        for _ in range(int(rng.integers(7, 12)) if major else int(rng.integers(3, 6))):
            start = np.array(centre) * PX_PER_CM + rng.normal(0, 0.32 * radius * PX_PER_CM, 2)
            run = (
                np.linspace(-1, 1, 9)[:, None]
                * np.array([np.cos(heading), np.sin(heading)])
                * radius
                * PX_PER_CM
                * rng.uniform(0.5, 0.95)
            )
            path = start + run + np.cumsum(rng.normal(0, 1.0, (9, 2)), axis=0)
            cv2.polylines(
                lines,
                [np.round(path * 8).astype(np.int32)],
                isClosed=False,
                color=255,
                thickness=int(rng.integers(2, 5)),
                lineType=cv2.LINE_AA,
                shift=3,
            )
            heading += rng.normal(0, 0.12)
        cover = lines.astype(np.float32) / 255
        paint = _mix(paint, np.full_like(paint, 226.0), cover * np.float32(0.92))
        relief = relief - 0.05 * cv2.GaussianBlur(cover, (0, 0), 1.0)
    elif kind == 1:  # rubbed off print
        rub = _step(near * 1.7 + grain_patch(rng, height, width, finest=2) * np.float32(0.42) - np.float32(0.85), 0.2)
        paint = _mix(paint, np.full_like(paint, 222.0), rub * np.float32(0.9 if major else 0.8))
    else:  # dirt or an oily stain
        dirt = _step(near * 1.5 + grain_patch(rng, height, width, finest=8) * np.float32(0.4) - np.float32(0.55), 0.35)
        soil = np.array(((38, 52, 66), (30, 34, 38), (44, 70, 96))[int(rng.integers(3))], np.float32)
        paint = _mix(paint, soil + paint * np.float32(0.18), dirt * np.float32(0.88 if major else 0.78))
    return unit.with_side(name, _close(panel, paint, relief)).adding(marks=(_mark(panel, centre, radius * 0.85),))


def take_out(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Take one piece, or several, out of a multi-pack and leave the holes."""
    panel = unit.sides["top"]
    paint, relief = _open(panel)
    height, width = paint.shape[:2]
    places = lids(unit.spec)
    count = int(rng.integers(2, 4)) if major else 1
    marks = []
    for place in rng.permutation(len(places))[:count]:
        x, y, radius = places[int(place)]
        hole = np.zeros((height, width), np.uint8)
        cv2.circle(hole, (round(x), round(y)), round(radius * 1.02), 255, -1, cv2.LINE_AA)
        cover = hole.astype(np.float32) / 255
        rows = np.arange(height, dtype=np.float32)[:, None]
        lower_rim = np.clip((rows - y) / np.float32(radius), -1, 1)  # the far wall is seen, the near one is not
        light = np.clip(0.3 - 0.16 * lower_rim + 0.04 * grain_patch(rng, height, width, finest=8), 0.1, 0.6)
        paint = _mix(paint, np.array(KRAFT, np.float32) * light[..., None], cover)
        relief *= 1 - cover
        marks.append(_mark(panel, (x / PX_PER_CM, y / PX_PER_CM), radius / PX_PER_CM))
    return unit.with_side("top", _close(panel, paint, relief)).adding(marks=tuple(marks))


def _pick(unit: Unit, rng: np.random.Generator) -> tuple[str, Panel]:
    """Choose a side that camera 0 sees; the top three times out of four."""
    name = "front" if "front" in unit.sides and rng.random() < 0.2 and unit.spec.size_cm[2] > 5.5 else "top"
    if name not in unit.sides:
        name = next(iter(unit.sides))
    return name, unit.sides[name]


def _open(panel: Panel) -> tuple[Field, Field]:
    """Return working copies: print float32[h, w, 3] and relief float32[h, w]."""
    relief = panel.relief if panel.relief is not None else np.zeros(panel.paint.shape[:2], np.float32)
    return panel.paint[..., :3].astype(np.float32), relief.copy()


def _close(panel: Panel, paint: Field, relief: Field) -> Panel:
    flat = np.clip(paint, 0, 255).astype(np.uint8)
    whole = np.dstack([flat, panel.paint[..., 3]]) if panel.paint.shape[2] == 4 else flat
    return dataclasses.replace(panel, paint=whole, relief=relief.astype(np.float32))


def _distance(
    panel: Panel, rng: np.random.Generator, reach: float, stretch: float
) -> tuple[Field, tuple[float, float]]:
    """Choose a place; return every pixel's distance to it in centimetres, drawn out by `stretch`, and the place."""
    height, width = panel.paint.shape[:2]
    size = np.array([width, height]) / PX_PER_CM
    margin = np.minimum(reach, size * 0.4)
    x, y = (float(v) for v in rng.uniform(margin, size - margin))
    angle = rng.uniform(0, np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(PX_PER_CM)
    along = (columns - np.float32(x)) * np.float32(np.cos(angle)) + (rows - np.float32(y)) * np.float32(np.sin(angle))
    across = (rows - np.float32(y)) * np.float32(np.cos(angle)) - (columns - np.float32(x)) * np.float32(np.sin(angle))
    return np.hypot(along / np.float32(np.sqrt(stretch)), across * np.float32(np.sqrt(stretch))), (x, y)


def _mark(panel: Panel, centre: tuple[float, float], radius_cm: float) -> Mark:
    """Outline a disc on a panel; `centre` in centimetres from its upper left corner."""
    height, width = (side / PX_PER_CM for side in panel.paint.shape[:2])
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    places = np.stack([centre[0] + radius_cm * np.cos(angles), centre[1] + radius_cm * np.sin(angles)], axis=1)
    places = np.clip(places / [width, height], 0, 1)
    return Mark(np.stack([panel.at(x, y) for x, y in places]), panel.normal)


def _step(value: NDArray[np.floating], width: float) -> Field:
    """Return 0 where `value` is below 0 and 1 above `width`, smooth between."""
    ramp = np.clip(value / np.float32(width), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _mix(below: Field, above: NDArray[np.floating], cover: NDArray[np.floating]) -> Field:
    """Lay `above` over `below` with opacity `cover` float32[h, w]."""
    return np.asarray(below + (above - below) * cover[..., None], np.float32)
