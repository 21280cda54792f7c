"""Normal life: rubbed edges, light creases, tape, routing labels. On intact and damaged units alike, and no damage.

The limits are those below which a person would sell the unit: rubs of less than 0.6 cm^2, creases without depth,
nothing open, nothing wet, nothing missing.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Form
from booth.harm.places import Place, choose, fine_shape, mix, step, window
from booth.lettering import PX_PER_CM, Paint, write
from booth.mesh import Part
from booth.unit import Unit

_NETS = frozenset({Form.CARTON, Form.WRAPPED_BOX})


def handle(unit: Unit, rng: np.random.Generator) -> tuple[Unit, str]:
    """Return the unit as it comes along a line, and in a word what was done to it: none, rubs, label, tape, creases."""
    names = [name for name in unit.skin if name not in unit.films]
    chances = rng.random(4)
    told = "none"
    if chances[0] < 0.6:
        unit = _rub_edges(unit, names, rng)
        told = "rubs"
    if chances[1] < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            unit = _crease(unit, choose(unit, rng, names), rng)
        told = "creases"
    if chances[2] < 0.15:
        unit = _tape(unit, choose(unit, rng, names), rng)
        told = "tape"
    if chances[3] < 0.25:
        unit = _label(unit, choose(unit, rng, names), rng)
        told = "label"
    return unit, told


def _rub_edges(unit: Unit, names: list[str], rng: np.random.Generator) -> Unit:
    """Rub the coat off in small spots, most of them along edges."""
    for _ in range(int(rng.integers(2, 7))):
        place = choose(unit, rng, names)
        surface = unit.surface(place.name)
        if unit.spec.form in _NETS or "body" in place.name:
            place = _to_edge(unit, place, rng)
        reach = float(rng.uniform(0.15, 0.5))
        view = window(place, surface.print.shape, reach * 2)
        if view.empty:
            continue
        near = 1 - view.away(rng.uniform(0, np.pi), rng.uniform(1.5, 6)) / np.float32(reach)
        cover = step(near + view.rough(rng, 2) * np.float32(0.4), 0.5) * np.float32(rng.uniform(0.2, 0.6))
        unit = unit.with_surface(place.name, _painted(surface, view.rows, view.columns, (214, 222, 226), cover))
    return unit


def _to_edge(unit: Unit, place: Place, rng: np.random.Generator) -> Place:
    """Move a place on a box's net to the nearer fold of its top."""
    length, depth, height = unit.spec.size_cm
    across, down = (height / (length + 2 * height), height / (depth + 2 * height))
    u, v = place.uv
    if rng.random() < 0.5:
        u = across if u < 0.5 else 1 - across
        v = float(np.clip(v, down, 1 - down))
    else:
        v = down if v < 0.5 else 1 - down
        u = float(np.clip(u, across, 1 - across))
    return dataclasses.replace(place, uv=(u, v))


def _crease(unit: Unit, place: Place, rng: np.random.Generator) -> Unit:
    """Bend the surface a little along a line, without a kink in the print."""
    surface = unit.surface(place.name)
    shape = surface.bump.shape if surface.bump is not None else fine_shape(surface, place)
    reach = float(rng.uniform(1.0, 3.5))
    view = window(place, shape, reach)
    if view.empty:
        return unit
    near = np.maximum(1 - (view.away() / np.float32(reach)) ** 2, 0)
    angle = rng.uniform(0, np.pi)
    line = (
        view.x * np.float32(np.sin(angle)) - view.y * np.float32(np.cos(angle)) + view.rough(rng, 32) * np.float32(0.15)
    )
    bump = np.zeros(shape, np.float32) if surface.bump is None else surface.bump.copy()
    ridge = np.exp(-np.abs(line) / np.float32(rng.uniform(0.1, 0.22))) * near
    bump[view.rows, view.columns] += ridge * np.float32(rng.choice([-1.0, 1.0]) * rng.uniform(0.015, 0.04))
    return unit.with_surface(place.name, dataclasses.replace(surface, bump=bump))


def _tape(unit: Unit, place: Place, rng: np.random.Generator) -> Unit:
    """Stick a strip of clear or brown tape across."""
    surface = unit.surface(place.name)
    half, long = float(rng.uniform(0.6, 1.1)), float(rng.uniform(4, 14))
    view = window(place, surface.print.shape, long)
    if view.empty:
        return unit
    level = rng.random() < 0.5
    across, along = (view.y, view.x) if level else (view.x, view.y)
    cover = step(half - np.abs(across), 0.03) * step(long / 2 - np.abs(along), 0.03)
    tone = (110, 165, 200) if rng.random() < 0.5 else (232, 234, 236)
    made = _painted(surface, view.rows, view.columns, tone, cover * np.float32(rng.uniform(0.18, 0.45)))
    return unit.with_surface(place.name, made)


def _label(unit: Unit, place: Place, rng: np.random.Generator) -> Unit:
    """Stick a routing label on, a little askew at times, its paper wrinkled."""
    surface = unit.surface(place.name)
    wide, tall = float(rng.uniform(2.8, 4.4)), float(rng.uniform(1.5, 2.4))
    height, width = round(tall * PX_PER_CM), round(wide * PX_PER_CM)
    label: Paint = np.full((height, width, 3), int(rng.integers(226, 246)), np.uint8)
    write(
        label,
        f"{'ABCDEFGH'[int(rng.integers(8))]}{int(rng.integers(10, 99))}",
        5,
        height * 0.62,
        (30, 30, 30),
        height * 0.6,
        800,
    )
    write(label, f"{int(rng.integers(10**6)):06d}", 5, height - 4, (60, 60, 60), 10)
    angle = float(rng.normal(0, 7)) + (90 if rng.random() < 0.2 else 0)
    paint = surface.print.copy()
    middle = (place.uv[0] * paint.shape[1], place.uv[1] * paint.shape[0])
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    matrix[:, 2] = matrix[:, 2] + np.array(middle) - (width / 2, height / 2)
    size = (paint.shape[1], paint.shape[0])
    colours = np.ascontiguousarray(paint[..., :3])
    cv2.warpAffine(label, matrix, size, dst=colours, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    paint[..., :3] = colours
    return unit.with_surface(place.name, dataclasses.replace(surface, print=paint))


def _painted(
    surface: Part,
    rows: slice,
    columns: slice,
    tone: tuple[int, int, int],
    cover: NDArray[np.float32],
) -> Part:
    paint = surface.print.copy()
    region = paint[rows, columns, :3]
    solid = np.empty(region.shape, np.float32)
    solid[:] = tone
    region[:] = mix(region.astype(np.float32), solid, cover).astype(np.uint8)
    return dataclasses.replace(surface, print=paint)
