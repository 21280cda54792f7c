"""Graphic design: families of shapes and picture-like prints for a face."""

from __future__ import annotations

from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Colour, Spec
from booth.draws import grain_patch
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


def _gradient(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    angle = rng.uniform(0, np.pi)
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    ramp = np.clip(0.5 + 0.6 * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))), 0, 1)[..., None]
    _blend(face, tones[2], tones[0], np.asarray(ramp, np.float32))


def _photograph(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    left = int(face.shape[1] * rng.uniform(0.35, 0.5))
    photo(face[:, left:], tones, rng)


def _window(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    _blocks(face, tones, rng)
    low, high = int(height * 0.18), int(height * 0.82)
    left = int(width * rng.uniform(0.55, 0.62))
    photo(face[low:high, left : int(width * 0.94)], tones, rng)
    cv2.rectangle(face, (left, low), (int(width * 0.94), high), tones[2], 3, cv2.LINE_AA)


def _checks(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    cell = int(rng.integers(22, 44))
    for row in range(height // cell + 1):
        for column in range(width // cell + 1):
            if (row + column) % 2:
                corner = (column * cell, row * cell)
                cv2.rectangle(face, corner, (corner[0] + cell - 1, corner[1] + cell - 1), tones[1], -1)
    cv2.rectangle(face, (0, int(height * 0.08)), (int(width * 0.7), int(height * 0.52)), tones[2], -1)


def _leaves(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    for _ in range(26):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(16, 44)), int(rng.integers(6, 13)))
        lean = float(rng.uniform(0, 180))
        cv2.ellipse(face, middle, axes, lean, 0, 360, tones[int(rng.integers(2))], -1, cv2.LINE_AA)
        tip = np.array([np.cos(np.radians(lean)), np.sin(np.radians(lean))]) * axes[0]
        ends = [(int(middle[0] + sign * tip[0]), int(middle[1] + sign * tip[1])) for sign in (-1, 1)]
        cv2.line(face, ends[0], ends[1], tones[2], 1, cv2.LINE_AA)


def _marble(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    veins = 0.5 + 0.5 * np.sin(4 * grain_patch(rng, height, width, finest=16) + np.float32(rng.uniform(0, 6)))
    _blend(face, tones[2], tones[1], np.asarray(veins, np.float32)[..., None])


def _rings(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    height, width = face.shape[:2]
    middle = (int(width * rng.uniform(0.6, 1.0)), int(height * rng.uniform(0.2, 0.9)))
    step = int(rng.integers(14, 26))
    for ring in range(12, 0, -1):
        cv2.circle(face, middle, ring * step, tones[ring % 2 + (ring % 4 == 0)], -1, cv2.LINE_AA)


def photo(face: Paint, tones: tuple[Colour, Colour, Colour], rng: np.random.Generator) -> None:
    """Print a picture of something round and shaded on a blurred ground, as food and toys are shown."""
    height, width = face.shape[:2]
    ground = cv2.GaussianBlur(grain_patch(rng, height, width, finest=32), (0, 0), 6)[..., None]
    warm = np.array([float(v) for v in rng.uniform(60, 220, 3)], np.float32)
    picture = np.clip(warm + ground * 22 + np.linspace(20, -30, height, dtype=np.float32)[:, None, None], 10, 250)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = min(height, width)
    for _ in range(int(rng.integers(4, 10))):
        radius = reach * rng.uniform(0.1, 0.26)
        centre = (width * rng.uniform(0.1, 0.9), height * rng.uniform(0.25, 0.9))
        tone = (
            np.array(tones[int(rng.integers(2))], np.float32) * 0.5 + rng.uniform(20, 235, 3).astype(np.float32) * 0.5
        )
        away = np.hypot(x - np.float32(centre[0]), (y - np.float32(centre[1])) * np.float32(rng.uniform(0.9, 1.4)))
        shade = np.clip(
            1.15 - np.hypot(x - centre[0] + radius * 0.4, y - centre[1] + radius * 0.4) / (1.8 * radius), 0.2, 1.2
        )
        shadow = np.clip(1 - (away / np.float32(1.35 * radius)) ** 2, 0, 1)[..., None] * np.float32(0.45)
        picture *= 1 - shadow
        cover = np.clip((radius - away) * np.float32(0.8) + 0.5, 0, 1)[..., None]
        picture += (tone * np.asarray(shade, np.float32)[..., None] - picture) * cover
    picture += grain_patch(rng, height, width, finest=2)[..., None] * 3
    face[:] = np.clip(picture, 0, 255).astype(np.uint8)


def emblem(face: Paint, x: int, y: int, size: int, tones: tuple[Colour, Colour], rng: np.random.Generator) -> None:
    """Print a maker's mark of a few bold shapes."""
    kind = int(rng.integers(4))
    cv2.circle(face, (x, y), size, tones[0], -1, cv2.LINE_AA)
    if kind == 0:
        cv2.circle(face, (x, y), int(size * 0.55), tones[1], max(2, size // 6), cv2.LINE_AA)
    elif kind == 1:
        points = [
            (x, y - int(size * 0.7)),
            (x + int(size * 0.62), y + int(size * 0.4)),
            (x - int(size * 0.62), y + int(size * 0.4)),
        ]
        cv2.fillPoly(face, [np.array(points, np.int32)], tones[1], cv2.LINE_AA)
    elif kind == 2:
        cv2.ellipse(
            face,
            (x, y),
            (int(size * 0.8), int(size * 0.3)),
            float(rng.uniform(0, 90)),
            0,
            360,
            tones[1],
            -1,
            cv2.LINE_AA,
        )
    else:
        for turn in np.arange(5) * 2 * np.pi / 5:
            petal = (int(x + size * 0.45 * np.cos(turn)), int(y + size * 0.45 * np.sin(turn)))
            cv2.circle(face, petal, int(size * 0.28), tones[1], -1, cv2.LINE_AA)


def _blend(face: Paint, low: Colour, high: Colour, share: NDArray[np.float32]) -> None:
    start, end = np.array(low, np.float32), np.array(high, np.float32)
    face[:] = (start + (end - start) * share).astype(np.uint8)


DESIGNS: Final[tuple[Design, ...]] = (
    _stripes, _disc, _blocks, _pinstripes, _fruit, _waves, _triangles, _gradient, _photograph, _window, _checks,
    _leaves, _marble, _rings,
)  # fmt: skip
