"""Superficial damage: scratches, rubbed print, dirt, stains. The surface is not broken through."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np

from booth.harm.places import Field, Window, choose, harmed, mix, step, window
from booth.unit import Unit

_DIRT: Final = ((38, 52, 66), (30, 34, 38), (44, 70, 96), (60, 66, 60))
_STAINS: Final = ((40, 66, 104), (60, 40, 120), (120, 90, 60), (50, 110, 120), (70, 70, 74))


def scuff(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Scratch, rub or soil: one mark of 15 to 40 cm of scratches or 14 to 35 cm^2; or two to three, each far larger."""
    for _ in range(int(rng.integers(2, 4)) if major else 1):
        unit = _mark(unit, rng, major=major)
    return unit


def _mark(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Make one mark: scratches of 70 to 240 cm in all or a spot of 45 to 130 cm^2 where `major`."""
    names = [name for name in unit.skin if name not in unit.films]
    place = choose(unit, rng, names)
    surface = unit.surface(place.name)
    shape = (surface.print.shape[0], surface.print.shape[1])
    radius = rng.uniform(4.2, 6.5) if major else rng.uniform(2.3, 3.4)
    view = window(place, shape, radius * 1.7)
    if view.empty:
        return unit
    kind = int(rng.integers(4))
    paint = surface.print.copy()
    region = paint[view.rows, view.columns]
    old = region[..., :3].astype(np.float32)
    if kind == 0:
        cover = _scratches(view, rng, radius, count=int(rng.integers(12, 22)) if major else int(rng.integers(5, 9)))
        pale = float(rng.uniform(190, 235))
        new = mix(old, np.full_like(old, pale), cover * np.float32(rng.uniform(0.75, 1.0)))
        place_of = np.asarray(cv2.dilate(step(cover, 0.3), np.ones((5, 5), np.uint8)), np.float32)
    elif kind == 1:
        near = 1 - view.away(rng.uniform(0, np.pi), rng.uniform(1, 2.5)) / np.float32(radius)
        cover = step(near * np.float32(1.6) + view.rough(rng, 2) * np.float32(0.5) - np.float32(0.25), 0.4)
        new = mix(old, old * np.float32(0.35) + np.float32(140), cover * np.float32(rng.uniform(0.75, 0.98)))
        place_of = step(near - np.float32(0.05), 0.1)
    elif kind == 2:
        near = 1 - view.away(rng.uniform(0, np.pi), rng.uniform(1, 2)) / np.float32(radius)
        cover = step(near * np.float32(1.5) + view.rough(rng, 8) * np.float32(0.4) - np.float32(0.2), 0.5)
        soil = np.array(_DIRT[int(rng.integers(len(_DIRT)))], np.float32)
        new = mix(old, soil + old * np.float32(0.25), cover * np.float32(rng.uniform(0.55, 0.9)))
        place_of = step(cover - np.float32(0.15), 0.1)
    else:
        new, place_of = _stain(view, rng, radius, old)
    region[..., :3] = np.clip(new, 0, 255).astype(np.uint8)
    marked = harmed(dataclasses.replace(surface, print=paint), place_of, view, shape)
    return unit.with_surface(place.name, marked)


def _scratches(view: Window, rng: np.random.Generator, radius: float, count: int) -> Field:
    """Return float32[h, w]: how far the coat is off, along lines that almost follow each other."""
    lines = np.zeros(view.shape, np.uint8)
    scale = view.shape[1] / max(1e-3, float(view.x[0, -1] - view.x[0, 0]))
    heading = rng.uniform(0, np.pi)
    origin = np.array([-float(view.x[0, 0]), -float(view.y[0, 0])])
    for _ in range(count):
        start = origin + rng.normal(0, 0.32 * radius, 2)
        way = np.array([np.cos(heading), np.sin(heading)]) * radius * rng.uniform(0.4, 0.9)
        path = start + np.linspace(-1, 1, 9)[:, None] * way + np.cumsum(rng.normal(0, 0.05, (9, 2)), axis=0)
        spots = [np.round(path * scale * 8).astype(np.int32)]
        cv2.polylines(
            lines, spots, isClosed=False, color=255, thickness=int(rng.integers(2, 6)), lineType=cv2.LINE_AA, shift=3
        )
        heading += rng.normal(0, 0.15)
    return np.asarray(lines / np.float32(255), np.float32)


def _stain(view: Window, rng: np.random.Generator, radius: float, old: Field) -> tuple[Field, Field]:
    """Soak a spot in: darker all over, darkest at its rim, as dried liquids are."""
    inside = (
        np.float32(radius)
        - view.away(rng.uniform(0, np.pi), rng.uniform(1, 1.6))
        + view.rough(rng, 16) * np.float32(0.2 * radius)
    )
    cover = step(inside, 0.12)
    rim = cover * np.exp(-np.maximum(inside, 0) / np.float32(0.16))
    tone = np.array(_STAINS[int(rng.integers(len(_STAINS)))], np.float32) / 255
    wet = old * (1 - (1 - tone) * np.float32(rng.uniform(0.45, 0.8)))
    new = mix(old, wet, cover)
    return mix(new, new * np.float32(0.72), rim), cover
