"""What surfaces are made of, and what is inside a pack."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

import numpy as np

from booth.artwork import primed
from booth.catalogue import Colour, Spec
from booth.draws import Domain, draws, grain_patch
from booth.lettering import Paint, pixels
from booth.mesh import Part, Shades, Stuff
from booth.shapes import box
from booth.unit import part, waver

BOARD: Final = Stuff(gloss=0.07, sharp=18)
COATED: Final = Stuff(gloss=0.24, sharp=42)
PAPER_STUFF: Final = Stuff(gloss=0.03, sharp=10, glow=0.12)
FILM: Final = Stuff(gloss=0.9, sharp=110)
PLASTIC: Final = Stuff(gloss=0.5, sharp=60)
METAL: Final = Stuff(gloss=0.75, sharp=46)
CLOTH: Final = Stuff(gloss=0.02, sharp=8, glow=0.1)

_INSIDES: Final[tuple[Colour, ...]] = (
    (206, 210, 212), (110, 140, 170), (64, 66, 72), (140, 160, 116), (92, 108, 182), (188, 180, 150), (70, 90, 120),
)  # fmt: skip


def inside_colour(spec: Spec) -> Colour:
    """Return the colour of what the pack holds."""
    return _INSIDES[int(draws(Domain.ARTWORK, *spec.key, 30).integers(len(_INSIDES)))]


def contents(spec: Spec, length: float, depth: float, height: float, rng: np.random.Generator) -> Part:
    """Return what is inside: something soft-edged and uneven, there whether or not anybody can see it."""
    mesh = box(length, depth, height, bevel=min(0.5, height * 0.4), step=1.4)
    made = part(mesh, _contents_print(spec), Stuff(gloss=0.2, sharp=20))
    return dataclasses.replace(made, points=waver(made.points, rng, height_cm=0.12, wavelength_cm=4.0))


@functools.lru_cache(maxsize=256)
def _contents_print(spec: Spec) -> Paint:
    rng = draws(Domain.ARTWORK, *spec.key, 31)
    paint = primed(inside_colour(spec), 14, 10, *spec.key, 32).astype(np.float32)
    paint += (grain_patch(rng, *paint.shape[:2], finest=16) * 14)[..., None]
    return np.clip(paint, 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def inner_board(grey: bool) -> Paint:
    """Return the unprinted inside of a carton, uint8[h, w, 3]; stretched over whatever shows it."""
    return primed((176, 182, 186) if grey else (104, 142, 174), 12, 12, 7, int(grey))


def creases(height_cm: float, width_cm: float, rng: np.random.Generator, *, amount_cm: float) -> Shades:
    """Return float32[h, w] centimetres of fine wrinkles, for a print of this size: ridges of two noise fields."""
    tall, wide = min(pixels(height_cm), 760), min(pixels(width_cm), 760)
    first, second = (grain_patch(rng, tall, wide, finest=8) for _ in range(2))
    ridges = np.maximum(0, 1 - np.abs(first) * 3.0) + 0.5 * np.maximum(0, 1 - np.abs(second) * 4.0)
    return np.asarray(ridges * np.float32(amount_cm), np.float32)
