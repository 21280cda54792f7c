"""Rows as columns: arrays of one length, for figures that are sums over captures."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.words import Severity
from training.evaluation.rows import Answer, Row, usable


class Way(enum.StrEnum):
    """A way in which a capture is examined. The values are the fields of a row."""

    ALONE = "alone"
    BY_CODE = "by_code"
    BY_IMAGE = "by_image"
    ARRIVED = "arrived"


WORDS: Final = {
    Way.ALONE: "classifier alone",
    Way.BY_CODE: "with its references, product known by a right scan",
    Way.BY_IMAGE: "with references, product known by its looks only",
    Way.ARRIVED: "as it arrived: scans missing or wrong, codes in the pixels",
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """N captures with a truth and an answer to every way that is asked for."""

    rows: tuple[Row, ...]
    damaged: NDArray[np.bool_]
    major: NDArray[np.bool_]
    product: NDArray[np.int64]  # 0 .., captures without one are their own product

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Table:
        """Lay usable rows out; those that were refused or have no label are left out."""
        kept = tuple(usable(rows))
        names = [row.product_id if row.product_id is not None else f"capture {row.number}" for row in kept]
        numbers = {name: place for place, name in enumerate(dict.fromkeys(names))}
        return cls(
            rows=kept,
            damaged=np.array([row.damaged for row in kept], bool),
            major=np.array([row.damaged and row.severity is Severity.MAJOR for row in kept], bool),
            product=np.array([numbers[name] for name in names], np.int64),
        )

    def where(self, kept: NDArray[np.bool_]) -> Table:
        """Return some of the captures."""
        rows = tuple(row for row, keep in zip(self.rows, kept, strict=True) if keep)
        _, product = np.unique(self.product[kept], return_inverse=True)
        return Table(rows, self.damaged[kept], self.major[kept], product.astype(np.int64))

    def answers(self, way: Way) -> list[Answer | None]:
        """Return the answers to one way, None where there is none."""
        return [getattr(row, way.value) for row in self.rows]

    def answered(self, way: Way) -> NDArray[np.bool_]:
        """Tell which captures could be examined so."""
        return np.array([answer is not None for answer in self.answers(way)], bool)

    def scores(self, way: Way) -> NDArray[np.float64]:
        """Return float64[N] fused scores in micro-log-odds, NaN where there is none."""
        return np.array([np.nan if answer is None else answer.score for answer in self.answers(way)], np.float64)

    def discrepancies(self, way: Way) -> NDArray[np.float64]:
        """Return float64[N] discrepancies in millionths, NaN where nothing was compared."""
        return np.array(
            [
                np.nan if answer is None or answer.discrepancy is None else answer.discrepancy
                for answer in self.answers(way)
            ],
            np.float64,
        )
