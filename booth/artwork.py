"""Print: the artwork on a product's faces, as flat pictures before any light falls on them."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np

from booth.catalogue import BOOKS, Colour, Form, PrintedCode, Spec
from booth.decoys import decoy
from booth.designs import design, emblem
from booth.draws import Domain, draws, grain_patch
from booth.lettering import Paint, code_label, pixels, text_width, write

KRAFT: Final[Colour] = (118, 160, 196)
PAPER: Final[Colour] = (230, 234, 236)
Role = Literal["top", "front", "side", "label", "shipping"]
_ROLES: Final[dict[Role, int]] = {"top": 0, "front": 1, "side": 2, "label": 3, "shipping": 4}


def face(spec: Spec, width_cm: float, height_cm: float, role: Role, *, ground: Colour | None = None) -> Paint:
    """Paint one face, uint8[h, w, 3]. Pure: the same product, size and role give the same pixels.

    `top` and `label` carry the whole design and the code if it is on top; `front` and `side` a plainer plate;
    `shipping` only an address, on whatever the ground is.
    """
    rng = draws(Domain.ARTWORK, *spec.seeds, _ROLES[role])
    height, width = pixels(height_cm), pixels(width_cm)
    paint = _primed(ground or spec.ground, height, width, rng)
    if role in {"top", "label"}:
        design(paint, spec, rng)
        _words(paint, spec, rng)
        if spec.decoy and role == "top":
            add_decoy(paint, spec)
        stick_codes(paint, spec, on_top=True)
    elif role == "shipping":
        _address(paint, spec, rng)
    else:
        _plate(paint, spec, rng)
        if spec.decoy and role == "front" and spec.form in {Form.JAR, Form.TIN}:
            add_decoy(paint, spec)
        if role == "front":
            stick_codes(paint, spec, on_top=False)
    return paint


def add_decoy(paint: Paint, spec: Spec) -> None:
    """Print the product's decoy where all its units have it."""
    decoy(paint, spec, draws(Domain.ARTWORK, *spec.seeds, 9))


def stick_codes(paint: Paint, spec: Spec, *, on_top: bool) -> None:
    """Put the labels of those codes that belong on this face at its lower right."""
    for code in spec.codes:
        if code.on_top == on_top:
            _stick_code(paint, code)


def primed(colour: Colour, width_cm: float, height_cm: float, *key: int) -> Paint:
    """Return unprinted board or paper, uint8[h, w, 3], with its fibres."""
    return _primed(colour, pixels(height_cm), pixels(width_cm), draws(Domain.BANK, *key))


def _primed(colour: Colour, height: int, width: int, rng: np.random.Generator) -> Paint:
    paint = np.empty((height, width, 3), np.float32)
    paint[:] = colour
    rough = 5.0 if colour == KRAFT else 1.6
    tall, wide = min(height, 760), min(width, 760)
    grain = cv2.resize(grain_patch(rng, tall, wide, finest=4), (width, height), interpolation=cv2.INTER_LINEAR)
    paint += (grain * rough)[..., None]
    return np.clip(paint, 0, 255).astype(np.uint8)


def _words(paint: Paint, spec: Spec, rng: np.random.Generator) -> None:
    height, width = paint.shape[:2]
    book = spec.form in BOOKS
    title, below = (spec.goods, f"by {spec.brand}") if book else (spec.brand, spec.goods)
    size = min(height * 0.2, 54.0)
    while text_width(title, size, 800) > width * (0.88 if book else 0.62) and size > 9:
        size -= 2
    left = width * rng.uniform(0.05, 0.1)
    top = height * rng.uniform(0.08, 0.2)
    write(paint, title, left, top + size * 0.8, spec.ink, size, 800)
    write(paint, below, left, top + size * 1.75, spec.ink, max(9, size * 0.5), 500)
    write(paint, spec.flavour, left, top + size * 2.45, spec.ink, max(9, size * 0.42), 400, slanted=True)
    write(paint, f"e {40 + 10 * (spec.key[2] % 47)} g", left, height - 12, spec.ink, 14, 600)
    if rng.random() < 0.6:
        radius = int(min(height, width) * rng.uniform(0.07, 0.12))
        spot = (int(width * rng.uniform(0.72, 0.9)), int(height * rng.uniform(0.14, 0.32)))
        emblem(paint, spot[0], spot[1], radius, (spec.accent, spec.ink), rng)
    if rng.random() < 0.7:
        _small_print(paint, int(left), int(height * rng.uniform(0.58, 0.72)), int(width * 0.3), spec.ink, rng)


def _small_print(paint: Paint, x: int, y: int, width: int, ink: Colour, rng: np.random.Generator) -> None:
    """Print a block of words too small to read, drawn as lines broken like words."""
    for row in range(int(rng.integers(3, 7))):
        place = x
        baseline = y + 7 * row
        if baseline > paint.shape[0] - 20:
            return
        while place < x + width:
            word = int(rng.integers(6, 22))
            cv2.line(paint, (place, baseline), (min(place + word, x + width), baseline), ink, 2)
            place += word + 5


def _plate(paint: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print a side: a band, the brand and some small print."""
    height, width = paint.shape[:2]
    if spec.layout % 3 != 1:
        cv2.rectangle(paint, (0, int(height * 0.62)), (width, height), spec.accent, -1)
    size = min(height * 0.36, 36.0)
    while text_width(spec.brand, size, 800) > width * 0.55 and size > 9:
        size -= 2
    write(paint, spec.brand, width * 0.06, height * 0.5, spec.ink, size, 800)
    _small_print(paint, int(width * 0.64), max(8, int(height * 0.2)), int(width * 0.26), spec.ink, rng)


def _address(paint: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print what a shipping label says: a big route, an address and a line of digits."""
    height, width = paint.shape[:2]
    cv2.rectangle(paint, (2, 2), (width - 3, height - 3), (60, 60, 60), 1)
    route = f"{'ABCDEFGHKLMNPRST'[int(rng.integers(16))]}{int(rng.integers(10, 99))}-{spec.vendor[-1]}"
    write(paint, route, 8, height * 0.34, (30, 30, 30), max(12, height * 0.26), 800)
    _small_print(paint, 8, int(height * 0.5), int(width * 0.5), (50, 50, 50), rng)


def _stick_code(paint: Paint, code: PrintedCode) -> None:
    height, width = paint.shape[:2]
    label = code_label(code, width - 16)
    if label.shape[0] > height - 8:
        label = label[label.shape[0] - (height - 8) :]
    label = label[:, : width - 8]
    tall, wide = label.shape[:2]
    top, left = max(height - tall - 12, 2), max(width - wide - 14, 2)
    paint[top : top + tall, left : left + wide] = label
