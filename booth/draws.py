"""Seeded randomness: every draw belongs to a key, never to the order in which things were first asked for."""

from __future__ import annotations

import enum
import functools
import secrets
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

GRAIN_SIDE: Final = 768


class Domain(enum.IntEnum):
    """What a stream of draws is for. A number is part of the data version: never renumber, only append."""

    CATALOGUE = 1
    ARTWORK = 2
    REFERENCE = 3
    SHOT = 4
    UNIT = 5
    DAMAGE = 6
    CAMERA = 7
    SCAN = 8
    TABLE = 9
    GRAIN = 10
    SENSOR = 11
    EVENT = 12
    PERSON = 13
    TRAINING = 14
    WEAR = 15
    PLACE = 16
    REDESIGN = 17
    LABELS = 18
    MESH = 19
    BANK = 20
    STAGE = 40
    SURFACE = 41
    FADING = 42


def draws(domain: Domain, *key: int) -> np.random.Generator:
    """Return the generator of `key`: the same numbers in every process, whatever was drawn before."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((int(domain), *key))))


def fresh_seed() -> int:
    """Return 32 bits that no run had before, for events whose ids must differ between runs."""
    return secrets.randbits(32)


@functools.lru_cache(maxsize=32)
def grain(index: int, finest: int = 4) -> NDArray[np.float32]:
    """Return float32[768, 768] fractal noise, zero mean and unit variance; wavelengths from `finest` to 256 pixels."""
    rng = draws(Domain.GRAIN, index, finest)
    total = np.zeros((GRAIN_SIDE, GRAIN_SIDE), np.float32)
    wavelength, weight = 256, 1.0
    while wavelength >= finest:
        cells = GRAIN_SIDE // wavelength
        octave = rng.standard_normal((cells, cells), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(octave, (GRAIN_SIDE, GRAIN_SIDE), interpolation=cv2.INTER_CUBIC)
        wavelength, weight = wavelength // 2, weight * 0.62
    field: NDArray[np.float32] = ((total - total.mean()) / total.std()).astype(np.float32)
    field.setflags(write=False)
    return field


def grain_patch(rng: np.random.Generator, height: int, width: int, *, finest: int = 4) -> NDArray[np.float32]:
    """Cut float32[height, width] at a random place out of one of four noise fields."""
    field = grain(int(rng.integers(4)), finest)
    top, left = (int(rng.integers(GRAIN_SIDE - side + 1)) for side in (height, width))
    return field[top : top + height, left : left + width]
