"""Flat bags: paper mailers, and padded ones whose bubbles show through."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import KRAFT, PAPER, face, primed, stick_codes
from booth.catalogue import Colour, Spec
from booth.draws import Domain, draws
from booth.lettering import Paint, pixels
from booth.mesh import Film, Part, Points, Shades, Stuff
from booth.packs.cartons import bulged, shell
from booth.packs.stuffs import FILM, PAPER_STUFF, contents, creases
from booth.shapes import Mesh, box, sheet
from booth.unit import Unit, part, waver

_POLY: Final[tuple[Colour, ...]] = ((238, 238, 240), (190, 160, 230), (60, 60, 64), (206, 206, 210), KRAFT)
_PITCH_CM: Final = 1.0  # of bubbles


def paper_mailer(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a paper bag with a glued flap and a label."""
    ground = (KRAFT, PAPER, spec.ground)[spec.layout % 3]
    skin = part(_mesh(spec.size_cm), _print(spec, ground), PAPER_STUFF, two_sided=True, inner=_lining(spec))
    length, depth, _ = spec.size_cm
    skin = dataclasses.replace(skin, bump=creases(depth, length, rng, amount_cm=0.03))
    return _stuffed(spec, skin, rng, rough_cm=0.1)


def bubble_mailer(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a padded mailer, or goods rolled up in clear bubble wrap."""
    if draws(Domain.ARTWORK, *spec.key, 50).random() < 0.4:
        return _rolled_up(spec, rng)
    ground = _POLY[spec.layout % len(_POLY)]
    stuff = Stuff(gloss=0.06 if ground == KRAFT else 0.4, sharp=30)
    skin = part(_mesh(spec.size_cm), _print(spec, ground), stuff, two_sided=True, inner=_lining(spec))
    length, depth, _ = spec.size_cm
    wrinkles = creases(depth, length, rng, amount_cm=0.04)
    dots = bubbles(pixels(depth), pixels(length), 0.07)
    skin = dataclasses.replace(
        skin, bump=np.asarray(dots[: wrinkles.shape[0], : wrinkles.shape[1]] + wrinkles, np.float32)
    )
    return _stuffed(spec, skin, rng, rough_cm=0.09)


def bubbles(height: int, width: int, amount_cm: float) -> Shades:
    """Return float32[h, w] centimetres: rows of round bubbles, every other row shifted."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch = np.float32(pixels(_PITCH_CM))
    row = np.floor(y / (pitch * np.float32(0.87)))
    across = np.mod(x + np.where(row % 2, pitch / 2, 0), pitch) - pitch / 2
    down = np.mod(y, pitch * np.float32(0.87)) - pitch * np.float32(0.435)
    inside = np.maximum(1 - (across**2 + down**2) / (0.42 * pitch) ** 2, 0)
    return np.asarray(np.sqrt(inside) * np.float32(amount_cm), np.float32)


def pillow(points: Points, size: tuple[float, float, float], *, flat_cm: float = 0.9) -> Points:
    """Blow a flat sheet up over what is in it; its seams, `flat_cm` wide, stay down."""
    x, y = np.abs(2 * points[:, 0] / size[0]), np.abs(2 * points[:, 1] / size[1])
    edge_x, edge_y = 1 - 2 * flat_cm / size[0], 1 - 2 * flat_cm / size[1]
    rise = np.maximum(1 - (x / edge_x) ** 4, 0) * np.maximum(1 - (y / edge_y) ** 4, 0)
    out = points.copy()
    out[:, 2] += np.float32(size[2]) * np.sqrt(rise).astype(np.float32) + np.float32(0.12)
    return out


def _stuffed(spec: Spec, skin: Part, rng: np.random.Generator, *, rough_cm: float) -> Unit:
    length, depth, height = spec.size_cm
    size = (length, depth, height * float(rng.uniform(0.85, 1.1)))
    points = waver(pillow(skin.points, size), rng, height_cm=rough_cm * 1.6, wavelength_cm=6.0)
    points = waver(points, rng, height_cm=rough_cm, wavelength_cm=2.6)
    inside = contents(spec, length * 0.72, depth * 0.7, height * 0.55, rng)
    return Unit(spec, {"inside": inside, "body": dataclasses.replace(skin, points=points)}, {}, skin=("body",))


def _rolled_up(spec: Spec, rng: np.random.Generator) -> Unit:
    """Wrap a small carton in clear bubbles."""
    small = dataclasses.replace(spec, size_cm=(spec.size_cm[0] * 0.86, spec.size_cm[1] * 0.86, spec.size_cm[2] + 1.6))
    body = shell(small)
    points = waver(bulged(body.points, small.size_cm, 0.1), rng, height_cm=0.05, wavelength_cm=12.0)
    length, depth, height = small.size_cm
    inside = contents(small, length - 0.8, depth - 0.8, height * 0.7, rng)
    wrap = part(_wrap_mesh(small.size_cm), np.full((8, 8, 3), 236, np.uint8), FILM)
    tall, wide = depth + 2 * height + 2, length + 2 * height + 2
    wrap = dataclasses.replace(
        wrap,
        points=waver(wrap.points, rng, height_cm=0.16, wavelength_cm=4.0),
        bump=bubbles(pixels(tall), pixels(wide), 0.12),
    )
    parts = {"inside": inside, "body": dataclasses.replace(body, points=points)}
    return Unit(small, parts, {"film": Film(wrap, opacity=0.16)}, skin=("body", "film"))


@functools.lru_cache(maxsize=256)
def _mesh(size: tuple[float, float, float]) -> Mesh:
    return sheet(size[0], size[1], step=0.55)


@functools.lru_cache(maxsize=256)
def _wrap_mesh(size: tuple[float, float, float]) -> Mesh:
    return box(size[0] + 0.8, size[1] + 0.8, size[2] + 0.4, bevel=0.9, step=0.8)


@functools.lru_cache(maxsize=160)
def _print(spec: Spec, ground: Colour) -> Paint:
    """Print a bag: seams, a flap, and a big label with the brand; the code lies at the label's corner."""
    length, depth, _ = spec.size_cm
    paint = primed(ground, length, depth, *spec.seeds, 51)
    height, width = paint.shape[:2]
    dark = tuple(int(channel * 0.8) for channel in ground)
    cv2.line(paint, (0, int(height * 0.13)), (width, int(height * 0.13)), dark, 2, cv2.LINE_AA)
    for inset in (pixels(0.35), pixels(0.7)):
        cv2.rectangle(paint, (inset, inset), (width - inset, height - inset), dark, 1, cv2.LINE_AA)
    label = face(dataclasses.replace(spec, codes=()), length * 0.8, depth * 0.7, "top")
    stick_codes(label, spec, on_top=True)
    top, left = int(height * 0.2), int(width * 0.1)
    paint[top : top + label.shape[0], left : left + label.shape[1]] = label[: height - top, : width - left]
    opacity = _outline(height, width)
    sheet_print: Paint = np.dstack([paint, opacity])
    sheet_print.setflags(write=False)
    return sheet_print


def _outline(height: int, width: int) -> NDArray[np.uint8]:
    """Return the bag's outline with round corners as opacity, uint8[h, w]."""
    radius = pixels(0.5)
    opacity = np.zeros((height, width), np.uint8)
    cv2.rectangle(opacity, (radius, 0), (width - radius - 1, height), 255, -1)
    cv2.rectangle(opacity, (0, radius), (width, height - radius - 1), 255, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(opacity, (x, y), radius, 255, -1)
    return opacity


@functools.lru_cache(maxsize=64)
def _lining(spec: Spec) -> Paint:
    return primed((150, 160, 168), 6, 6, *spec.key, 52)
