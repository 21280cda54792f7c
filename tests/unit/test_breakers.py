"""Breakers open on the first sign of an outage, close by their own probe, and remember who was away when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from schemas.faults import Retryable
from streams.breakers import Breakers

LIMIT_S = 10.0


class Thing:
    """A dependency that can be away."""

    def __init__(self) -> None:
        """Start well."""
        self.away = False
        self.probed = 0

    async def probe(self) -> None:
        """Raise while away."""
        self.probed += 1
        if self.away:
            raise Retryable("thing", "away")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, with a deadline."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.005)


class TestBreakers:
    """One dependency, away for a while."""

    async def test_opens_once_and_closes_by_its_probe(self) -> None:
        """Many failures make one outage; the gate opens again only when the probe succeeds."""
        thing = Thing()
        thing.away = True
        breakers = Breakers({"thing": thing.probe})
        for _ in range(5):
            breakers.trip(Retryable("thing", "no answer"))
        assert ["thing"] == list(breakers.waiting_for)
        gate = asyncio.create_task(breakers.all_closed())
        await until(lambda: thing.probed >= 2)
        assert not gate.done()
        thing.away = False
        async with asyncio.timeout(LIMIT_S):
            await gate
        assert [] == list(breakers.waiting_for)
        await breakers.close()

    async def test_remembers_which_dependency_was_away_when(self) -> None:
        """A capture whose time overlaps an outage can name it; one from before or after cannot."""
        thing = Thing()
        breakers = Breakers({"thing": thing.probe})
        before_ms = round(time.time() * 1000) - 5_000
        breakers.trip(Retryable("thing", "no answer"))
        await until(lambda: breakers.waiting_for == ())
        now_ms = round(time.time() * 1000)
        assert "thing" == breakers.away_between(before_ms, now_ms)
        assert breakers.away_between(before_ms, before_ms + 100) is None
        assert breakers.away_between(now_ms + 1_000, now_ms + 2_000) is None
        await breakers.close()

    async def test_a_dependency_without_a_breaker_is_a_mistake_of_ours(self) -> None:
        """A misspelt name must not wait for ever."""
        breakers = Breakers({})
        with pytest.raises(ValueError, match="no breaker guards 'thing'"):
            breakers.trip(Retryable("thing", "no answer"))
