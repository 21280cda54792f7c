"""A shortlist from thousands of references in a few milliseconds: their cells as words.

A photograph's likeness to a reference is the mean, over the reference's cells, of the best cosine among the
photograph's cells. Where references have more cells than `WORDS` together, each cell is replaced by the nearest of so
many words: the best cosine of every word is found once for a photograph, and a reference costs as many look-ups as it
has cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORDS: Final = 4096
KEPT: Final = 64  # references; decision 0027 has the recall
_ROUNDS: Final = 2
_LEARNT_FROM: Final = 16  # cells to a word
_BLOCK: Final = 8192

Cells = NDArray[np.float32]


class Shortlist:
    """Words of a shelf; made once."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        """Take the cells float32[n, C] of each reference."""
        self._starts = np.cumsum([0, *(len(each) for each in cells[:-1])])
        self._counts = np.array([len(each) for each in cells])
        together = np.concatenate(cells)
        self._words = together if len(together) <= WORDS else _learn(together)
        self._named = np.arange(len(together)) if len(together) <= WORDS else nearest(together, self._words)

    def best(self, maps: Cells, *, most: int = KEPT) -> list[int]:
        """Return the references most like a photograph, best first.

        Args:
            maps: float32[crops, cells, C], unit length per cell.
            most: how many.
        """
        heard = (self._words @ maps.reshape(-1, maps.shape[-1]).T).max(axis=1)  # float32[words]
        scores = np.add.reduceat(heard[self._named], self._starts) / self._counts
        return [int(place) for place in np.argsort(-scores, kind="stable")[:most]]


def nearest(cells: Cells, words: Cells) -> NDArray[np.intp]:
    """Return int[n], the word of each of float32[n, C]."""
    return np.concatenate([(cells[at : at + _BLOCK] @ words.T).argmax(axis=1) for at in range(0, len(cells), _BLOCK)])


def _learn(cells: Cells) -> Cells:
    """Choose cells as words and move each to the middle of those it stands for: spherical k-means, two rounds."""
    rng = np.random.default_rng(0)
    sample = cells[rng.choice(len(cells), min(len(cells), WORDS * _LEARNT_FROM), replace=False)]
    words = sample[rng.choice(len(sample), WORDS, replace=False)].copy()
    for _ in range(_ROUNDS):
        sums = np.zeros_like(words)
        np.add.at(sums, nearest(sample, words), sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        words = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), words)  # a word without cells stays
    return words
