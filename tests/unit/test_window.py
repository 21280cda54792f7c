"""The window loses nothing, orders acknowledgements, and lets no event hold up others beyond its bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog

from schemas.faults import Fatal, Poison, Reason, Retryable
from streams.breakers import PROBE_EVERY_S, Breakers
from streams.delivery import Delivery
from streams.window import Limits, Window

LIMIT_S = 10.0
PARTITION = ("sideline.a.captures.v1", 0)


def delivery(offset: int, partition: int = 0) -> Delivery:
    """Make a delivery whose value is its offset."""
    return Delivery("sideline.a.captures.v1", partition, offset, b"unit", str(offset).encode(), (), 0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, with a deadline."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.001)


@dataclass
class Bench:
    """A window under test, with what came out of it."""

    window: Window
    breakers: Breakers
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    buried: list[tuple[int, Reason]] = field(default_factory=list)

    async def offer(self, offset: int, partition: int = 0) -> None:
        """Offer one delivery."""
        await self.window.offer(delivery(offset, partition), lambda: self.acknowledged.append((partition, offset)))


@dataclass
class Dependency:
    """Something that can be away."""

    away: bool = False

    async def probe(self) -> None:
        """Raise while away."""
        if self.away:
            raise Retryable("thing", "still away")


@asynccontextmanager
async def bench(
    handle: Callable[[Delivery], Awaitable[None]], *, limits: Limits | None = None, thing: Dependency | None = None
) -> AsyncIterator[Bench]:
    """Run a window around a handler."""
    breakers = Breakers({"thing": (thing or Dependency()).probe})
    buried: list[tuple[int, Reason]] = []

    async def bury(dead: Delivery, fault: Poison) -> None:
        buried.append((dead.offset, fault.reason))

    window = Window(entity="test", handle=handle, bury=bury, breakers=breakers, limits=limits or Limits())
    yield Bench(window, breakers, buried=buried)
    await window.revoke(limit_s=0.0)
    await window.close()
    await breakers.close()


class TestOrder:
    """Acknowledgements follow delivery order whatever order work ends in."""

    async def test_slow_head_holds_back_acknowledgements_not_work(self) -> None:
        """Events behind a slow head finish, but are acknowledged only after it."""
        head = asyncio.Event()
        handled: list[int] = []

        async def handle(event: Delivery) -> None:
            if event.offset == 0:
                await head.wait()
            handled.append(event.offset)

        async with bench(handle) as b:
            for offset in range(5):
                await b.offer(offset)
            await until(lambda: handled == [1, 2, 3, 4])
            assert b.acknowledged == []
            head.set()
            await until(lambda: len(b.acknowledged) == 5)
            assert [(0, offset) for offset in range(5)] == b.acknowledged

    async def test_stuck_partition_does_not_stop_another(self) -> None:
        """One partition with every event stuck leaves the rest of the window to the others."""
        never = asyncio.Event()

        async def handle(event: Delivery) -> None:
            if event.partition == 0:
                await never.wait()

        limits = Limits(window=4, partition_window=2, run_past_head=8, parked=64)
        async with bench(handle, limits=limits) as b:
            for offset in range(20):
                await b.offer(offset, 0)
            for offset in range(20):
                await b.offer(offset, 1)
            await until(lambda: [(1, offset) for offset in range(20)] == b.acknowledged)

    async def test_runs_only_so_far_past_a_head(self) -> None:
        """No more than run_past_head events start behind an unfinished head, so that redelivery stays bounded."""
        head = asyncio.Event()
        started: list[int] = []

        async def handle(event: Delivery) -> None:
            started.append(event.offset)
            if event.offset == 0:
                await head.wait()

        async with bench(handle, limits=Limits(window=8, partition_window=8, run_past_head=10, parked=64)) as b:
            for offset in range(30):
                await b.offer(offset)
            await until(lambda: len(started) == 10)
            for _ in range(50):
                await asyncio.sleep(0)
            assert list(range(10)) == started
            head.set()
            await until(lambda: len(b.acknowledged) == 30)

    async def test_offer_waits_when_too_much_is_parked(self) -> None:
        """Back-pressure reaches Kafka: the offer after the last parked place waits, and goes on when one is free."""
        gate = asyncio.Event()

        async def handle(_: Delivery) -> None:
            await gate.wait()

        async with bench(handle, limits=Limits(window=1, partition_window=1, run_past_head=9, parked=2)) as b:
            await b.offer(0)
            await until(lambda: b.window.in_work == 1 and b.window.parked == 0)
            await b.offer(1)
            await b.offer(2)
            late = asyncio.create_task(b.offer(3))
            for _ in range(50):
                await asyncio.sleep(0)
            assert not late.done()
            gate.set()
            await until(lambda: len(b.acknowledged) == 4)


class TestFaults:
    """Each branch of the error tree has its policy."""

    async def test_poison_is_buried_and_acknowledged(self) -> None:
        """A poisoned event costs only itself."""

        async def handle(event: Delivery) -> None:
            if event.offset == 1:
                raise Poison(Reason.UNREADABLE, "no")

        async with bench(handle) as b:
            for offset in range(3):
                await b.offer(offset)
            await until(lambda: len(b.acknowledged) == 3)
            assert [(1, Reason.UNREADABLE)] == b.buried

    async def test_retryable_waits_for_the_dependency_and_repeats(self) -> None:
        """While a dependency is away nothing is acknowledged, started or lost; afterwards all of it is handled."""
        thing = Dependency(away=True)
        handled: list[int] = []

        async def handle(event: Delivery) -> None:
            if thing.away:
                raise Retryable("thing", "away")
            handled.append(event.offset)

        async with bench(handle, thing=thing) as b:
            await b.offer(0)
            await until(lambda: b.breakers.waiting_for == ("thing",))
            await b.offer(1)
            for _ in range(50):
                await asyncio.sleep(0)
            assert handled == []
            thing.away = False
            await until(lambda: len(b.acknowledged) == 2)
            assert sorted(handled) == [0, 1]
            assert b.breakers.waiting_for == ()

    async def test_an_outage_makes_no_event_old(self) -> None:
        """An event held up by an outage is as old as the outage is over: whoever looks sees no stuck process in it."""
        thing, gate, waits = Dependency(away=True), asyncio.Event(), asyncio.Event()

        async def handle(_: Delivery) -> None:
            if thing.away:
                raise Retryable("thing", "away")
            waits.set()
            await gate.wait()

        async with bench(handle, thing=thing) as b:
            began = time.monotonic()
            await b.offer(0)
            await until(lambda: b.breakers.waiting_for == ("thing",))
            thing.away = False
            await waits.wait()
            assert 0 < b.window.head_age_s() <= time.monotonic() - began - PROBE_EVERY_S
            gate.set()
            await until(lambda: len(b.acknowledged) == 1)

    async def test_a_bug_is_tried_again_and_then_buried(self) -> None:
        """An undeclared exception is tried three times and ends as gave_up, not as a lost or endless event."""
        attempts: list[int] = []

        async def handle(event: Delivery) -> None:
            attempts.append(event.offset)
            raise ZeroDivisionError

        async with bench(handle) as b:
            await b.offer(0)
            await until(lambda: len(b.acknowledged) == 1)
            assert [0, 0, 0] == attempts
            assert [(0, Reason.GAVE_UP)] == b.buried

    async def test_many_bugs_pause_admission(self) -> None:
        """When well-formed events fail one after the other, the worker stops burning them and says so."""

        async def handle(event: Delivery) -> None:
            raise ZeroDivisionError

        async with bench(handle, limits=Limits(window=64, partition_window=64)) as b:
            for offset in range(40):
                await b.offer(offset)
            await until(lambda: "self" in b.breakers.waiting_for)
            assert len(b.acknowledged) < 40

    async def test_fatal_stops_the_worker_and_acknowledges_nothing(self) -> None:
        """A wrong installation is reported once; the event stays with Kafka."""

        async def handle(event: Delivery) -> None:
            raise Fatal("mend me")

        async with bench(handle) as b:
            await b.offer(0)
            async with asyncio.timeout(LIMIT_S):
                assert str(await asyncio.shield(b.window.fatal)) == "mend me"
            assert b.acknowledged == []


class TestRevoke:
    """Partitions are given up in bounded time; nothing of them is acknowledged afterwards."""

    async def test_finished_heads_are_acknowledged_and_the_rest_dropped(self) -> None:
        """Work that ends in time counts; work that does not is cancelled and never acknowledged."""
        never, soon = asyncio.Event(), asyncio.Event()
        cancelled: list[int] = []

        async def handle(event: Delivery) -> None:
            try:
                await (soon.wait() if event.offset == 0 else never.wait())
            except asyncio.CancelledError:
                cancelled.append(event.offset)
                raise

        async with bench(handle) as b:
            await b.offer(0)
            await b.offer(1)
            await until(lambda: b.window.in_work == 2 and b.window.parked == 0)
            revoking = asyncio.create_task(b.window.revoke([PARTITION], limit_s=0.2))
            soon.set()
            async with asyncio.timeout(LIMIT_S):
                await revoking
            assert [(0, 0)] == b.acknowledged
            assert [1] == cancelled
            assert b.window.in_work == 0

    async def test_the_log_names_what_is_given_up(self) -> None:
        """Offsets that were cancelled one by one, those that never started from the first to the last."""
        never = asyncio.Event()

        async def handle(event: Delivery) -> None:
            if event.offset:
                await never.wait()

        with structlog.testing.capture_logs() as logs:
            async with bench(handle, limits=Limits(partition_window=2)) as b:
                for offset in range(6):
                    await b.offer(offset)
                await until(lambda: b.acknowledged == [(0, 0)] and b.window.parked == 3)
                await b.window.revoke([PARTITION], limit_s=0.1)

        said = [one for one in logs if one["event"] == "deliveries given up"]
        assert [([1, 2], [3, 5], 0)] == [(one["cancelled"], one["parked"], one["partition"]) for one in said]

    async def test_a_partition_that_comes_back_starts_afresh(self) -> None:
        """After a revoke the same offsets may be delivered again and are handled and acknowledged."""

        async def handle(event: Delivery) -> None:
            return

        async with bench(handle) as b:
            await b.offer(5)
            await until(lambda: len(b.acknowledged) == 1)
            await b.window.revoke([PARTITION], limit_s=0.1)
            b.window.assign([PARTITION])
            await b.offer(5)
            await until(lambda: len(b.acknowledged) == 2)

    async def test_nothing_enters_a_partition_that_is_being_given_up(self) -> None:
        """What Faust still has in its buffer during a revoke is dropped: acknowledged, it would hide a cancelled head.

        Faust commits offset 31 when 29 was cancelled, 30 is acknowledged and 29 is what is committed.
        """
        never = asyncio.Event()

        async def handle(event: Delivery) -> None:
            if event.offset == 29:
                await never.wait()

        async with bench(handle) as b:
            await b.offer(29)
            await until(lambda: b.window.in_work == 1 and b.window.parked == 0)
            revoking = asyncio.create_task(b.window.revoke([PARTITION], limit_s=0.1))
            await asyncio.sleep(0)
            await b.offer(30)
            async with asyncio.timeout(LIMIT_S):
                await revoking
            await b.offer(31)
            for _ in range(50):
                await asyncio.sleep(0)
            assert b.acknowledged == []

    async def test_a_delivery_that_waited_through_a_revoke_is_dropped(self) -> None:
        """An offer held back for want of room belongs to a generation that is gone when the room comes."""
        gate = asyncio.Event()

        async def handle(_: Delivery) -> None:
            await gate.wait()

        async with bench(handle, limits=Limits(window=1, partition_window=1, run_past_head=9, parked=1)) as b:
            await b.offer(0)
            await until(lambda: b.window.in_work == 1 and b.window.parked == 0)
            await b.offer(1)
            waiting = asyncio.create_task(b.offer(2))
            await asyncio.sleep(0)
            await b.window.revoke([PARTITION], limit_s=0.05)
            b.window.assign([PARTITION])
            gate.set()
            async with asyncio.timeout(LIMIT_S):
                await waiting
            await b.offer(0)
            await until(lambda: b.acknowledged == [(0, 0)])
            assert b.window.in_work == 0

    async def test_a_delivery_that_waited_through_the_revoke_of_another_partition_is_kept(self) -> None:
        """Dropped, it would not come again, and the acknowledgement of the next offset would hide it."""
        gate = asyncio.Event()

        async def handle(_: Delivery) -> None:
            await gate.wait()

        async with bench(handle, limits=Limits(window=1, partition_window=1, run_past_head=9, parked=1)) as b:
            await b.offer(0)
            await until(lambda: b.window.in_work == 1 and b.window.parked == 0)
            await b.offer(0, 1)
            waiting = asyncio.create_task(b.offer(1))
            await asyncio.sleep(0)
            await b.window.revoke([(PARTITION[0], 1)], limit_s=0.05)
            gate.set()
            async with asyncio.timeout(LIMIT_S):
                await waiting
            await until(lambda: b.acknowledged == [(0, 0), (0, 1)])

    @pytest.mark.parametrize("stubborn_s", [0.05])
    async def test_a_task_that_ends_after_the_revoke_acknowledges_nothing(self, stubborn_s: float) -> None:
        """Even a handler that swallows its cancellation cannot acknowledge for a generation that is gone."""
        hold = asyncio.Event()
        ended: list[int] = []

        async def handle(event: Delivery) -> None:
            while not hold.is_set():
                try:
                    await asyncio.wait_for(hold.wait(), 5)
                except asyncio.CancelledError:
                    continue
            ended.append(event.offset)

        async with bench(handle) as b:
            await b.offer(0)
            await until(lambda: b.window.in_work == 1 and b.window.parked == 0)
            await b.window.revoke(limit_s=stubborn_s)
            hold.set()
            await until(lambda: ended == [0])
            assert b.acknowledged == []
