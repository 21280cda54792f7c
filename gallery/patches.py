"""Patch maps and prints for the shortlist: from the gallery's Redis, the most used ones kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from evidence.prints import Print
from gallery.index import GalleryIndex
from gallery.store import GalleryStore

CAPACITY_BYTES: Final = 64 * 1024 * 1024  # of each: 2,300 references of three views, or the prints of 640

Held = TypeVar("Held")


class PatchCache:
    """What is kept of a reference beside its vectors; what changed is read anew, for it has another digest."""

    def __init__(self, store: GalleryStore, index: GalleryIndex, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """Read through `store` what `index` knows; hold at most `capacity_bytes` of maps, and as much of prints."""
        self._store = store
        self._index = index
        self.maps: Recent[NDArray[np.int8]] = Recent(capacity_bytes, lambda maps: maps.nbytes)
        self.printed: Recent[tuple[Print, ...]] = Recent(capacity_bytes, _bytes_of)

    async def get(self, reference_ids: Sequence[str]) -> dict[str, NDArray[np.int8]]:
        """Return int8[V, N, C] of each reference, in one exchange with Redis at most.

        References that the index or the store does not have are left out.

        Raises:
            Retryable: Redis is away and some map is not in memory.
        """

        async def fetch(missing: Sequence[str]) -> Mapping[str, NDArray[np.int8]]:
            return await self._store.patches(missing, model_version=self._index.model_version)

        return await self.maps.get(self._keys(reference_ids), fetch)

    async def prints(self, reference_ids: Sequence[str]) -> dict[str, tuple[Print, ...]]:
        """Return the prints of each reference that has some, as `get` does; that one has none is remembered, too."""

        async def fetch(missing: Sequence[str]) -> Mapping[str, tuple[Print, ...]]:
            found = await self._store.prints(missing)
            return {each: found.get(each, ()) for each in missing}

        found = await self.printed.get(self._keys(reference_ids), fetch)
        return {each: prints for each, prints in found.items() if prints}

    def _keys(self, reference_ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        return {each: (each, digest) for each in reference_ids if (digest := self._index.digest_of(each)) is not None}


class Recent(Generic[Held]):
    """The most recently used of many things, by bytes."""

    def __init__(self, capacity_bytes: int, size: Callable[[Held], int]) -> None:
        """Hold at most `capacity_bytes`; `size` says how much one takes."""
        self._capacity_bytes = capacity_bytes
        self._size = size
        self._kept: OrderedDict[tuple[str, bytes], Held] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    async def get(
        self,
        keys: Mapping[str, tuple[str, bytes]],
        fetch: Callable[[Sequence[str]], Awaitable[Mapping[str, Held]]],
    ) -> dict[str, Held]:
        """Return what is kept under each key, or what `fetch` returns for the names whose keys are not."""
        missing = [each for each, key in keys.items() if key not in self._kept]
        self.misses += len(missing)
        self.hits += len(keys) - len(missing)
        fetched = await fetch(missing)
        found = {}
        for name, key in keys.items():
            one = fetched.get(name)
            if one is None:
                one = self._kept.get(key)
            if one is not None:
                found[name] = one
                self._keep(key, one)
        return found

    def _keep(self, key: tuple[str, bytes], one: Held) -> None:
        """Make one the most recently used, and room for it."""
        old = self._kept.pop(key, None)
        self.bytes += self._size(one) - (0 if old is None else self._size(old))
        self._kept[key] = one
        while self.bytes > self._capacity_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= self._size(dropped)


def _bytes_of(prints: tuple[Print, ...]) -> int:
    """Return about how much memory prints take, the place in the books of those that are none included."""
    return 200 + sum(len(each.spots) + len(each.descriptors) + len(each.square) for each in prints)
