"""Room in memory for pictures that were fetched and not yet worked on: bounded, and not all of it for one line."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator


class Room:
    """So many bytes; who finds no room waits. A source that already has some gets at most half."""

    def __init__(self, limit: int) -> None:
        """Take the number of bytes. Something larger than all of it gets in when nothing else is there."""
        self._limit = limit
        self._taken: Counter[str] = Counter()
        self._change = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def take(self, source: str, size: int) -> AsyncIterator[None]:
        """Hold room for so many bytes while the block runs."""
        async with self._change:
            await self._change.wait_for(lambda: self._fits(source, size))
            self._taken[source] += size
        try:
            yield
        finally:
            self._taken[source] -= size
            if not self._taken[source]:
                del self._taken[source]
            async with self._change:
                self._change.notify_all()

    def _fits(self, source: str, size: int) -> bool:
        taken, mine = self._taken.total(), self._taken[source]
        return not taken or (taken + size <= self._limit and (not mine or mine + size <= self._limit // 2))
