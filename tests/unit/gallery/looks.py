"""Made-up looks for tests of the gallery's rules: designs of random cells, captures of them, damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import CELLS, PATCH_SIZE, quantise
from gallery.entry import VECTOR_SIZE, Reference
from gallery.rules import Neighbour
from gallery.seen import Look, Seen, Sighting

NOISE = 0.25  # of a cell's length: two captures of one design are alike by about 0.94
VERSION = "gallery_embedding:1"
Cells = NDArray[np.float32]


def unit(cells: NDArray[np.float64]) -> Cells:
    """Scale to unit length."""
    scaled: Cells = (cells / np.linalg.norm(cells, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def design(number: int) -> Cells:
    """Draw float32[1, 196, 48]: what one print looks like."""
    return unit(np.random.default_rng([number, 1]).normal(size=(1, CELLS, PATCH_SIZE)))


def captured(shown: Cells, seed: int, *, damaged: int = 0) -> Cells:
    """Return a capture of a design, so many of its cells torn at a place of its own."""
    rng = np.random.default_rng([seed, 2])
    seen = unit(shown + rng.normal(scale=NOISE / PATCH_SIZE**0.5, size=shown.shape))
    if damaged:
        start = int(rng.integers(CELLS - damaged))
        seen[0, start : start + damaged] = unit(rng.normal(size=(damaged, PATCH_SIZE)))
    return seen


def look(name: str, cells: Cells) -> Look:
    """Return a look as the gallery keeps it."""
    return Look(name, quantise(cells))


def judged(
    number: int, cells: Cells, *, cleared: bool = True, who: str | None = None, unit_id: str | None = None
) -> Sighting:
    """Return capture `number` as a person judged it, one a second; two people take turns."""
    seen = Seen(
        reference=Reference("P", b"", np.ones((1, VECTOR_SIZE), np.float16).tobytes()),
        cleared=cleared,
        at_ms=1_000 * number,
        site="site",
        capture_id=f"c-{number}",
        unit_id=unit_id or f"u-{number}",
        associate_id=who or ("ann", "bob")[number % 2],
        model_version=VERSION,
    )
    return Sighting(look(f"R-{number}", cells), seen)


def references(number: int, count: int = 2) -> list[Look]:
    """Return pristine references of design `number`."""
    return [look(f"D{number}-{each}", captured(design(number), 1_000 * number + each)) for each in range(count)]


def cohort(numbers: Sequence[int] = (11, 12, 13, 14)) -> list[Neighbour]:
    """Return other products with two references each."""
    return [Neighbour(f"P-{number}", references(number)) for number in numbers]
