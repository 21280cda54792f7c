"""Patch maps for the shortlist: from the gallery's Redis, the most used ones kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.index import GalleryIndex
from gallery.store import GalleryStore

CAPACITY_BYTES: Final = 64 * 1024 * 1024  # 2,300 references of three views


class PatchCache:
    """The least recently used maps go first. A map is kept by its reference's digest, so a changed one is read anew."""

    def __init__(self, store: GalleryStore, index: GalleryIndex, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """Read through `store` what `index` knows; hold at most `capacity_bytes` of maps."""
        self._store = store
        self._index = index
        self._capacity_bytes = capacity_bytes
        self._kept: OrderedDict[tuple[str, bytes], NDArray[np.int8]] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    async def get(self, reference_ids: Sequence[str]) -> dict[str, NDArray[np.int8]]:
        """Return int8[V, N, C] of each reference, in one exchange with Redis at most.

        References that the index or the store does not have are left out.

        Raises:
            Retryable: Redis is away and some map is not in memory.
        """
        keys = {each: (each, digest) for each in reference_ids if (digest := self._index.digest_of(each)) is not None}
        missing = [each for each, key in keys.items() if key not in self._kept]
        self.misses += len(missing)
        self.hits += len(keys) - len(missing)
        fetched = await self._store.patches(missing, model_version=self._index.model_version)
        found = {}
        for reference_id, key in keys.items():
            patches = fetched.get(reference_id)
            if patches is None:
                patches = self._kept.get(key)
            if patches is not None:
                found[reference_id] = patches
                self._keep(key, patches)
        return found

    def _keep(self, key: tuple[str, bytes], patches: NDArray[np.int8]) -> None:
        """Make a map the most recently used one, and room for it."""
        old = self._kept.pop(key, None)
        self.bytes += patches.nbytes - (0 if old is None else old.nbytes)
        self._kept[key] = patches
        while self.bytes > self._capacity_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.nbytes
