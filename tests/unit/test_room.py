"""Room for fetched pictures: bounded, shared, given back."""

from __future__ import annotations

import asyncio

import pytest

from workers.room import Room


async def holds(room: Room, source: str, size: int, done: asyncio.Event) -> None:
    """Hold room until told to let go."""
    async with room.take(source, size):
        await done.wait()


class TestRoom:
    """`Room`."""

    async def test_no_more_than_there_is(self) -> None:
        """Who comes too late waits until somebody leaves."""
        room, done = Room(100), asyncio.Event()
        tasks = [asyncio.create_task(holds(room, source, 50, done)) for source in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), room.take("c", 1):
                pass
        done.set()
        await asyncio.gather(*tasks)
        async with asyncio.timeout(1), room.take("c", 100):
            pass

    async def test_one_source_leaves_half_to_others(self) -> None:
        """However much it sends."""
        room, done = Room(100), asyncio.Event()
        greedy = [asyncio.create_task(holds(room, "a", 20, done)) for _ in range(5)]
        await asyncio.sleep(0.01)
        async with asyncio.timeout(1), room.take("b", 50):
            pass
        done.set()
        await asyncio.wait_for(asyncio.gather(*greedy), 1)

    async def test_something_too_large_gets_in_alone(self) -> None:
        """It waits for an empty room, not for ever."""
        room = Room(100)
        async with asyncio.timeout(1), room.take("a", 1000):
            pass

    async def test_who_gives_up_holds_nothing(self) -> None:
        """Cancelled while it waits, or while it works."""
        room, done = Room(10), asyncio.Event()
        first, second = (asyncio.create_task(holds(room, "a", 10, done)) for _ in range(2))
        await asyncio.sleep(0.01)
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        async with asyncio.timeout(1), room.take("b", 10):
            pass
