"""How far a capture is from pristine references of its own product, and where.

Both sides are patch maps of the embedding model: 10 x 10 cells of unit vectors per view. A cell's distance is one minus
its best cosine anywhere in the references, because references show other poses. The score is the mean of the largest
5 % of a view's distances minus their median: light and blur move all cells alike and cancel, a tear moves a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.place import Place, around_peak
from schemas.words import MICRO

CELLS: Final = 100  # of a view's patch map, row-major
SIDE: Final = 10
PATCH_SIZE: Final = 64
QUANTUM: Final = 1 / 127  # references are kept as int8: value x QUANTUM
TOP_CELLS: Final = 5  # 5 % of a view; vision.md: the best of the reductions measured on parcels
REFERENCES_NAMED: Final = 3  # a decision names the references that explain it best, not all of them

Patches = NDArray[np.float32]
StoredPatches = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """The distance of a capture from its product's references, and what shows it best."""

    micro: int  # millionths of cosine distance; 0 is "nothing stands out", 2,000,000 the most there can be
    view: int  # index of the view that stands out most
    place: Place
    reference_ids: tuple[str, ...]  # nearest first


def quantise(patches: Patches) -> StoredPatches:
    """Return unit vectors of any leading shape as int8, ready for the gallery."""
    stored: StoredPatches = np.rint(np.clip(patches, -1.0, 1.0) / QUANTUM).astype(np.int8)
    return stored


def compare(query: Patches, references: Sequence[tuple[str, StoredPatches]]) -> Discrepancy:
    """Compare a capture with references of one product.

    Args:
        query: float32[V, 100, 64], unit length per cell.
        references: reference id and int8[R, 100, 64] of each; at least one.
    """
    if not references:
        raise ValueError("a discrepancy needs at least one reference")
    cells = query.reshape(-1, PATCH_SIZE)
    best = np.stack([_best_cosines(cells, _restore(stored)) for _, stored in references])  # float32[refs, V * 100]
    distances = (1.0 - best.max(axis=0)).reshape(-1, CELLS)
    scores = _stand_out(distances)
    view = int(scores.argmax())
    nearest = np.argsort(-best.mean(axis=1), kind="stable")[:REFERENCES_NAMED]
    return Discrepancy(
        micro=round(float(scores[view]) * MICRO),
        view=view,
        place=around_peak(distances[view].reshape(SIDE, SIDE)),
        reference_ids=tuple(references[index][0] for index in nearest),
    )


def patch_similarity(query: Patches, reference: StoredPatches) -> float:
    """Return how alike two things look, for ranking products: the chamfer similarity both ways, -1 .. 1.

    The mean over the reference's cells of the best cosine in the query, and the reverse, averaged.

    Args:
        query: float32[V, 100, 64], unit length per cell.
        reference: int8[R, 100, 64].
    """
    cosines = query.reshape(-1, PATCH_SIZE) @ _restore(reference).T
    return float(cosines.max(axis=0).mean() + cosines.max(axis=1).mean()) / 2


def _restore(stored: StoredPatches) -> Patches:
    """Return int8[R, 100, 64] as float32[R * 100, 64] of unit length again, free of the rounding of its length."""
    vectors = stored.reshape(-1, PATCH_SIZE).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    restored: Patches = vectors / np.maximum(lengths, 1.0)  # a vector of zeros stays one
    return restored


def _best_cosines(cells: Patches, reference: Patches) -> Patches:
    """Return for each of float32[N, 64] its best cosine among float32[M, 64]: float32[N]."""
    best: Patches = (cells @ reference.T).max(axis=1)
    return best


def _stand_out(distances: Patches) -> Patches:
    """Reduce float32[V, 100] distances to a score per view: the mean of the top 5 % minus the median."""
    ordered = np.sort(distances, axis=1)
    scores: Patches = ordered[:, -TOP_CELLS:].mean(axis=1) - np.median(ordered, axis=1)
    return scores
