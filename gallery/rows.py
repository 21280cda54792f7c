"""Vectors in blocks of memory that never move, rows of withdrawn ones used again."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.entry import VECTOR_SIZE, Vectors

BLOCK: Final = 8_192  # rows, 2 MiB; one array grown by copying stopped the loop for 30 ms at 90,000 rows


class Rows:
    """float16[128] for each row in use, and the product it belongs to."""

    def __init__(self) -> None:
        """Start empty."""
        self._blocks: list[NDArray[np.float16]] = []
        self._owners: list[str] = []
        self._free: list[int] = []

    def add(self, vectors: Vectors, *, owner: str) -> NDArray[np.intp]:
        """Keep float32[V, 128] and return their rows."""
        rows = [self._free.pop() if self._free else self._append() for _ in vectors]
        for row, vector in zip(rows, vectors, strict=True):
            self._owners[row] = owner
            self._blocks[row // BLOCK][row % BLOCK] = vector
        return np.array(rows, np.intp)

    def free(self, rows: NDArray[np.intp]) -> None:
        """Give rows back."""
        self._free.extend(rows.tolist())

    def owner(self, row: int) -> str:
        """Return the product of a row in use."""
        return self._owners[row]

    def vectors(self, rows: NDArray[np.intp]) -> Vectors:
        """Return float32[len(rows), 128]."""
        found = np.empty((len(rows), VECTOR_SIZE), np.float32)
        blocks = rows // BLOCK
        for block in np.unique(blocks).tolist():
            here = blocks == block
            found[here] = self._blocks[block][rows[here] % BLOCK]
        return found

    def _append(self) -> int:
        row = len(self._owners)
        if row == len(self._blocks) * BLOCK:
            self._blocks.append(np.empty((BLOCK, VECTOR_SIZE), np.float16))
        self._owners.append("")
        return row
