"""Clamshells: a printed card, a clear dome, and the goods in it."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import face, primed
from booth.catalogue import Spec
from booth.draws import Domain, draws
from booth.lettering import Paint
from booth.mesh import Film, Part, Points, Stuff
from booth.packs.stuffs import COATED, PLASTIC
from booth.shapes import Mesh, box, lying, net, sheet
from booth.unit import Unit, moved, part, waver

_CARD_CM = 0.12


def clamshell(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a card with a dome on its left two thirds and something to see below it."""
    card, goods = _card(spec), _goods(spec)
    goods = moved(goods, by=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1)), 0), yaw=float(rng.normal(0, 0.06)))
    dome = part(_dome_mesh(spec.size_cm), np.full((8, 8, 3), 240, np.uint8), Stuff(gloss=0.95, sharp=90))
    dome = dataclasses.replace(dome, points=waver(dome.points, rng, height_cm=0.04, wavelength_cm=6.0))
    parts = {
        "body": dataclasses.replace(card, points=waver(card.points, rng, height_cm=0.05, wavelength_cm=13.0)),
        "goods": goods,
    }
    return Unit(spec, parts, {"film": Film(dome, opacity=0.1, opacity_print=_rim())}, skin=("film", "body"))


def dome_middle(spec: Spec) -> tuple[float, float, float, float]:
    """Return where the dome is: middle x and y, width and depth in centimetres."""
    length, depth, _ = spec.size_cm
    return -length * 0.14, -depth * 0.04, length * 0.62, depth * 0.78


@functools.lru_cache(maxsize=128)
def _card(spec: Spec) -> Part:
    length, depth, _ = spec.size_cm
    top = face(spec, length, depth, "top")
    edge = primed((225, 225, 225), length, 0.4, *spec.seeds, 90)
    mesh = box(length, depth, _CARD_CM, bevel=0.03, step=0.8)
    border = 0.4
    size = np.array([length + 2 * _CARD_CM, depth + 2 * _CARD_CM], np.float32)
    wide = np.array([length + 2 * border, depth + 2 * border], np.float32)
    uv = np.asarray((mesh.uv * size - _CARD_CM + border) / wide, np.float32)
    return part(Mesh(mesh.points, mesh.faces, uv, mesh.print_cm), net(top, edge, edge, border), COATED)


@functools.lru_cache(maxsize=128)
def _goods(spec: Spec) -> Part:
    """Return the thing in the dome: a torch-like turned body, or a moulded block."""
    rng = draws(Domain.ARTWORK, *spec.key, 91)
    x, y, wide, deep = dome_middle(spec)
    tall = spec.size_cm[2] * 0.75
    if rng.random() < 0.5:
        long, radius = wide * 0.78, min(deep * 0.3, tall * 0.5)
        shape = rng.uniform(0.55, 1.0, 5)
        at = np.linspace(-long / 2, long / 2, 16)
        radii = np.interp(at, np.linspace(-long / 2, long / 2, 5), shape * radius)
        profile = np.concatenate([[[at[0], 0.01]], np.stack([at, radii], 1), [[at[-1], 0.01]]])
        mesh = lying(profile, sectors=24)
    else:
        mesh = box(wide * 0.7, deep * 0.66, tall, bevel=tall * 0.35, step=1.0)
    return moved(part(mesh, _goods_print(spec), PLASTIC), by=(x, y, _CARD_CM), about=np.zeros(3, np.float32))


def _goods_print(spec: Spec) -> Paint:
    paint = primed(spec.accent, 12, 8, *spec.key, 92)
    ink = tuple(int(channel * 0.5) for channel in spec.accent)
    for column in range(20, paint.shape[1], 60):
        cv2.line(paint, (column, 0), (column, paint.shape[0]), ink, 6)
    cv2.rectangle(paint, (90, 0), (140, paint.shape[0]), (70, 70, 74), -1)
    return paint


@functools.lru_cache(maxsize=128)
def _dome_mesh(size: tuple[float, float, float]) -> Mesh:
    wide, deep = size[0] * 0.62, size[1] * 0.78
    flat = sheet(wide, deep, step=0.5)
    points = _domed(flat.points, wide, deep, size[2])
    points[:, 0] -= np.float32(size[0] * 0.14)
    points[:, 1] -= np.float32(size[1] * 0.04)
    return Mesh(points, flat.faces, flat.uv, flat.print_cm)


def _domed(points: Points, wide: float, deep: float, height: float) -> Points:
    x, y = np.abs(2 * points[:, 0] / wide), np.abs(2 * points[:, 1] / deep)
    flange = 0.9
    rise = np.clip(1 - (np.minimum(x / flange, 1) ** 6 + np.minimum(y / flange, 1) ** 6), 0, 1) ** 0.45
    out = points.copy()
    out[:, 2] = np.float32(_CARD_CM + 0.05) + np.float32(height - _CARD_CM) * rise.astype(np.float32)
    return out


def _rim() -> NDArray[np.uint8]:
    """Return the dome's opacity, uint8[h, w]: its walls and flange show more than its top."""
    opacity = np.full((96, 128), 110, np.uint8)
    cv2.rectangle(opacity, (3, 3), (124, 92), 255, 4)
    cv2.rectangle(opacity, (12, 10), (115, 85), 200, 3)
    return opacity
