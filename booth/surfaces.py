"""What lies under the units: a bank of table surfaces, each a function of its number."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from booth.draws import GRAIN_SIDE, Domain, draws, grain

Paint = NDArray[np.uint8]
SIDE: Final = 1024  # pixels of a surface, both ways; a power of two, so that it can repeat
PX_PER_CM: Final = 14.0

Kind = Literal["laminate", "belt", "plastic", "board", "steel", "wood"]


@dataclass(frozen=True, slots=True)
class Surface:
    """A kind of table: its colour (blue, green, red as shown) and its sheen."""

    kind: Kind
    colour: tuple[int, int, int]
    gloss: float
    sharp: float


SURFACES: Final = (
    Surface("laminate", (196, 200, 202), 0.1, 22.0),
    Surface("laminate", (148, 150, 150), 0.12, 26.0),
    Surface("laminate", (120, 134, 146), 0.1, 22.0),
    Surface("belt", (58, 62, 62), 0.06, 10.0),
    Surface("belt", (76, 92, 60), 0.06, 10.0),
    Surface("belt", (104, 84, 58), 0.07, 12.0),
    Surface("plastic", (172, 168, 160), 0.22, 34.0),
    Surface("plastic", (112, 96, 84), 0.24, 40.0),
    Surface("board", (118, 152, 182), 0.02, 8.0),
    Surface("board", (96, 128, 158), 0.03, 8.0),
    Surface("steel", (150, 150, 148), 0.4, 9.0),
    Surface("wood", (124, 164, 196), 0.1, 20.0),
)


@functools.lru_cache(maxsize=len(SURFACES))
def paint(number: int) -> Paint:
    """Return uint8[1024, 1024, 3] of surface `number`, worn a little."""
    surface = SURFACES[number]
    rng = draws(Domain.SURFACE, number)
    base = np.empty((SIDE, SIDE, 3), np.float32)
    base[:] = surface.colour
    worn: Paint = np.clip(base + _TEXTURES[surface.kind](rng, number), 0, 255).astype(np.uint8)
    _scuff(worn, rng, 40 if surface.kind in {"belt", "plastic", "steel"} else 18)
    worn.setflags(write=False)
    return worn


def _field(number: int, finest: int) -> NDArray[np.float32]:
    """Return float32[1024, 1024] of noise that meets itself at the rim."""
    patch = (
        grain(number % 8, finest)[:512, :512] if finest < 32 else grain(number % 8, finest)[:GRAIN_SIDE, :GRAIN_SIDE]
    )
    if patch.shape[0] != 512:
        patch = np.asarray(cv2.resize(patch, (512, 512), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(cv2.copyMakeBorder(patch, 0, 512, 0, 512, cv2.BORDER_REFLECT), np.float32)


def _unit(values: ArrayLike) -> NDArray[np.float32]:
    """Scale a field to unit variance."""
    field = np.asarray(values, np.float32)
    return np.asarray(field / field.std(), np.float32)


def _laminate(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Speckle: flakes a little lighter and darker than the ground, under an even coat."""
    flakes = _unit(cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE), dtype=np.float32), (0, 0), 0.9))
    texture = 9.0 * (flakes > 1.55) - 12.0 * (flakes < -1.7) + 1.2 * flakes + 1.5 * _field(number, 64)
    tint = 1 + 0.15 * rng.standard_normal(3)
    return np.asarray(texture[..., None] * tint, np.float32)


def _belt(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """A pressed diamond pattern, dull, darker along the tracks."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    step = np.float32(2 * np.pi * 128 / SIDE)
    weave = np.maximum(np.cos((x + y) * step * 0.5), np.cos((x - y) * step * 0.5))
    tracks = cv2.GaussianBlur(rng.standard_normal((SIDE, 1), dtype=np.float32), (0, 0), 14) * 9.0
    dust = np.maximum(_field(number, 4) - 1.2, 0) * 5.0
    return np.asarray((3.4 * weave + tracks + dust + 1.6 * _field(number + 1, 2))[..., None] * np.ones(3), np.float32)


def _plastic(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Moulded: an even skin with a faint orange peel."""
    peel = cv2.GaussianBlur(
        rng.standard_normal((SIDE, SIDE), dtype=np.float32), (0, 0), 2.2, borderType=cv2.BORDER_REFLECT
    )
    texture = 1.6 * peel / peel.std() + 1.4 * _field(number, 64)
    return np.asarray(texture[..., None] * np.ones(3), np.float32)


def _board(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Pressed fibres: short strokes in all directions, warm."""
    fibres = np.zeros((SIDE, SIDE), np.float32)
    for angle in (0.0, 45.0, 90.0, 135.0):
        noise = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
        turn = cv2.getRotationMatrix2D((4.0, 4.0), angle, 1.0)
        stroke = np.zeros((9, 9), np.float32)
        stroke[4, :] = 1 / 9
        fibres = fibres + np.asarray(cv2.filter2D(noise, cv2.CV_32F, cv2.warpAffine(stroke, turn, (9, 9))), np.float32)
    texture = 5.0 * _unit(fibres) + 3.0 * _field(number, 64)
    return np.asarray(texture[..., None] * np.array([0.8, 1.0, 1.1]), np.float32)


def _steel(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Brushed along x."""
    noise = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    brushed = _unit(cv2.blur(noise, (161, 1))) + 0.45 * _unit(cv2.blur(noise, (31, 1)))
    return np.asarray((3.6 * brushed + 2.0 * _field(number, 64))[..., None] * np.ones(3), np.float32)


def _wood(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Beech as printed on boards: year rings drawn out along x, short dark flecks."""
    y = np.arange(SIDE, dtype=np.float32)[:, None]
    bend = cv2.blur(_field(number, 64), (257, 33))
    rings = np.sin((y + bend * 46) * np.float32(2 * np.pi * 21 / SIDE)) + 0.6 * np.sin(
        (y + bend * 80) * np.float32(2 * np.pi * 57 / SIDE)
    )
    fine = _unit(cv2.blur(rng.standard_normal((SIDE, SIDE), dtype=np.float32), (61, 1)))
    flecks = cv2.blur((rng.random((SIDE, SIDE)) < 0.003).astype(np.float32), (19, 1))
    texture = 5.5 * rings + 3.2 * fine - 190 * flecks
    return np.asarray(texture[..., None] * np.array([1.15, 1.0, 0.85]), np.float32)


def _scuff(worn: Paint, rng: np.random.Generator, count: int) -> None:
    """Draw thin scratches, faint ones more often than plain ones."""
    for _ in range(count):
        start = rng.integers(0, SIDE, 2)
        end = start + rng.integers(-150, 151, 2) * np.array([1.0, 0.4])
        x, y = int(start[0]), int(start[1])
        shade = int(rng.integers(-12, 15))
        tone = tuple(int(np.clip(int(channel) + shade, 0, 255)) for channel in worn[y, x])
        cv2.line(worn, (x, y), (int(end[0]), int(end[1])), tone, 1, cv2.LINE_AA)


_TEXTURES: Final = {
    "laminate": _laminate,
    "belt": _belt,
    "plastic": _plastic,
    "board": _board,
    "steel": _steel,
    "wood": _wood,
}
