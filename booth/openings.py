"""Damage to the whole unit: opened, falling apart, or leaking on the table."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np

from booth.artwork import KRAFT
from booth.catalogue import Packaging
from booth.draws import grain_patch
from booth.lettering import PX_PER_CM, Paint, pixels
from booth.light import Vectors
from booth.scene import Mark, Panel
from booth.unit import Unit

_GOODS: Final = ((214, 218, 220), (180, 196, 210), (90, 96, 110), (120, 160, 190), (150, 190, 160))
_UP: Final = np.array([0.0, 0.0, 1.0])


def unseal(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Open the unit: lift the lid a little, or fold all four flaps back."""
    top = unit.sides["top"]
    if unit.spec.packaging is Packaging.MAILER:
        return _unseal_mailer(unit, rng, major=major)
    hollow = _hollow(unit, rng)
    if not major:  # hinged at the back, standing open at the front
        lift = np.radians(rng.uniform(10, 18))
        lid = _hinged(top, top.corners[:2], lift)
        return unit.with_side("top", lid).adding(extra=hollow, marks=(_edge_mark(top, lid),))
    depth = float(np.linalg.norm(top.corners[3] - top.corners[0]))
    flaps: list[Panel] = []
    for edge in range(4):
        start, end = top.corners[edge], top.corners[(edge + 1) % 4]
        inward = np.cross(_UP, end - start)
        inward *= np.sign(inward @ (top.corners.mean(axis=0) - start)) / np.linalg.norm(inward)
        angle = np.radians(rng.uniform(115, 170))
        reach = depth / 2 * rng.uniform(0.85, 1.0)
        tip = (np.cos(angle) * inward + np.sin(angle) * _UP) * reach
        flaps += _two_sided(
            np.array([start, end, end + tip, start + tip]), _kraft(end - start, reach, rng), _half(top.paint, edge)
        )
    opened = unit.with_side("top", None).adding(extra=(*hollow, *flaps))
    return opened.adding(marks=(Mark(np.concatenate([top.corners, *(flap.corners for flap in flaps[::2])])),))


