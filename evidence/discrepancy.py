"""How far a capture is from pristine references of its own product, and where.

Both sides are patch maps of the embedding model, a square grid of unit vectors per view. Where a view of the capture
aligns with one of the references (`evidence.alignment`), a cell is compared with what the references show at its
place; a like cell elsewhere counts, too, less a penalty: a piece that lies where none belongs looks like a piece. Where
nothing aligns, a cell's distance is one minus its best cosine anywhere in the references, because references show other
poses. The score is the mean of a view's largest distances (1.5 %) minus their median: light and blur move all cells
alike and cancel, a tear moves a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.alignment import align, best_near
from evidence.place import Place, around_peak
from schemas.words import MICRO

SIDE: Final = 14  # of the grid that the gallery keeps; comparing takes any square grid and any number of numbers
CELLS: Final = SIDE * SIDE  # of a view's patch map, row-major
PATCH_SIZE: Final = 48
QUANTUM: Final = 1 / 127  # references are kept as int8: value x QUANTUM
TOP_SHARE: Final = 0.015  # of a view's cells: damage is small and a cell is enough to show it (decision 0035)
NEAR: Final = 1  # cells around its place in which a cell may be found; 0 costs more than damage gains (decision 0027)
ELSEWHERE: Final = 0.15  # of cosine: what being found only elsewhere costs
REFERENCES_NAMED: Final = 4  # as many as an examiner compares: a withdrawn one has to be found in every decision

Patches = NDArray[np.float32]
StoredPatches = NDArray[np.int8]


def _nothing() -> Patches:
    return np.zeros((0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """The distance of a capture from its product's references, and what shows it best."""

    micro: int  # millionths of cosine distance; 0 is "nothing stands out", 2,000,000 the most there can be
    view: int  # index of the view that stands out most
    place: Place
    reference_ids: tuple[str, ...]  # nearest first
    aligned: int = 0  # views that were laid over a reference
    distances: Patches = field(default_factory=_nothing, compare=False, repr=False)  # float32[V, side, side]


def quantise(patches: Patches) -> StoredPatches:
    """Return unit vectors of any leading shape as int8, ready for the gallery."""
    stored: StoredPatches = np.rint(np.clip(patches, -1.0, 1.0) / QUANTUM).astype(np.int8)
    return stored


def compare(query: Patches, references: Sequence[tuple[str, StoredPatches]]) -> Discrepancy:
    """Compare a capture with references of one product.

    Args:
        query: float32[V, N, C], unit length per cell; N cells are a square grid.
        references: reference id and int8[R, N, C] of each; at least one.
    """
    if not references:
        raise ValueError("a discrepancy needs at least one reference")
    likenesses = [_laid_over(query, _restore(stored)) for _, stored in references]
    anywhere = np.stack([each.anywhere for each in likenesses])  # float32[refs, V, N]
    here = np.stack([each.here for each in likenesses]).max(axis=0)
    aligned = np.logical_or.reduce([each.aligned for each in likenesses])  # bool[V]
    best = anywhere.max(axis=0)
    best = np.where(aligned[:, None], np.maximum(here, best - np.float32(ELSEWHERE)), best)
    distances = 1.0 - best
    scores = _stand_out(distances)
    view = int(scores.argmax())
    side = round(query.shape[1] ** 0.5)
    maps = distances.reshape(-1, side, side).astype(np.float32)
    nearest = np.argsort(-anywhere.mean(axis=(1, 2)), kind="stable")[:REFERENCES_NAMED]
    return Discrepancy(
        micro=round(float(scores[view]) * MICRO),
        view=view,
        place=around_peak(maps[view]),
        reference_ids=tuple(references[index][0] for index in nearest),
        aligned=int(aligned.sum()),
        distances=maps,
    )


def patch_similarity(query: Patches, reference: StoredPatches) -> float:
    """Return how alike two things look, for ranking products: the chamfer similarity both ways, -1 .. 1.

    The mean over the reference's cells of the best cosine in the query, and the reverse, averaged.

    Args:
        query: float32[V, N, C], unit length per cell.
        reference: int8[R, M, C].
    """
    restored = _restore(reference)
    cosines = query.reshape(-1, query.shape[-1]) @ restored.reshape(-1, query.shape[-1]).T
    return float(cosines.max(axis=0).mean() + cosines.max(axis=1).mean()) / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Likeness:
    """A capture's cells and one reference: best cosines anywhere in it and at their own place, and what was aligned."""

    anywhere: Patches  # float32[V, N]
    here: Patches  # float32[V, N], -1 where the view does not align
    aligned: NDArray[np.bool_]  # bool[V]


def _laid_over(query: Patches, reference: Patches) -> _Likeness:
    """Compare float32[V, N, C] with one reference float32[R, M, C]; each view is laid over the most alike of its."""
    views, cells, size = query.shape
    shown = len(reference)
    cosines = (query.reshape(-1, size) @ reference.reshape(-1, size).T).reshape(views, cells, shown, -1)
    by_view = cosines.max(axis=3)  # float32[V, N, R]
    anywhere = by_view.max(axis=2)
    here, aligned = np.full((views, cells), -1.0, np.float32), np.zeros(views, np.bool_)
    for view, nearest in enumerate(by_view.mean(axis=1).argmax(axis=1).tolist()):
        block = np.ascontiguousarray(cosines[view, :, nearest])
        places = align(block)
        if places is not None:
            near, inside = best_near(block, places, radius=NEAR)
            here[view], aligned[view] = np.where(inside, near, anywhere[view]), True
    return _Likeness(anywhere, here, aligned)


def _restore(stored: StoredPatches) -> Patches:
    """Return int8[R, M, C] as float32 of unit length again, free of the rounding of its length."""
    vectors = stored.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    restored: Patches = vectors / np.maximum(lengths, 1.0)  # a vector of zeros stays one
    return restored


def _stand_out(distances: Patches) -> Patches:
    """Reduce float32[V, N] distances to a score per view: the mean of the top 1.5 % minus the median."""
    ordered = np.sort(distances, axis=1)
    top = max(1, round(TOP_SHARE * distances.shape[1]))
    scores: Patches = ordered[:, -top:].mean(axis=1) - np.median(ordered, axis=1)
    return scores
