"""A gallery on disk for the time of a trial: every process maps the same file of patch maps into memory.

References become entries as the curator makes them: vectors rounded to float16, patch maps to int8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import StoredPatches
from evidence.prints import Print
from gallery.entry import Entry, ProductPut, ReferencePut, pack
from gallery.index import GalleryIndex
from schemas.messages import Product

_PATCHES, _VECTORS, _PRINTS, _TABLE = "patches.npy", "vectors.npy", "prints.msgpack", "table.json"


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """A reference as the embedding model sees it: float32[V, numbers], int8[V, cells, numbers]."""

    reference_id: str
    product_id: str
    vectors: NDArray[np.float32]
    patches: StoredPatches
    prints: tuple[Print, ...]


def fill(folder: Path, references: Sequence[Enrolled]) -> None:
    """Write references to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = [(each.reference_id, each.product_id, len(each.vectors)) for each in references]
    (folder / _TABLE).write_bytes(msgspec.json.encode(table))
    (folder / _PRINTS).write_bytes(msgspec.msgpack.encode([each.prints for each in references]))
    if references:
        np.save(folder / _VECTORS, np.concatenate([each.vectors for each in references]))
        np.save(folder / _PATCHES, np.concatenate([each.patches for each in references]))


class Shelf:
    """References of a trial: an index to search, and patch maps by reference id (`gallery.examine.PatchSource`)."""

    def __init__(self, folder: Path, catalogue: Sequence[Product], *, model_version: str) -> None:
        """Open what `fill` wrote."""
        self.index = GalleryIndex(model_version=model_version)
        for product in catalogue:
            self.index.apply(ProductPut(product))
        table = msgspec.json.decode((folder / _TABLE).read_bytes(), type=list[tuple[str, str, int]])
        self._maps: dict[str, StoredPatches] = {}
        self._prints: dict[str, tuple[Print, ...]] = {}
        prints = msgspec.msgpack.decode((folder / _PRINTS).read_bytes(), type=list[tuple[Print, ...]])
        vectors = np.load(folder / _VECTORS, mmap_mode="r") if table else np.empty((0, 0), np.float32)
        patches = np.load(folder / _PATCHES, mmap_mode="r") if table else np.empty((0, 0, 0), np.int8)
        start = 0
        for (reference_id, product_id, views), printed in zip(table, prints, strict=True):
            rows = slice(start, start + views)
            start += views
            entry = Entry(
                reference_id=reference_id,
                product_id=product_id,
                model_version=model_version,
                source="trial",
                enrolled_ms=0,
                vectors=np.asarray(vectors[rows]),
                patches=np.asarray(patches[rows]),
                uris=(),
                prints=printed,
            )
            self.index.apply(ReferencePut(reference_id, pack(entry)))
            self._maps[reference_id] = patches[rows]
            self._prints[reference_id] = entry.prints
        self.products = tuple(dict.fromkeys(product_id for _, product_id, _ in table))

    async def get(self, reference_ids: Sequence[str], /) -> dict[str, StoredPatches]:
        """Return the maps of those references that are there."""
        return {each: self._maps[each] for each in reference_ids if each in self._maps}

    async def prints(self, reference_ids: Sequence[str], /) -> dict[str, tuple[Print, ...]]:
        """Return the prints of those references that are there."""
        return {each: self._prints[each] for each in reference_ids if each in self._prints}
