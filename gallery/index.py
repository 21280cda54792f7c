"""The gallery in an inspector's memory: which products a capture may show, in less than a millisecond.

A graph of int8 vectors (usearch) finds the neighbourhood; the products in it are then scored exactly on float16 vectors
with all their references. Everything runs in the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from gallery.catalogue import Catalogue
from gallery.entry import (
    VECTOR_SIZE,
    Change,
    ProductGone,
    ProductPut,
    Reference,
    ReferenceGone,
    ReferencePut,
    Vectors,
)
from gallery.rows import Rows
from schemas.messages import Product

EXACT_BELOW: Final = 8_192  # vectors; a scan of all of them takes 0.15 ms, and misses nothing
NEIGHBOURS_PER_PRODUCT: Final = 6  # a product's references and views crowd the neighbourhood; ask for more than k


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product the capture may show."""

    product_id: str
    similarity: float  # the mean over the capture's views of the best cosine among all vectors of the product
    reference_ids: tuple[str, ...]  # most alike first


@dataclass(slots=True)
class _Held:
    """A reference in memory: which rows hold its vectors."""

    product_id: str
    digest: bytes
    since_ms: int
    rows: NDArray[np.intp]


class GalleryIndex:
    """Products and references of one embedding version; vectors of other versions are not comparable."""

    def __init__(self, *, model_version: str) -> None:
        """Start empty, for references embedded by `model_version`."""
        self.model_version = model_version
        self.catalogue = Catalogue()
        self.synced_at = float("-inf")  # time.monotonic() when it last agreed with the store
        self._held: dict[str, _Held] = {}
        self._of_product: dict[str, dict[str, None]] = {}  # reference ids in order of arrival
        self._ordered: dict[str, tuple[str, ...]] = {}  # of the products that were asked for
        self._rows = Rows()
        self._graph = Index(ndim=VECTOR_SIZE, metric="ip", dtype="i8", connectivity=16, expansion_add=64)

    @property
    def products(self) -> int:
        """Number of products in the catalogue, without retired ones."""
        return len(self.catalogue)

    @property
    def references(self) -> int:
        """Number of references of this model version."""
        return len(self._held)

    @property
    def reference_ids(self) -> frozenset[str]:
        """Every reference held."""
        return frozenset(self._held)

    def apply(self, change: Change) -> None:
        """Take in one change; the same one twice changes nothing. About 0.1 ms for each new vector."""
        match change:
            case ReferencePut(reference_id, reference):
                self._put(reference_id, reference)
            case ReferenceGone(reference_id):
                self._drop(reference_id)
            case ProductPut(product):
                self.catalogue.put(product)
            case ProductGone(product_id):
                self.catalogue.remove(product_id)

    def nearest(self, vectors: Vectors, *, k: int, expected: Sequence[str] = ()) -> list[Candidate]:
        """Return the k products most alike, best first; ties by product id.

        Args:
            vectors: float32[N, 128], unit length, one for each view of the capture.
            k: how many products.
            expected: if given, only these products are considered, each of them exactly.
        """
        products: Iterable[str] = dict.fromkeys(expected) if expected else self._neighbourhood(vectors, k)
        found = [
            product_id
            for product_id in products
            if product_id in self._of_product and not self.catalogue.retired(product_id)
        ]
        return self._best(found, vectors, k) if found else []

    def references_of(self, product_id: str) -> tuple[str, ...]:
        """Return the references of a product: the newest, then always the one least like those before it.

        Who compares with the first few has the design of today and, as long as it is held, the one before.
        """
        if product_id not in self._ordered and product_id in self._of_product:
            self._ordered[product_id] = self._in_order(product_id)
        return self._ordered.get(product_id, ())

    def digest_of(self, reference_id: str) -> bytes | None:
        """Return the digest of a reference's content, None if it is not held."""
        held = self._held.get(reference_id)
        return None if held is None else held.digest

    def product(self, product_id: str) -> Product | None:
        """Return what the catalogue says of a product."""
        return self.catalogue.find(product_id)

    def product_of(self, code: str) -> str | None:
        """Return the one product that a code (canonical or raw) or product id means, None if none or several do."""
        return self.catalogue.product_of(code)

    def synced(self) -> None:
        """Note that the index agrees with the store now."""
        self.synced_at = time.monotonic()

    def _neighbourhood(self, vectors: Vectors, k: int) -> Iterable[str]:
        """Return products that have a vector near one of the capture's."""
        if not self._held:
            return ()
        found = self._graph.search(
            vectors,
            min(k * NEIGHBOURS_PER_PRODUCT, len(self._graph)),
            threads=1,
            exact=len(self._graph) <= EXACT_BELOW,
        )
        return dict.fromkeys(self._rows.owner(row) for row in np.unique(found.keys).tolist())

    def _best(self, products: Sequence[str], vectors: Vectors, k: int) -> list[Candidate]:
        """Compare a capture with everything held of some products, and return the k most alike."""
        references = [tuple(self._of_product[product_id]) for product_id in products]
        rows = [self._held[each].rows for ids in references for each in ids]
        cosines = self._rows.vectors(np.concatenate(rows)) @ vectors.T  # float32[rows, N]
        by_reference = np.maximum.reduceat(cosines, _starts(rows))
        starts = _starts(references)
        similarity = np.maximum.reduceat(by_reference, starts).mean(axis=1)
        candidates = []
        for place in _highest_first(similarity, products)[:k]:
            ids = references[place]
            alike = by_reference[starts[place] : starts[place] + len(ids)].mean(axis=1)
            named = tuple(ids[number] for number in _highest_first(alike, ids))
            candidates.append(Candidate(products[place], float(similarity[place]), named))
        return candidates

    def _in_order(self, product_id: str) -> tuple[str, ...]:
        """Order a product's references: the newest first (of equals the first to come), then the most different."""
        left = list(self._of_product[product_id])
        first = max(left, key=lambda each: self._held[each].since_ms)
        order: list[str] = []
        likest = dict.fromkeys(left, -1.0)
        while left:
            chosen = min(left, key=likest.__getitem__) if order else first
            left.remove(chosen)
            order.append(chosen)
            mine = self._rows.vectors(self._held[chosen].rows)
            for each in left:
                cosines = self._rows.vectors(self._held[each].rows) @ mine.T
                likest[each] = max(likest[each], float(cosines.max(axis=1).mean()))
        return tuple(order)

    def _put(self, reference_id: str, reference: Reference) -> None:
        held = self._held.get(reference_id)
        if held is not None and held.digest == reference.digest:
            return
        self._drop(reference_id)
        vectors = reference.unpack()
        rows = self._rows.add(vectors, owner=reference.product_id)
        self._graph.add(rows.astype(np.uint64), vectors, threads=1)
        self._held[reference_id] = _Held(reference.product_id, reference.digest, reference.since_ms, rows)
        self._ordered.pop(reference.product_id, None)
        self._of_product.setdefault(reference.product_id, {})[reference_id] = None

    def _drop(self, reference_id: str) -> None:
        held = self._held.pop(reference_id, None)
        if held is None:
            return
        self._graph.remove(held.rows.astype(np.uint64), threads=1)
        self._rows.free(held.rows)
        self._ordered.pop(held.product_id, None)
        siblings = self._of_product[held.product_id]
        del siblings[reference_id]
        if not siblings:
            del self._of_product[held.product_id]


def _starts(parts: Sequence[Sized]) -> NDArray[np.intp]:
    """Return where each part begins when they are laid end to end."""
    return np.cumsum([0, *(len(part) for part in parts[:-1])])


def _highest_first(values: Vectors, names: Sequence[str]) -> list[int]:
    """Return the places of float32[len(names)] from the highest to the lowest, ties by name."""
    return sorted(range(len(names)), key=lambda place: (-values[place], names[place]))
