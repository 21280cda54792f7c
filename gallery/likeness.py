"""How alike references and judged captures are, in the numbers that the rules speak of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import compare, patch_similarity
from gallery.seen import Look
from schemas.words import MICRO


def normalised(looks: Sequence[Look], strangers: Sequence[Look]) -> NDArray[np.float64]:
    """Return how alike each pair of looks is, in deviations above its likeness to strangers."""
    found = []
    for place, look in enumerate(looks):
        apart = np.array([similar(look, stranger) for stranger in strangers])
        deviation = max(float(apart.std()), 1e-3)
        found += [(similar(look, other) - float(apart.mean())) / deviation for other in others(looks, place)]
    return np.array(found)


def likenesses(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Return float64[N, N], the patch similarity of each pair; -1 on the diagonal."""
    alike = np.full((len(looks), len(looks)), -1.0)
    for one in range(len(looks)):
        for other in range(one):
            alike[one, other] = alike[other, one] = similar(looks[one], looks[other])
    return alike


def beside(alike: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how alike each is to the one that stands in the middle of its likenesses to the others."""
    without = alike[~np.eye(len(alike), dtype=bool)].reshape(len(alike), -1)
    return np.asarray(np.median(without, axis=1), np.float64)


def nearest(look: Look, references: Sequence[Look]) -> float:
    """Return the patch similarity to the most alike reference; at least one."""
    return max(similar(look, each) for each in references)


def similar(one: Look, other: Look) -> float:
    """Return the patch similarity, -1 .. 1."""
    return patch_similarity(one.as_query(), other.patches)


def stands_out(look: Look, references: Sequence[Look]) -> float:
    """Return the discrepancy as a cosine distance: how far some of its cells are from all references."""
    compared = compare(look.as_query(), [(each.reference_id, each.patches) for each in references])
    return compared.micro / MICRO


def others(looks: Sequence[Look], place: int) -> list[Look]:
    """Return all looks but one."""
    return [each for number, each in enumerate(looks) if number != place]
