"""Vectors in one growing block of memory, rows of withdrawn ones used again."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.entry import VECTOR_SIZE, Vectors

FIRST: Final = 1_024
GROWTH: Final = 1.5  # copying 256 B a row; 300,000 rows take 20 ms, once


class Rows:
    """float16[capacity, 128] and for each row the product it belongs to."""

    def __init__(self) -> None:
        """Start small."""
        self._vectors = np.zeros((FIRST, VECTOR_SIZE), np.float16)
        self._owners: list[str] = []
        self._free: list[int] = []

    def add(self, vectors: Vectors, *, owner: str) -> NDArray[np.uint32]:
        """Keep float32[V, 128] and return their rows."""
        rows = [self._free.pop() if self._free else self._append() for _ in vectors]
        for row in rows:
            self._owners[row] = owner
        self._vectors[rows] = vectors
        return np.array(rows, np.uint32)

    def free(self, rows: NDArray[np.uint32]) -> None:
        """Give rows back."""
        self._free.extend(rows.tolist())

    def owner(self, row: int) -> str:
        """Return the product of a row in use."""
        return self._owners[row]

    def vectors(self, rows: NDArray[np.uint32]) -> Vectors:
        """Return float32[len(rows), 128]."""
        return self._vectors[rows].astype(np.float32)

    def _append(self) -> int:
        row = len(self._owners)
        if row == len(self._vectors):
            grown = np.zeros((int(row * GROWTH), VECTOR_SIZE), np.float16)
            grown[:row] = self._vectors
            self._vectors = grown
        self._owners.append("")
        return row
