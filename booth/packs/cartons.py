"""Cartons: printed folding boxes and plain shipping boxes with tape, never quite flat."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from booth.artwork import KRAFT, face
from booth.catalogue import Spec
from booth.draws import Domain, draws
from booth.lettering import Paint, pixels
from booth.mesh import Part, Points
from booth.packs.stuffs import BOARD, COATED, contents, inner_board
from booth.shapes import Mesh, box, net
from booth.unit import Unit, part, waver


def carton(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a closed carton over its contents."""
    length, depth, height = spec.size_cm
    body = shell(spec)
    bulge = float(rng.uniform(-0.12, 0.28))
    points = waver(bulged(body.points, spec.size_cm, bulge), rng, height_cm=0.07, wavelength_cm=14.0)
    inside = contents(spec, length - 0.8, depth - 0.8, height * 0.72, rng)
    return Unit(spec, {"inside": inside, "body": dataclasses.replace(body, points=points)}, {}, skin=("body",))


def shell(spec: Spec) -> Part:
    """Return the product's folding box as printed, bevelled by 1 to 2 mm."""
    mesh = _mesh(spec.size_cm)
    plain = is_shipping_box(spec)
    stuff = BOARD if plain or spec.layout % 3 == 0 else COATED
    return part(mesh, carton_net(spec), stuff, two_sided=True, inner=inner_board(not plain))


def is_shipping_box(spec: Spec) -> bool:
    """Tell whether the carton is a brown one with tape; three in ten are."""
    return bool(draws(Domain.ARTWORK, *spec.seeds, 20).random() < 0.3)


@functools.lru_cache(maxsize=160)
def carton_net(spec: Spec) -> Paint:
    """Print the carton's six faces and lay them out as `shapes.box` wants them."""
    length, depth, height = spec.size_cm
    ground = KRAFT if is_shipping_box(spec) else None
    if ground is not None:
        spec = dataclasses.replace(spec, ground=KRAFT, ink=(40, 50, 60))
    top = face(spec, length, depth, "top", ground=ground)
    if ground is not None:
        _tape(top)
    front = face(spec, length, height, "front", ground=ground)
    side = face(spec, depth, height, "side", ground=ground)
    sheet = net(top, front, side, height)
    rise = pixels(height)
    for row in (rise, sheet.shape[0] - rise):  # folding breaks the print's coat a little
        sheet[row - 1 : row + 1] = (sheet[row - 1 : row + 1].astype(np.uint16) * 3 // 4 + 55).astype(np.uint8)
    for column in (rise, sheet.shape[1] - rise):
        edge = sheet[:, column - 1 : column + 1]
        edge[:] = (edge.astype(np.uint16) * 3 // 4 + 55).astype(np.uint8)
    sheet.setflags(write=False)
    return sheet


def bulged(points: Points, size: tuple[float, float, float], amount_cm: float) -> Points:
    """Lift the lid's middle: boxes are filled to the brim, or stood below others."""
    x, y = 2 * points[:, 0] / size[0], 2 * points[:, 1] / size[1]
    lift = np.maximum(1 - x * x, 0) * np.maximum(1 - y * y, 0) * (points[:, 2] / size[2]) ** 2
    out = points.copy()
    out[:, 2] += np.float32(amount_cm) * lift
    return out


@functools.lru_cache(maxsize=256)
def _mesh(size: tuple[float, float, float]) -> Mesh:
    return box(*size, bevel=0.14)


def _tape(top: Paint) -> None:
    """Close the box with a strip of tape over the seam."""
    height, width = top.shape[:2]
    middle, half = height // 2, pixels(2.2)
    cv2.line(top, (0, middle), (width, middle), (60, 90, 120), 2)
    strip = top[middle - half : middle + half].astype(np.float32)
    tint = np.array((120, 178, 214), np.float32)
    top[middle - half : middle + half] = (strip * 0.62 + tint * 0.38).astype(np.uint8)
    for edge in (middle - half, middle + half):
        cv2.line(top, (0, edge), (width, edge), (90, 135, 170), 1)
