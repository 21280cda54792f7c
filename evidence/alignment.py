"""Where the cells of one patch map lie in another, from which cells are each other's nearest.

Two patch maps of one thing in one pose have many cells that name each other; a turn, shift or change of scale explains
their places together. Two of them are a guess at it, the guess with most support is refined to an affine map. Few
cells, or cells in a line, or cells without contrast, as of a plain carton or the table, explain nothing: then there is
no alignment, and whoever compares has to search everywhere.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST: Final = 12  # cells that agree
SHARE: Final = 0.35  # of those that name each other, so many have to agree
REACH: Final = 1.0  # cells by which one may miss its place
APART: Final = 3.0  # cells between the two that make a guess
SCALES: Final = (0.6, 1.6)
SPREAD: Final = 1.5  # cells of deviation along the shorter axis
GUESSES: Final = 64

Cosines = NDArray[np.float32]
Cells = NDArray[np.intp]
Places = NDArray[np.float64]
_PAIRS: Final = np.random.default_rng(0).random((2, GUESSES))  # the same for every comparison: it has to repeat itself


def align(cosines: Cosines) -> Places | None:
    """Return float64[N, 2], column and row in the reference's grid of each query cell; None if they do not align.

    Args:
        cosines: float32[N, M] of the cells of one query view with those of one reference view, both square grids.
    """
    side, other = _side(len(cosines)), _side(cosines.shape[1])
    here, there = _mutual(cosines)
    if len(here) < LEAST:
        return None
    query = (here % side) + 1j * (here // side)
    reference = (there % other) + 1j * (there // other)
    kept = _best_guess(query, reference)
    places = _with_one(query.real, query.imag)
    wanted = np.column_stack([reference.real, reference.imag])
    solved = np.empty((3, 2))
    for _ in range(2):
        if kept.sum() < max(LEAST, SHARE * len(here)):
            return None
        solved = _fitted(places[kept], wanted[kept])
        missed = places @ solved - wanted
        kept = (missed * missed).sum(axis=1) < REACH**2
    if kept.sum() < max(LEAST, SHARE * len(here)):
        return None
    if _narrow(places[kept, :2]):
        return None
    rows, columns = np.divmod(np.arange(len(cosines)), side)
    return np.asarray(_with_one(columns, rows) @ solved, np.float64)


def best_near(cosines: Cosines, places: Places, *, radius: int) -> tuple[Cosines, NDArray[np.bool_]]:
    """Return float32[N], each cell's best cosine around its place, and bool[N], whether the place is in the grid.

    Args:
        cosines: float32[N, M].
        places: float64[N, 2], of `align`.
        radius: in cells, a square around the rounded place.
    """
    side = _side(cosines.shape[1])
    column, row = np.rint(places).astype(np.intp).T
    inside = (column >= 0) & (row >= 0) & (column < side) & (row < side)
    steps = np.arange(-radius, radius + 1)
    columns, rows = column[:, None, None] + steps[None, None, :], row[:, None, None] + steps[None, :, None]
    valid = (columns >= 0) & (rows >= 0) & (columns < side) & (rows < side)
    at = np.clip(rows, 0, side - 1) * side + np.clip(columns, 0, side - 1)
    near = np.where(valid, cosines[np.arange(len(cosines))[:, None, None], at], np.float32(-1.0))
    return np.asarray(near.max(axis=(1, 2)), np.float32), inside


def _mutual(cosines: Cosines) -> tuple[Cells, Cells]:
    """Return cells that are each other's nearest, of those the half that stands out most from all other cells."""
    forward, rows = cosines.argmax(axis=1), np.arange(len(cosines))
    mutual = cosines.argmax(axis=0)[forward] == rows
    contrast = cosines[rows, forward] - cosines.mean(axis=1)
    here = np.flatnonzero(mutual & (contrast >= np.median(contrast)))
    return here, forward[here]


def _best_guess(query: NDArray[np.complex128], reference: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Return which cells agree with the best of the guesses; a guess is z -> a z + b, a turn, scale and shift."""
    one, two = (_PAIRS * len(query)).astype(np.intp)
    apart = query[two] - query[one]
    usable = np.abs(apart) >= APART
    one, two, apart = one[usable], two[usable], apart[usable]
    turn = (reference[two] - reference[one]) / apart
    fair = (np.abs(turn) > SCALES[0]) & (np.abs(turn) < SCALES[1])
    turn, one = turn[fair], one[fair]
    if not len(turn):
        return np.zeros(len(query), np.bool_)
    missed = np.abs(turn[:, None] * (query[None] - query[one][:, None]) + reference[one][:, None] - reference[None])
    agree = missed < REACH
    return np.asarray(agree[agree.sum(axis=1).argmax()])


def _fitted(places: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least squares solution by its normal equations: on a grid of a few cells they are well conditioned."""
    normal = places.T @ places + 1e-9 * np.eye(3)
    return np.asarray(np.linalg.solve(normal, places.T @ wanted), np.float64)


def _narrow(places: NDArray[np.float64]) -> bool:
    """Whether cells deviate too little along their shorter axis: the smaller eigenvalue of their covariance."""
    centred = places - places.mean(axis=0)
    (xx, xy), (_, yy) = centred.T @ centred / len(centred)
    smaller = (xx + yy) / 2 - math.hypot((xx - yy) / 2, xy)
    return bool(smaller < SPREAD**2)


def _with_one(columns: NDArray[np.generic], rows: NDArray[np.generic]) -> NDArray[np.float64]:
    places = np.ones((len(columns), 3))
    places[:, 0], places[:, 1] = columns, rows
    return places


def _side(cells: int) -> int:
    """Return the side of a square grid."""
    side = math.isqrt(cells)
    if side * side != cells:
        raise ValueError(f"{cells} cells are no square grid")
    return side
