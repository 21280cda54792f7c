"""Keeps an inspector's index in agreement with the gallery's Redis, whatever happens to either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final

import stamina
import structlog

from gallery.entry import Change, ProductGone, ProductPut, ReferenceGone, ReferencePut
from gallery.index import GalleryIndex
from gallery.store import GalleryStore, News, Position
from schemas.faults import Retryable

WAIT_S: Final = 0.5  # for news; also how often an index without news is found to be current
PIECE_S: Final = 0.01  # the event loop is given back after so much work on end
BACKOFF_S: Final = 2.0  # at most between attempts while Redis is away

_log = structlog.get_logger(__name__)


class Follower:
    """Loads a snapshot, then follows the feed; starts over where the feed cannot tell everything that happened."""

    def __init__(self, store: GalleryStore, index: GalleryIndex) -> None:
        """Keep `index` current with `store`; nothing happens before `load` or `follow`."""
        self._store = store
        self._index = index
        self._position: Position | None = None

    @property
    def staleness_s(self) -> float:
        """Seconds since the index last agreed with the store; infinite before the first load."""
        return time.monotonic() - self._index.synced_at

    async def load(self) -> None:
        """Bring the index into agreement with the store, keeping what has not changed; waits while Redis is away."""
        async for attempt in _attempts():
            with attempt:
                await self._load()

    async def follow(self) -> None:
        """Take in changes as they happen, until cancelled. Redis may come and go meanwhile."""
        while True:
            _heed_cancellation()
            if self._position is None:
                await self.load()
            else:
                await self._take(await self._news(self._position))

    async def _news(self, position: Position) -> News:
        """Wait for news; while Redis is away, keep asking."""
        async for attempt in _attempts():
            with attempt:
                return await self._store.news(position, self._index.model_version, wait_s=WAIT_S)
        raise AssertionError  # pragma: no cover - the loop above returns or raises

    async def _take(self, news: News) -> None:
        if news.changes is None:
            _log.warning("gallery feed has a gap, loading anew", position=news.position.event)
            self._position = None
            return
        await self._apply(news.changes)
        self._position = news.position
        self._index.synced()

    async def _load(self) -> None:
        """Apply a snapshot and drop what is not in it. Events after `position` repeat what it may have missed."""
        started = time.monotonic()
        position = await self._store.position()
        references, products = set(), set()
        async for changes in self._store.snapshot(self._index.model_version):
            references |= {change.reference_id for change in changes if isinstance(change, ReferencePut)}
            products |= {change.product.product_id for change in changes if isinstance(change, ProductPut)}
            await self._apply(changes)
        await self._apply(ReferenceGone(each) for each in self._index.reference_ids - references)
        await self._apply(ProductGone(each) for each in self._index.catalogue.product_ids - products)
        self._position = position
        self._index.synced()
        _log.info(
            "gallery loaded",
            products=self._index.products,
            references=self._index.references,
            model_version=self._index.model_version,
            seconds=round(time.monotonic() - started, 2),
        )

    async def _apply(self, changes: Iterable[Change]) -> None:
        """Apply changes in pieces, so that captures in work are not held up."""
        until = time.monotonic() + PIECE_S
        for change in changes:
            self._index.apply(change)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + PIECE_S


async def _attempts() -> AsyncIterator[stamina.Attempt]:
    """Try again while Redis is away, for as long as it takes."""
    async for attempt in stamina.retry_context(on=Retryable, attempts=None, timeout=None, wait_max=BACKOFF_S):
        _heed_cancellation()
        yield attempt


def _heed_cancellation() -> None:
    """Stop if someone cancelled this task and a library kept it to itself.

    redis-py sends through `asyncio.wait_for`, and that of Python 3.11 returns normally if its work is done in the same
    step of the loop in which the task is cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
