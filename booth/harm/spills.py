"""Spillage: powder or liquid beside the unit, from below it or on it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Colour, Form
from booth.draws import grain_patch
from booth.lettering import Paint
from booth.mesh import Film, Part, Stuff
from booth.shapes import disc
from booth.unit import Unit

_LIQUIDS: Final[tuple[tuple[Colour, float], ...]] = (  # colour and opacity: water, oil, juice, syrup, milk, ink, soap
    ((214, 210, 204), 0.1), ((150, 196, 210), 0.16), ((40, 120, 220), 0.45), ((30, 50, 90), 0.7),
    ((232, 236, 238), 0.9), ((90, 50, 40), 0.85), ((200, 170, 90), 0.4), ((70, 60, 180), 0.55), ((90, 160, 90), 0.5),
)  # fmt: skip
_POWDERS: Final[tuple[Colour, ...]] = (
    (232, 236, 238), (190, 214, 226), (60, 84, 112), (120, 170, 196), (190, 200, 150), (160, 160, 216), (70, 72, 78),
)  # fmt: skip


def spill(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Spill 8 to 23 cm^2, or 40 to 120 cm^2: powder in two cases of five, liquid else, clear ones too."""
    radius = rng.uniform(3.6, 6.2) if major else rng.uniform(1.6, 2.7)
    powder = bool(rng.random() < 0.4)
    outside = np.concatenate([unit.surface(name).points for name in (*unit.parts, *unit.films)])
    low, high = outside.min(axis=0), outside.max(axis=0)
    flat_top = unit.spec.form in {Form.CARTON, Form.WRAPPED_BOX, Form.HARDCOVER, Form.PAPERBACK, Form.WRAPPED_BOOK}
    if flat_top and rng.random() < 0.25:
        x = float(rng.uniform(low[0] * 0.7, high[0] * 0.7))
        y = float(rng.uniform(low[1] * 0.7, high[1] * 0.7))
        on = _height_at(outside, x, y, radius) + 0.04
    else:
        x, y, on = *_beside(low, high, radius, rng), 0.0
    name = f"spill-{len(unit.parts) + len(unit.films)}"
    return unit.with_film(name, (_powder if powder else _liquid)((x, y, on), radius, rng))


def _beside(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    radius: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Choose a spot at an edge of the unit: the near one more often than not, the far one seldom."""
    side = int(rng.choice(4, p=(0.5, 0.19, 0.19, 0.12)))
    along = rng.uniform(0.1, 0.9)
    out = rng.uniform(-0.1, 0.9) * radius
    x, y = low[0] + along * (high[0] - low[0]), low[1] + along * (high[1] - low[1])
    spot = ((x, low[1] - out), (high[0] + out, y), (low[0] - out, y), (x, high[1] + out))[side]
    return float(spot[0]), float(spot[1])


def _height_at(points: NDArray[np.float32], x: float, y: float, radius: float) -> float:
    near = np.hypot(points[:, 0] - x, points[:, 1] - y) < radius + 0.8
    return float(points[near, 2].max()) if near.any() else float(points[:, 2].max())


def _outline(radius: float, rng: np.random.Generator, *, runs: int) -> tuple[Part, NDArray[np.float64]]:
    """Return a disc whose rim wanders and runs out in places, and each vertex's share of the way to the rim."""
    rings = np.array([(share * radius, 0.0) for share in (0.0, 0.3, 0.55, 0.75, 0.88, 0.96, 1.0)])
    mesh = disc(rings, sectors=56)
    share = np.hypot(mesh.points[:, 0], mesh.points[:, 1]) / radius
    angle = np.arctan2(mesh.points[:, 1], mesh.points[:, 0])
    reach = np.ones_like(angle)
    for wave in range(2, 7):
        reach += rng.normal(0, 0.3 / wave) * np.cos(wave * angle + rng.uniform(0, 6))
    for _ in range(runs):
        reach += rng.uniform(0.1, 0.5) * np.exp(
            -((np.angle(np.exp(1j * (angle - rng.uniform(-3, 3)))) / rng.uniform(0.12, 0.3)) ** 2)
        )
    reach = np.clip(reach, 0.5, 1.7)
    stretch = rng.uniform(0.7, 1.3)
    points = mesh.points.copy()
    points[:, 0] *= (reach * stretch).astype(np.float32)
    points[:, 1] *= (reach / stretch).astype(np.float32)
    made = Part(points, mesh.faces, mesh.uv, np.full((8, 8, 3), 255, np.uint8), harm=np.ones(len(points), np.float32))
    return made, share


def _liquid(at: tuple[float, float, float], radius: float, rng: np.random.Generator) -> Film:
    colour, opacity = _LIQUIDS[int(rng.integers(len(_LIQUIDS)))]
    part, share = _outline(radius, rng, runs=int(rng.integers(1, 4)))
    lift = (0.05 + 0.13 * np.sqrt(np.maximum(1 - share**4, 0))).astype(np.float32)
    points = part.points + np.array(at, np.float32)
    points[:, 2] += lift
    tone = np.empty((8, 8, 3), np.uint8)
    tone[:] = np.clip(np.array(colour) + rng.integers(-14, 15, 3), 0, 255).astype(np.uint8)
    wet = Part(points, part.faces, part.uv, tone, Stuff(gloss=0.9, sharp=120), harm=part.harm)
    return Film(wet, opacity=float(np.clip(opacity * rng.uniform(0.85, 1.15), 0.05, 1)), thick=True)


def _powder(at: tuple[float, float, float], radius: float, rng: np.random.Generator) -> Film:
    colour = _POWDERS[int(rng.integers(len(_POWDERS)))]
    part, share = _outline(radius, rng, runs=0)
    heap = rng.uniform(0.1, 0.3) * radius
    points = part.points + np.array(at, np.float32)
    points[:, 2] += (heap * np.maximum(1 - share, 0) ** 1.3 + 0.03).astype(np.float32)
    side = 128
    grains = grain_patch(rng, side, side, finest=2)
    paint: Paint = np.clip(np.array(colour, np.float32) + (grains * 15)[..., None], 0, 255).astype(np.uint8)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    rim = np.clip((1 - np.hypot(x, y)) * np.float32(2.6) + grains * np.float32(0.35) + np.float32(0.1), 0, 1)
    opacity = np.asarray(cv2.GaussianBlur((rim * 255).astype(np.uint8), (3, 3), 0), np.uint8)
    bump = np.asarray(grains * np.float32(0.02), np.float32)
    dust = Part(points, part.faces, part.uv, paint, Stuff(gloss=0.0, sharp=8), harm=part.harm, bump=bump)
    return Film(dust, opacity=1.0, opacity_print=opacity, thick=True)
