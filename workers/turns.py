"""Which capture is worked on next, when there are more than can be.

First come, first served would be the worst order then: everybody waits until their deadline is nearly over, and much of
the work is for captures that come too late after all. So of a line the newest capture is next, which still can be in
time; one that waits too long is answered `undetermined` and has cost no work. Lines take turns, so that a busy one
costs the others nothing, and lines whose pictures had to be killed have one turn at a time among them. A capture that
has had a turn and needs another goes before those of its line that have not: the work on it was done already.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable


class Turns:
    """At most `at_once` holders of a turn; the others wait."""

    def __init__(self, at_once: int, *, is_suspect: Callable[[str], bool]) -> None:
        """Take the number of turns, and which sources share a single one."""
        self._free = at_once
        self._is_suspect = is_suspect
        self._suspects_at_work = 0
        self._waiting: OrderedDict[str, list[tuple[bool, int, int, asyncio.Future[bool]]]] = OrderedDict()
        self._number = itertools.count()

    @contextlib.asynccontextmanager
    async def turn(self, source: str, *, made_at_ms: int, begun: bool = False) -> AsyncIterator[None]:
        """Hold a turn while the block runs.

        Args:
            source: the line.
            made_at_ms: how new the capture is.
            begun: it has had a turn before.
        """
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting.setdefault(source, []), (not begun, -made_at_ms, next(self._number), granted))
        self._grant()
        try:
            as_suspect = await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._give_back(as_suspect=granted.result())
            raise
        try:
            yield
        finally:
            self._give_back(as_suspect=as_suspect)

    def _give_back(self, *, as_suspect: bool) -> None:
        self._free += 1
        self._suspects_at_work -= as_suspect
        self._grant()

    def _grant(self) -> None:
        """Give the free turns to those who wait, source by source."""
        while self._free and (found := self._next()) is not None:
            granted, as_suspect = found
            self._free -= 1
            self._suspects_at_work += as_suspect
            granted.set_result(as_suspect)

    def _next(self) -> tuple[asyncio.Future[bool], bool] | None:
        """Return who is next, and whether that is a suspect; None where nobody waits who may have a turn."""
        for source in list(self._waiting):
            queue = self._waiting[source]
            while queue and queue[0][-1].done():  # given up
                heapq.heappop(queue)
            if not queue:
                del self._waiting[source]
                continue
            as_suspect = self._is_suspect(source)
            if as_suspect and self._suspects_at_work:
                continue
            self._waiting.move_to_end(source)
            return heapq.heappop(queue)[-1], as_suspect
        return None
