"""Graphic design: seven families of shapes for a face, and prints that look like damage."""

from __future__ import annotations

from typing import Final, Protocol

import cv2
import numpy as np

from booth.catalogue import Colour, Decoy, Spec
from booth.lettering import Paint


class Design(Protocol):
    """Draws a family of shapes on a face in two tones."""

    def __call__(self, face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
        """Paint on uint8[h, w, 3]; `tones` are the accent, a blend of it with the ground, and the ground."""


def design(face: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Lay the product's shapes and a thin frame on a face."""
    height, width = face.shape[:2]
    blue, green, red = (int(0.55 * a + 0.45 * g) for a, g in zip(spec.accent, spec.ground, strict=True))
    blend: Colour = (blue, green, red)
    DESIGNS[spec.layout](face, (spec.accent, blend, spec.ground), rng)
    cv2.rectangle(face, (5, 5), (width - 6, height - 6), spec.ink if spec.layout % 2 else blend, 1, cv2.LINE_AA)


def _stripes(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    for place in range(-height - int(rng.integers(46)), width, 46):
        cv2.line(face, (place, height), (place + height, 0), tones[1], 12, cv2.LINE_AA)


def _disc(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    centre = (int(width * rng.uniform(0.62, 0.8)), int(height * rng.uniform(0.3, 0.45)))
    cv2.circle(face, centre, int(height * 0.3), tones[0], -1, cv2.LINE_AA)
    cv2.circle(face, centre, int(height * 0.22), tones[1], -1, cv2.LINE_AA)


def _blocks(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    cut = int(width * rng.uniform(0.3, 0.6))
    edge = [[0, height], [0, height // 2], [cut, height // 3], [width, height // 2 + 20], [width, height]]
    cv2.fillPoly(face, [np.array(edge, np.int32)], tones[1], cv2.LINE_AA)


def _pinstripes(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    for place in range(int(rng.integers(2, 10)), width, 14):
        cv2.line(face, (place, 0), (place, height), tones[1], 2, cv2.LINE_AA)
    cv2.rectangle(face, (0, int(height * 0.12)), (width, int(height * 0.42)), tones[0], -1)


def _fruit(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    for _ in range(14):
        x, y = int(rng.integers(width // 3, width)), int(rng.integers(height))
        radius = int(rng.integers(12, 34))
        for share in (1.0, 0.8, 0.55, 0.3):
            tone = tuple(int(channel + (255 - channel) * 0.55 * (1 - share)) for channel in tones[0])
            lean = int(radius * (1 - share) * 0.35)
            cv2.circle(face, (x - lean, y - lean), int(radius * share), tone, -1, cv2.LINE_AA)


def _waves(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    x = np.arange(0, width + 8, 8)
    for row, share in enumerate((0.55, 0.68, 0.81)):
        y = height * share + 12 * np.sin(x / 34 + row * 1.3 + rng.uniform(0, 6))
        outline = np.concatenate([np.stack([x, y], axis=1), [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(face, [outline], tones[row], cv2.LINE_AA)


def _triangles(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    for _ in range(12):
        triangle = rng.integers(0, [width, height], 2) + rng.integers(-60, 60, (3, 2))
        cv2.fillPoly(face, [triangle.astype(np.int32)], tones[int(rng.integers(2))], cv2.LINE_AA)


DESIGNS: Final[tuple[Design, ...]] = (_stripes, _disc, _blocks, _pinstripes, _fruit, _waves, _triangles)


def decoy(face: Paint, spec: Spec, rng: np.random.Generator) -> None:
    """Print something that looks like damage: it is on every unit of the product, and on its references."""
    height, width = face.shape[:2]
    x, y = int(width * rng.uniform(0.3, 0.75)), int(height * rng.uniform(0.25, 0.6))
    dark = tuple(int(channel * 0.25) for channel in spec.ground)
    if spec.decoy is Decoy.CRACK:
        for _ in range(3):
            walk = np.cumsum(rng.integers(-14, 15, (12, 2)) + np.array([9, 2]), axis=0) + np.array([x - 50, y - 10])
            cv2.polylines(face, [walk.astype(np.int32)], isClosed=False, color=dark, thickness=2, lineType=cv2.LINE_AA)
    elif spec.decoy is Decoy.BURST:
        angles = np.linspace(0, 2 * np.pi, 25)[:-1]
        reach = np.where(np.arange(24) % 2, 42, 24) * rng.uniform(0.8, 1.2, 24)
        star = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], 1).astype(np.int32)
        cv2.fillPoly(face, [star], dark, cv2.LINE_AA)
        cv2.polylines(face, [star], isClosed=True, color=spec.accent, thickness=3, lineType=cv2.LINE_AA)
    elif spec.decoy is Decoy.SPLASH:
        for _ in range(9):
            spot = (x + int(rng.normal(0, 24)), y + int(rng.normal(0, 18)))
            cv2.circle(face, spot, int(rng.integers(4, 22)), spec.accent, -1, cv2.LINE_AA)
    else:
        for _ in range(40):
            spot = (x + int(rng.normal(0, 30)), y + int(rng.normal(0, 22)))
            cv2.circle(face, spot, int(rng.integers(1, 5)), dark, -1, cv2.LINE_AA)
