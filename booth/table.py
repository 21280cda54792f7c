"""The tables of the stations: a small bank of surfaces, lit and cropped anew in every capture."""

from __future__ import annotations

import functools
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Colour
from booth.draws import Domain, draws, grain
from booth.lettering import Paint
from booth.light import SIDE

TABLES: Final = 10
_BANK_SIDE: Final = 768
_COLOURS: Final[tuple[Colour, ...]] = (
    (92, 96, 98), (70, 74, 76), (120, 122, 122), (150, 152, 150), (88, 112, 132), (104, 134, 160), (96, 100, 84),
    (126, 116, 104), (60, 62, 66), (136, 146, 152),
)  # fmt: skip


@functools.lru_cache(maxsize=TABLES)
def surface(number: int) -> Paint:
    """Paint uint8[768, 768, 3] of table `number`: belt, laminate or board, worn a little."""
    rng = draws(Domain.TABLE, number)
    base = np.empty((_BANK_SIDE, _BANK_SIDE, 3), np.float32)
    base[:] = _COLOURS[number]
    fine, coarse = (
        grain(index, finest)[:_BANK_SIDE, :_BANK_SIDE] for index, finest in ((number % 4, 2), ((number + 1) % 4, 64))
    )
    texture = 2.2 * fine + 3.0 * coarse
    kind = number % 3
    if kind == 0:  # a belt's weave
        ramp = np.arange(_BANK_SIDE, dtype=np.float32)
        texture = texture + 2.2 * np.sin(ramp * 1.9)[None] * np.sin(ramp * 1.9)[:, None]
    elif kind == 1:  # brushed laminate: the grain drawn out along x
        texture = 2.0 * coarse + 5.0 * cv2.GaussianBlur(fine, (0, 0), sigmaX=14, sigmaY=0.6)
    base += texture[..., None]
    paint: Paint = np.clip(base, 0, 255).astype(np.uint8)
    for _ in range(14):  # scuffs
        start = rng.integers(0, _BANK_SIDE, 2)
        end = start + rng.integers(-120, 121, 2)
        tone = tuple(int(np.clip(channel + rng.integers(-14, 18), 0, 255)) for channel in _COLOURS[number])
        cv2.line(paint, [int(v) for v in start], [int(v) for v in end], tone, 1, cv2.LINE_AA)
    paint.setflags(write=False)
    return paint


def crop(rng: np.random.Generator) -> Paint:
    """Cut a 480-pixel square out of a table at a random place and turn, as uint8[480, 480, 3]."""
    bank = surface(int(rng.integers(TABLES)))
    middle = _BANK_SIDE / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), float(rng.normal(0, 4)), float(rng.uniform(1.0, 1.25)))
    matrix[:, 2] = matrix[:, 2] + rng.uniform(-50, 50, 2) - (middle - SIDE / 2)
    cut = cv2.warpAffine(bank, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(cut, np.uint8)


@functools.lru_cache(maxsize=4)
def sensor_noise(number: int) -> NDArray[np.float32]:
    """Return float32[640, 640, 3] of unit noise, mostly luminance, as a small sensor gives."""
    rng = draws(Domain.SENSOR, number)
    common = rng.standard_normal((640, 640, 1), dtype=np.float32)
    own = rng.standard_normal((640, 640, 3), dtype=np.float32)
    noise: NDArray[np.float32] = common * np.float32(0.8) + own * np.float32(0.6)
    noise.setflags(write=False)
    return noise
