"""Shrink-wrapped goods: a box or a book under film that lies tight, with its seam and its puckered corners."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Spec
from booth.draws import grain_patch
from booth.lettering import pixels
from booth.mesh import Film, Shades
from booth.packs.books import book
from booth.packs.cartons import bulged, shell
from booth.packs.stuffs import FILM, contents
from booth.shapes import Mesh, box
from booth.unit import Unit, part, waver


def wrapped_box(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a carton under tight film."""
    length, depth, height = spec.size_cm
    body = shell(spec)
    points = waver(
        bulged(body.points, spec.size_cm, float(rng.uniform(0, 0.2))), rng, height_cm=0.05, wavelength_cm=12.0
    )
    inside = contents(spec, length - 0.8, depth - 0.8, height * 0.75, rng)
    parts = {"inside": inside, "body": dataclasses.replace(body, points=points)}
    return Unit(spec, parts, {"film": tight(spec, rng)}, skin=("body", "film"))


def wrapped_book(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a book under tight film."""
    unit = book(spec, rng, hard=spec.layout % 2 == 0)
    unit = unit.with_film("film", tight(spec, rng))
    return dataclasses.replace(unit, skin=("cover", "film"))


def tight(spec: Spec, rng: np.random.Generator) -> Film:
    """Shrink film around a unit: it puckers towards the corners and doubles at the seam."""
    mesh = _film_mesh(spec.size_cm)
    film = part(mesh, np.full((8, 8, 3), 238, np.uint8), FILM)
    film = dataclasses.replace(film, bump=_puckers(spec.size_cm, rng))
    return Film(film, opacity=0.1, opacity_print=_seam(float(rng.uniform(0.35, 0.65))))


@functools.lru_cache(maxsize=256)
def _film_mesh(size: tuple[float, float, float]) -> Mesh:
    return box(size[0] + 0.16, size[1] + 0.16, size[2] + 0.09, bevel=0.25, step=0.8)


def _puckers(size: tuple[float, float, float], rng: np.random.Generator) -> Shades:
    """Return the film's relief on its net, float32[h, w] centimetres: folds that fan out of the top's corners."""
    rise = size[2]
    height, width = pixels(size[1] + 2 * rise), pixels(size[0] + 2 * rise)
    y, x = np.mgrid[0:height:2, 0:width:2].astype(np.float32) / np.float32(20)
    relief = np.zeros(x.shape, np.float32)
    for corner_x in (rise, rise + size[0]):
        for corner_y in (rise, rise + size[1]):
            away = np.hypot(x - corner_x, y - corner_y)
            angle = np.arctan2(y - corner_y, x - corner_x)
            fan = np.sin(angle * int(rng.integers(9, 15)) + np.float32(rng.uniform(0, 6)))
            relief += fan * np.exp(-away / np.float32(rng.uniform(1.2, 2.6))) * np.float32(0.1)
    relief += grain_patch(rng, min(768, x.shape[0]), min(768, x.shape[1]), finest=8)[
        : x.shape[0], : x.shape[1]
    ] * np.float32(0.012)
    return relief


def _seam(share: float) -> NDArray[np.uint8]:
    """Return the film's opacity on its net, uint8[h, w]: stronger along the weld."""
    opacity = np.full((128, 192), 150, np.uint8)
    cv2.line(opacity, (0, int(128 * share)), (192, int(128 * share)), 255, 3)
    return opacity