def break_up(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Let the unit come apart: the lid slides off, and in bad cases a piece lies on the table."""
    top = unit.sides["top"]
    length, depth, _ = unit.spec.size_cm
    slide = rng.uniform(0.3, 0.5) * depth if major else rng.uniform(0.1, 0.18) * depth
    heading = rng.uniform(0, 2 * np.pi)
    move = np.array([np.cos(heading) * slide, np.sin(heading) * slide, 0.35])
    turn = np.radians(rng.uniform(6, 16) * rng.choice([-1, 1]) * (1.6 if major else 1.0))
    middle = top.corners.mean(axis=0)
    about = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    lid = dataclasses.replace(top, corners=(top.corners - middle) @ about.T + middle + move, above=1)
    broken = unit.with_side("top", lid).adding(
        extra=_hollow(unit, rng), marks=(Mark(np.concatenate([top.corners, lid.corners])),)
    )
    if not major:
        return broken
    x = float(rng.choice([-1, 1])) * (length / 2 + rng.uniform(1.5, 3.0))
    y = -depth / 2 - rng.uniform(-2.0, 2.0)
    piece, outline = _scrap(unit, rng, x, y)
    return broken.adding(extra=(piece,), marks=(Mark(outline),))


def spill(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Leave a puddle or powder beside the unit, partly below it."""
    length, depth, _ = unit.spec.size_cm
    reach = rng.uniform(3.6, 5.2) if major else rng.uniform(2.3, 3.0)
    along = float(rng.uniform(-0.42, 0.42))
    side = int(rng.choice(3, p=(0.7, 0.15, 0.15)))
    x, y = [
        (along * length, -depth / 2 - 0.4 * reach),
        (length / 2 + 0.25 * reach, along * depth),
        (-length / 2 - 0.25 * reach, along * depth),
    ][side]
    square = pixels(2.6 * reach)
    rows, columns = (np.mgrid[0:square, 0:square].astype(np.float32) - square / 2) / np.float32(PX_PER_CM)
    away = np.hypot(rows * np.float32(rng.uniform(0.8, 1.25)), columns)
    powder = bool(rng.random() < 0.4)
    saturation, value = ((10, 60), (120, 230)) if powder else ((60, 200), (40, 170))
    hue = [[[rng.integers(180), rng.integers(*saturation), rng.integers(*value)]]]
    colour = np.asarray(cv2.cvtColor(np.array(hue, np.uint8), cv2.COLOR_HSV2BGR), np.uint8)[0, 0]
    wobble = grain_patch(rng, square, square, finest=64 if not powder else 32)
    field = np.float32(reach) - away + wobble * np.float32(0.22 * reach)
    if powder:
        speck = grain_patch(rng, square, square, finest=2)
        cover = np.clip(field * 0.9 + speck * 0.75, 0, 1)
        relief = cover * np.float32(0.12) * (1 + 0.6 * speck)
        gloss = 0.0
    else:
        cover = np.clip(field / 0.18, 0, 1) * np.float32(rng.uniform(0.65, 0.92))
        relief = np.clip(field / 0.6, 0, 1) * np.float32(0.1) + wobble * np.float32(0.02)
        gloss = 0.3
    paint = np.dstack([np.broadcast_to(colour, (square, square, 3)), (cover * 255).astype(np.uint8)])
    half = square / PX_PER_CM / 2
    corners = np.array(
        [[x - half, y + half, 0], [x + half, y + half, 0], [x + half, y - half, 0], [x - half, y - half, 0]]
    )
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    outline = np.stack([x + 0.9 * reach * np.cos(angles), y + 0.9 * reach * np.sin(angles), np.zeros(12)], axis=1)
    return unit.adding(ground=(Panel(corners, paint, relief.astype(np.float32), gloss=gloss),), marks=(Mark(outline),))


def _unseal_mailer(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Fold the bag's closing strip back and show its dark mouth."""
    top = unit.sides["top"]
    height, width = top.paint.shape[:2]
    mouth = int(height * (rng.uniform(0.2, 0.3) if major else rng.uniform(0.1, 0.15)))
    paint = top.paint.copy()
    fade = np.linspace(0.34, 0.14, mouth, dtype=np.float32)[:, None, None]
    content = np.array(_GOODS[int(rng.integers(len(_GOODS)))], np.float32)
    paint[:mouth, :, :3] = np.clip(content * fade + grain_patch(rng, mouth, width, finest=8)[..., None] * 5, 0, 255)
    reach = mouth / PX_PER_CM * 1.1
    start, end = top.corners[0], top.corners[1]
    angle = np.radians(rng.uniform(130, 165))
    tip = np.array([0.0, -np.cos(angle), np.sin(angle)]) * reach
    flap = _two_sided(
        np.array([start, end, end + tip, start + tip]), _kraft(end - start, reach, rng), _half(top.paint, 0)
    )
    mark = Mark(np.stack([start + tip, end + tip, top.at(1, mouth / height), top.at(0, mouth / height)]))
    return unit.with_side("top", dataclasses.replace(top, paint=paint)).adding(extra=tuple(flap), marks=(mark,))


def _hollow(unit: Unit, rng: np.random.Generator) -> tuple[Panel, ...]:
    """Build the inside of a box: four inner walls and the goods lying low in it."""
    top = unit.sides["top"].corners
    deep = min(unit.spec.size_cm[2] * 0.6, 3.5)
    low = top - [0, 0, deep]
    length, depth = np.linalg.norm(top[1] - top[0]), np.linalg.norm(top[3] - top[0])
    tall, wide = pixels(float(depth)), pixels(float(length))
    goods = np.empty((tall, wide, 3), np.float32)
    goods[:] = _GOODS[int(rng.integers(len(_GOODS)))]
    relief = grain_patch(rng, tall, wide, finest=16) * np.float32(0.12)
    edge = np.minimum(
        np.minimum.outer(np.arange(tall), np.arange(wide)),
        np.minimum.outer(np.arange(tall)[::-1], np.arange(wide)[::-1]),
    )
    goods *= np.clip(0.4 + edge[..., None] / 80, 0, 0.78)
    floor = Panel(low, np.clip(goods, 0, 255).astype(np.uint8), relief.astype(np.float32), gloss=0.2)
    walls = []
    for edge_index in range(4):
        start, end = edge_index, (edge_index + 1) % 4
        corners = np.array([top[end], top[start], low[start], low[end]])
        paint = _kraft(top[end] - top[start], deep, rng)
        shaded = (paint * np.linspace(0.8, 0.42, paint.shape[0], dtype=np.float32)[:, None, None]).astype(np.uint8)
        panel = Panel(corners, shaded, None)
        inward = top.mean(axis=0) - corners.mean(axis=0)
        walls.append(panel if panel.normal @ inward > 0 else dataclasses.replace(panel, corners=corners[[1, 0, 3, 2]]))
    return (floor, *walls)


def _hinged(panel: Panel, hinge: Vectors, angle: float) -> Panel:
    """Turn a panel about its upper edge by `angle` radians upwards."""
    down = panel.corners[3] - panel.corners[0]
    reach = float(np.linalg.norm(down))
    lifted = np.cos(angle) * down + np.sin(angle) * reach * _UP
    corners = np.array([hinge[0], hinge[1], hinge[1] + lifted, hinge[0] + lifted])
    return dataclasses.replace(panel, corners=corners, above=1)


def _edge_mark(closed: Panel, lid: Panel) -> Mark:
    return Mark(np.concatenate([closed.corners[2:], lid.corners[2:]]))


def _two_sided(corners: Vectors, inner: Paint, outer: Paint) -> list[Panel]:
    """Return both sides of a sheet; `corners` start at its hinge, `inner` is what faces up when it lies open."""
    sheet = Panel(corners, inner, None)
    swapped = corners[[1, 0, 3, 2]]
    if sheet.normal[2] < 0:
        return [Panel(swapped, inner, None), Panel(corners, outer, None)]
    return [sheet, Panel(swapped, outer, None)]


def _kraft(edge: Vectors, reach: float, rng: np.random.Generator) -> Paint:
    """Paint the inside of board: brown, with the flutes showing through."""
    height, width = pixels(reach), pixels(float(np.linalg.norm(edge)))
    texture = grain_patch(rng, height, width, finest=4) * 5 + np.sin(np.arange(width) * 1.1)[None] * 2.5
    paint: Paint = np.clip(np.array(KRAFT, np.float32) * 0.96 + texture[..., None], 0, 255).astype(np.uint8)
    return paint


def _half(paint: Paint, edge: int) -> Paint:
    """Cut the half of the top's print that belongs to the flap at `edge`."""
    height, width = paint.shape[:2]
    parts = (paint[: height // 2], paint[:, width // 2 :], paint[height // 2 :], paint[:, : width // 2])
    return parts[edge][..., :3].copy()


def _scrap(unit: Unit, rng: np.random.Generator, x: float, y: float) -> tuple[Panel, Vectors]:
    """Tear a piece off the print and lay it on the table."""
    size = rng.uniform(2.2, 3.6)
    square = pixels(size)
    print_ = unit.sides["top"].paint
    top, left = (int(rng.integers(max(1, side - square))) for side in print_.shape[:2])
    cut = print_[top : top + square, left : left + square, :3]
    height, width = cut.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    inside = (
        0.8 - np.maximum(np.abs(rows), np.abs(columns)) + grain_patch(rng, height, width, finest=4) * np.float32(0.14)
    )
    opacity = (np.clip(inside / 0.05, 0, 1) * 255).astype(np.uint8)
    torn = np.where((inside < 0.12)[..., None], np.uint8(222), cut)
    half = np.array([width, height]) / PX_PER_CM / 2
    corners = np.array(
        [
            [x - half[0], y + half[1], 0.2],
            [x + half[0], y + half[1], 0.2],
            [x + half[0], y - half[1], 0.2],
            [x - half[0], y - half[1], 0.2],
        ]
    )
    turn = rng.uniform(0, 2 * np.pi)
    about = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    middle = corners.mean(axis=0)
    placed = (corners - middle) @ about.T + middle
    return Panel(placed, np.dstack([torn, opacity]), None), placed
