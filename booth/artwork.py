"""Print: the artwork on a product's faces, as flat pictures before any light falls on them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Colour, Decoy, Packaging, PrintedCode, Spec
from booth.designs import decoy, design
from booth.draws import Domain, draws, grain_patch
from booth.lettering import Paint, code_label, pixels, text_width, write

KRAFT: Final[Colour] = (118, 160, 196)
PAPER: Final[Colour] = (236, 240, 242)


@dataclass(frozen=True, slots=True)
class Faces:
    """Printed faces uint8[h, w, 3], read-only; `top_relief` float32[h, w] is the pack's own shape in centimetres."""

    top: Paint
    front: Paint
    side: Paint
    top_relief: NDArray[np.float32]


@functools.lru_cache(maxsize=384)
def faces(spec: Spec) -> Faces:
    """Paint a product. Pure: the same spec gives the same pixels."""
    rng = draws(Domain.ARTWORK, *spec.key)
    length, depth, height = (pixels(side) for side in spec.size_cm)
    top, front, side = (_primed(spec, h, w, rng) for h, w in ((depth, length), (height, length), (height, depth)))
    relief = np.zeros((depth, length), np.float32)
    if spec.packaging is Packaging.MULTIPACK:
        relief = _tray(top, spec)
        _plate(front, spec, rng)
    elif spec.packaging is Packaging.MAILER:
        _mailer(top, spec, rng)
        relief = _pillow(depth, length)
    else:
        design(top, spec, rng)
        _words(top, spec)
        _plate(front, spec, rng)
    _plate(side, spec, rng)
    if spec.decoy is not Decoy.NONE and spec.packaging is not Packaging.MULTIPACK:
        decoy(top, spec, rng)
    for code in spec.codes:
        _stick_code(top if code.on_top else front, code, multipack=spec.packaging is Packaging.MULTIPACK)
    for face in (top, front, side, relief):
        face.setflags(write=False)
    return Faces(top, front, side, relief)


def _primed(spec: Spec, height: int, width: int, rng: np.random.Generator) -> Paint:
    ground = {Packaging.CARTON: spec.ground, Packaging.MULTIPACK: KRAFT, Packaging.MAILER: KRAFT}[spec.packaging]
    if spec.packaging is Packaging.MAILER and spec.layout % 2:
        ground = PAPER
    face = np.empty((height, width, 3), np.float32)
    face[:] = ground
    face += (grain_patch(rng, height, width, finest=4) * (5.0 if ground is KRAFT else 1.6))[..., None]
    return np.clip(face, 0, 255).astype(np.uint8)


def _words(face: Paint, spec: Spec) -> None:
    height, width = face.shape[:2]
    size = min(height * 0.2, 44.0)
    while text_width(spec.brand, size, 800) > width * 0.62:
        size -= 2
    write(face, spec.brand, width * 0.06, height * 0.12 + size * 0.8, spec.ink, size, 800)
    write(face, spec.goods, width * 0.06, height * 0.12 + size * 1.75, spec.ink, size * 0.55, 500)
    write(face, spec.flavour, width * 0.06, height * 0.12 + size * 2.45, spec.ink, size * 0.46, 400, slanted=True)
    write(face, f"e {40 + 10 * (spec.key[2] % 47)} g", width * 0.06, height - 14, spec.ink, 12, 600)


def _plate(face: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print a side: a band, the brand and some small print."""
    height, width = face.shape[:2]
    if spec.layout in {0, 2, 5}:
        cv2.rectangle(face, (0, int(height * 0.62)), (width, height), spec.accent, -1)
    size = min(height * 0.36, 30.0)
    ink = spec.ink if spec.packaging is Packaging.CARTON else (50, 60, 70)
    write(face, spec.brand, width * 0.06, height * 0.5, ink, size, 800)
    for line in range(int(min(4, height // 14))):
        start = int(width * 0.66)
        cv2.line(face, (start, 10 + 9 * line), (start + int(rng.integers(30, 60)), 10 + 9 * line), ink, 1, cv2.LINE_AA)


def _tray(face: Paint, spec: Spec) -> NDArray[np.float32]:
    """Fill a tray with round lids; return their relief in centimetres."""
    relief = np.zeros(face.shape[:2], np.float32)
    face[:] = (face * 0.55).astype(np.uint8)
    for centre_x, centre_y, radius in lids(spec):
        middle = (round(centre_x), round(centre_y))
        cv2.circle(face, middle, round(radius), spec.accent, -1, cv2.LINE_AA)
        cv2.circle(face, middle, round(radius * 0.8), spec.ground, -1, cv2.LINE_AA)
        cv2.circle(face, middle, round(radius * 0.8), spec.ink, 1, cv2.LINE_AA)
        size = radius * 0.5
        while text_width(spec.brand, size, 800) > radius * 1.4:
            size -= 1
        write(
            face,
            spec.brand,
            middle[0] - text_width(spec.brand, size, 800) / 2,
            middle[1] + size * 0.3,
            spec.ink,
            size,
            800,
        )
        cv2.circle(relief, middle, round(radius), 0.5, -1, cv2.LINE_AA)
        cv2.circle(relief, middle, round(radius * 0.86), 0.42, -1, cv2.LINE_AA)
    border = pixels(0.5)
    cv2.rectangle(face, (0, 0), (face.shape[1] - 1, face.shape[0] - 1), KRAFT, border)
    cv2.rectangle(relief, (0, 0), (face.shape[1] - 1, face.shape[0] - 1), 0.6, border)
    return cv2.GaussianBlur(relief, (0, 0), 1.6).astype(np.float32)


def lids(spec: Spec) -> list[tuple[float, float, float]]:
    """Return centre x, centre y and radius, in pixels of the top face, of every piece of a multi-pack."""
    length, depth = (pixels(side) for side in spec.size_cm[:2])
    step_x, step_y = (length - 16) / spec.columns, (depth - 16) / spec.rows
    radius = min(step_x, step_y) * 0.46
    return [
        (8 + step_x * (column + 0.5), 8 + step_y * (row + 0.5), radius)
        for row in range(spec.rows)
        for column in range(spec.columns)
    ]


def _mailer(face: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print a mailer: a closing seam and a big label with the brand."""
    height, width = face.shape[:2]
    cv2.line(face, (0, int(height * 0.13)), (width, int(height * 0.13)), (90, 120, 150), 2, cv2.LINE_AA)
    label = face[int(height * 0.2) : int(height * 0.92), int(width * 0.08) : int(width * 0.92)]
    label[:] = spec.ground
    design(label, spec, rng)
    _words(label, spec)


def _pillow(height: int, width: int) -> NDArray[np.float32]:
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    dome: NDArray[np.float32] = ((1 - x**4) * (1 - y**4)).astype(np.float32) * np.float32(1.6)
    return dome


def _stick_code(face: Paint, code: PrintedCode, *, multipack: bool) -> None:
    """Put the code's label at the lower right; in the middle of a tray's film, or of a low side."""
    height, width = face.shape[:2]
    label = code_label(code, width - 12)
    label = label[: height - 8, : width - 8] if label.shape[0] > height - 8 else label
    tall, wide = label.shape[:2]
    top = (height - tall) // 2 if multipack else height - tall - 10
    left = (width - wide) // 2 if multipack else width - wide - 12
    face[max(top, 2) : max(top, 2) + tall, max(left, 2) : max(left, 2) + wide] = label
