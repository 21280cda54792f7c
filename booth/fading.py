"""A world whose light fades: lamps age, the glass gets dirty, and every score drifts with them."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np

from booth.draws import Domain, draws
from booth.optics import jpeg
from booth.world import Picture, Shot, World

DARKER: Final = 0.5  # of the light is lost when it has faded
WARMER: Final = (0.25, 0.10, 0.0)  # of blue, green and red beyond that
BLUR: Final = 1.4  # pixels, one sigma
GRAIN: Final = 7.0  # levels of 255, one sigma: less light is more noise


class Fading(World):
    """A world in which light fades from capture `begin` on and stays poor from `end` on.

    `Truth.facts["faded"]` says `no`, `fading` or `yes`. References were taken in good light.
    """

    def __init__(self, seed: int, *, begin: int, end: int, products: int = 40, damage_rate: float = 0.04) -> None:
        super().__init__(seed, products=products, damage_rate=damage_rate)
        self._begin, self._end, self._key = begin, end, seed

    def shot(self, index: int) -> Shot:
        """Return capture `index` in the light of its moment: a function of the index, like that of any world."""
        shot = super().shot(index)
        strength = min(1.0, max(0.0, (index - self._begin) / max(1, self._end - self._begin)))
        word = "no" if strength == 0 else "yes" if strength == 1 else "fading"
        truth = dataclasses.replace(shot.truth, facts={**shot.truth.facts, "faded": word})
        if strength == 0:
            return dataclasses.replace(shot, truth=truth)
        rng = draws(Domain.FADING, self._key, index)
        pictures = tuple(faded(picture, strength, rng) for picture in shot.pictures)
        return dataclasses.replace(shot, truth=truth, pictures=pictures)


def faded(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return a picture in light that has faded by `strength`, 0 to 1. Depth needs no light: it stays."""
    seen = np.asarray(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    light = (1 - DARKER * strength) * (1 - strength * np.array(WARMER))
    dim = cv2.GaussianBlur(np.asarray(seen * light, np.float32), (0, 0), BLUR * strength)
    grain = rng.normal(0, GRAIN * strength, dim.shape)
    return dataclasses.replace(picture, jpeg=jpeg(np.clip(dim + grain, 0, 255).astype(np.uint8)))
