"""Loose clear bags draped over soft or boxed goods."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import face, primed
from booth.catalogue import Spec
from booth.draws import Domain, draws
from booth.lettering import Paint, pixels
from booth.mesh import Film, Part, Points
from booth.packs.cartons import bulged, shell
from booth.packs.stuffs import CLOTH, COATED, FILM, contents, creases
from booth.shapes import Mesh, box, net, sheet
from booth.unit import Unit, moved, part, waver

_MARGIN_CM = 1.6


def poly_bag(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build goods in a clear bag, its wide margins on the table, a printed label under the film."""
    length, depth, height = spec.size_cm
    boxed = draws(Domain.ARTWORK, *spec.key, 60).random() < 0.45
    if boxed:
        body = shell(spec)
        points = waver(bulged(body.points, spec.size_cm, 0.1), rng, height_cm=0.06, wavelength_cm=12.0)
        parts = {"inside": contents(spec, length - 0.8, depth - 0.8, height * 0.7, rng)}
        parts["body"] = dataclasses.replace(body, points=points)
    else:
        soft = part(_soft_mesh(spec.size_cm), _cloth(spec), CLOTH)
        points = waver(bulged(soft.points, spec.size_cm, 0.3), rng, height_cm=0.2, wavelength_cm=5.0)
        bumps = creases(depth, length, rng, amount_cm=0.06)
        parts = {"body": dataclasses.replace(soft, points=points, bump=bumps)}
        parts["label"] = _insert(spec)
    film = part(_film_mesh(spec.size_cm), np.full((8, 8, 3), 232, np.uint8), FILM)
    over = drape(film.points, (length, depth, height), rng)
    wide, tall = length + 2 * _MARGIN_CM + 1, depth + 2 * _MARGIN_CM
    film = dataclasses.replace(film, points=over, bump=creases(tall, wide, rng, amount_cm=0.09))
    return Unit(spec, parts, {"film": Film(film, opacity=0.1, opacity_print=_seams())}, skin=("body", "film"))


def drape(points: Points, size: tuple[float, float, float], rng: np.random.Generator) -> Points:
    """Lay a sheet over a body of this size: on top of it, then falling to the table, wrinkled all over."""
    x = np.maximum(np.abs(points[:, 0]) - size[0] / 2, 0)
    y = np.maximum(np.abs(points[:, 1]) - size[1] / 2, 0)
    fall = np.hypot(x, y)
    drop = np.clip(fall / np.float32(max(size[2] * 0.55, 0.8)), 0, 1)
    out = points.copy()
    out[:, 2] = np.float32(size[2] + 0.8) * (1 - drop * drop * (3 - 2 * drop)) + np.float32(0.1)
    out = waver(out, rng, height_cm=0.3, wavelength_cm=4.5)
    return waver(out, rng, height_cm=0.16, wavelength_cm=1.9)


def _insert(spec: Spec) -> Part:
    """Lay a printed card with the code on the goods."""
    paint = _insert_print(spec)
    length, depth = spec.size_cm[0] * 0.66, spec.size_cm[1] * 0.72
    edge = primed((225, 225, 225), 6, 0.4, *spec.seeds, 63)
    card = part(box(length, depth, 0.1, bevel=0.02, step=1.0), net(paint, edge, edge, 0.4), COATED)
    return moved(card, by=(0, 0, spec.size_cm[2] + 0.55), about=np.zeros(3, np.float32))


@functools.lru_cache(maxsize=160)
def _insert_print(spec: Spec) -> Paint:
    return face(spec, spec.size_cm[0] * 0.66, spec.size_cm[1] * 0.72, "top")


@functools.lru_cache(maxsize=256)
def _soft_mesh(size: tuple[float, float, float]) -> Mesh:
    return box(*size, bevel=size[2] * 0.44, step=0.8)


@functools.lru_cache(maxsize=256)
def _film_mesh(size: tuple[float, float, float]) -> Mesh:
    return sheet(size[0] + 2 * _MARGIN_CM + 1, size[1] + 2 * _MARGIN_CM, step=0.6)


@functools.lru_cache(maxsize=160)
def _cloth(spec: Spec) -> Paint:
    """Weave the folded goods: one colour, a fold down the middle."""
    length, depth, height = spec.size_cm
    top = primed(spec.accent, length, depth, *spec.seeds, 61)
    middle = int(top.shape[1] * 0.5)
    cv2.line(top, (middle, 0), (middle, top.shape[0]), tuple(int(c * 0.7) for c in spec.accent), 3, cv2.LINE_AA)
    if spec.layout % 2:
        for row in range(0, top.shape[0], pixels(1.3)):
            cv2.line(top, (0, row), (top.shape[1], row), spec.ground, pixels(0.5))
    plain = primed(spec.accent, length, height, *spec.seeds, 62)
    return net(top, plain, plain, height)


@functools.cache
def _seams() -> NDArray[np.uint8]:
    """Return where the film is doubled and welded, uint8[h, w]: its rim and one seam."""
    seams = np.full((160, 240), 140, np.uint8)
    cv2.rectangle(seams, (0, 0), (239, 159), 255, 5)
    cv2.line(seams, (0, 128), (240, 128), 235, 2)
    return seams
