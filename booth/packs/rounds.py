"""Round goods of hard plastic or tin: bottles lying down, jars and tins standing."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import face, primed
from booth.catalogue import Colour, Spec
from booth.lettering import Paint, code_label, pixels, text_width, write
from booth.mesh import Part
from booth.packs.stuffs import METAL, PLASTIC
from booth.shapes import Mesh, disc, lying, standing
from booth.unit import Unit, part, waver


def bottle(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a bottle on its side, its label up and its cap to the right."""
    body, cap = _bottle(spec)
    points = waver(body.points, rng, height_cm=0.03, wavelength_cm=9.0)
    parts = {"neck": _neck(spec), "body": _with(body, points), "cap": cap}
    return Unit(spec, parts, {}, skin=("body", "cap"))


def jar(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a jar with a screw lid, printed on the lid and around."""
    return _upright(spec, rng, tin=False)


def tin(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a tin with a rim at its lid."""
    return _upright(spec, rng, tin=True)


def _upright(spec: Spec, rng: np.random.Generator, *, tin: bool) -> Unit:
    body, lid, content = _standing(spec, tin)
    points = waver(body.points, rng, height_cm=0.02, wavelength_cm=9.0)
    return Unit(spec, {"inside": content, "body": _with(body, points), "lid": lid}, {}, skin=("lid", "body"))


def _with(made: Part, points: NDArray[np.float32]) -> Part:
    return Part(points, made.faces, made.uv, made.print, made.stuff, two_sided=made.two_sided, inner=made.inner)


@functools.lru_cache(maxsize=128)
def _standing(spec: Spec, tin: bool) -> tuple[Part, Part, Part]:
    radius, height = spec.size_cm[0] / 2, spec.size_cm[2]
    lid_cm = 0.6 if tin else 1.7
    wall = radius if tin else radius * 0.95
    rows = np.linspace(height - lid_cm, 0.0, 14)
    around = np.full(14, wall)
    around[-1] *= 0.96
    around[0] *= 0.97 if tin else 0.9
    mesh = standing(np.stack([around, rows], axis=1))
    paint = face(spec, *mesh.print_cm, "front")
    body = part(mesh, paint, METAL if tin else PLASTIC, two_sided=True, inner=primed((150, 152, 156), 6, 6, 7, 70))
    step = 0.16 if tin else 0.08
    flat, rim = height - step, height - lid_cm
    profile = np.array(
        [(0.0, flat), (radius * 0.25, flat), (radius * 0.5, flat), (radius * 0.72, flat), (radius * 0.86, flat),
         (radius * 0.89, height), (radius * 0.97, height), (radius, height - 0.12), (radius, (height + rim) / 2),
         (radius, rim)]
    )  # fmt: skip
    lid_mesh = disc(profile)
    lid = part(lid_mesh, _lid(spec, lid_mesh), METAL if tin else PLASTIC, two_sided=True)
    content_mesh = disc(
        np.array(
            [(0.0, height - lid_cm - 0.8), (wall * 0.5, height - lid_cm - 0.7), (wall * 0.93, height - lid_cm - 0.9)]
        )
    )
    return body, lid, part(content_mesh, primed((190, 200, 210), 6, 6, *spec.key, 71), PLASTIC)


def _lid(spec: Spec, mesh: Mesh) -> Paint:
    side = pixels(mesh.print_cm[0])
    art = face(_plain(spec), *mesh.print_cm, "label")
    middle, radius = side // 2, pixels(spec.size_cm[0] / 2 * 0.86)
    paint = np.empty_like(art)
    paint[:] = spec.accent
    mask = np.zeros(art.shape[:2], np.uint8)
    cv2.circle(mask, (middle, middle), radius, 255, -1)
    band = np.full_like(art, spec.ground, np.uint8)
    size = radius * 0.42
    while text_width(spec.brand, size, 800) > radius * 1.5 and size > 8:
        size -= 1
    cv2.circle(band, (middle, middle), round(radius * 0.94), spec.ink, 2, cv2.LINE_AA)
    low, high = middle - radius // 2, middle + radius // 8
    band[low - radius // 4 : low + radius // 3] = art[low - radius // 4 : low + radius // 3]
    write(band, spec.brand, middle - text_width(spec.brand, size, 800) / 2, high + size * 0.4, spec.ink, size, 800)
    for code in spec.codes:
        if code.on_top and code.symbology == "DataMatrix":
            label = code_label(code, radius)
            tall, wide = label.shape[:2]
            top = min(high + int(size * 0.7), side - tall)
            band[top : top + tall, middle - wide // 2 : middle - wide // 2 + wide] = label
    paint[mask > 0] = band[mask > 0]
    return paint


def _plain(spec: Spec) -> Spec:
    return Spec(
        spec.key, spec.product_id, "", "", "", spec.vendor, spec.form, spec.size_cm, spec.ground, spec.accent, spec.ink,
        spec.layout, spec.decoy, spec.rows, spec.columns, (), version=spec.version,
    )  # fmt: skip


@functools.lru_cache(maxsize=128)
def _bottle(spec: Spec) -> tuple[Part, Part]:
    length, radius = spec.size_cm[0], spec.size_cm[1] / 2
    shoulder, neck, cap = length * 0.3, length * 0.76, radius * 0.52
    x = -length / 2
    profile = np.array(
        [(x, 0.01), (x + 0.05, radius * 0.7), (x + 0.25, radius * 0.95), (x + 0.6, radius)]
        + [(x + at, radius) for at in np.linspace(1.2, neck - shoulder * 0.35, 14)]
        + [
            (x + neck - shoulder * 0.15, radius * 0.93),
            (x + neck, radius * 0.8),
            (x + neck + 0.6, radius * 0.58),
            (x + neck + 1.0, radius * 0.42),
        ]
    )
    mesh = lying(profile)
    body = part(mesh, _bottle_print(spec, mesh), PLASTIC, two_sided=True, inner=primed((120, 130, 140), 6, 6, 7, 72))
    start = x + neck + 0.7
    end = length / 2
    outline = np.array(
        [
            (start, 0.01),
            (start, cap),
            (start + 0.1, cap * 1.02),
            ((start + end) / 2, cap),
            (end - 0.15, cap * 0.97),
            (end, cap * 0.85),
            (end, 0.01),
        ]
    )
    lid_mesh = lying(outline, sectors=28)
    lid = part(lid_mesh, _ribbed(spec.accent, lid_mesh), PLASTIC)
    lift = np.array([0, 0, radius - outline[:, 1].max()], np.float32)
    return body, _with(lid, np.asarray(lid.points + lift, np.float32))


@functools.lru_cache(maxsize=128)
def _neck(spec: Spec) -> Part:
    """Return the thread under the cap, which only shows when the cap is off."""
    length, radius = spec.size_cm[0], spec.size_cm[1] / 2
    start = -length / 2 + length * 0.76 + 0.8
    outline = np.array(
        [(start, radius * 0.4), (start + 0.6, radius * 0.42), (start + 1.2, radius * 0.4), (start + 1.3, 0.01)]
    )
    mesh = lying(outline, sectors=20)
    made = part(mesh, primed((215, 215, 218), 4, 4, 7, 73), PLASTIC)
    return _with(made, np.asarray(made.points + np.array([0, 0, radius * 0.58], np.float32), np.float32))


def _ribbed(colour: Colour, mesh: Mesh) -> Paint:
    paint = primed(colour, *mesh.print_cm, 7, 74)
    for row in range(0, paint.shape[0], 7):
        paint[row : row + 3] = (paint[row : row + 3] * 0.72).astype(np.uint8)
    return paint


def _bottle_print(spec: Spec, mesh: Mesh) -> Paint:
    """Print the bottle's own colour with the label around its upper half."""
    paint = primed(spec.ground if spec.layout % 2 else (232, 234, 236), *mesh.print_cm, *spec.seeds, 75)
    height, width = paint.shape[:2]
    long_cm = spec.size_cm[0] * 0.56
    tall_cm = min(spec.size_cm[1] * 1.15, mesh.print_cm[1] * 0.5)
    label = face(spec, long_cm, tall_cm, "top")
    top, left = (height - label.shape[0]) // 2 + height // 14, int(width * 0.2)  # its middle faces the camera
    paint[top : top + label.shape[0], left : left + label.shape[1]] = label[:, : width - left]
    return paint
