"""The window: how many deliveries are in work at once, and that none of them is lost, whatever happens to its handler.

Every delivery goes into the ledger of its partition, waits parked until its partition and the window have room, and is
handled in a task of its own. A slow or stuck event holds up neither other partitions nor, up to a bound, its own; its
offset and those behind it stay unacknowledged. Faust's `pause_partitions` is not used for back-pressure: records of a
paused partition that were fetched already are skipped and then counted as a gap, that is, as acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from schemas.faults import Fatal, Poison, Reason, Retryable, SidelineError
from streams.breakers import SELF, Breakers
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.ledger import Entry, Ledger
from telemetry.metrics import METRICS

Partition = tuple[str, int]
Handler = Callable[[Delivery], Awaitable[None]]
Burier = Callable[[Delivery, Poison], Awaitable[None]]
Acknowledge = Callable[[], object]

ATTEMPTS: Final = 3  # at an event whose handler fails for no declared reason, before it is buried
RETRY_AFTER_S: Final = 0.2
MAX_PARKED_BYTES: Final = 64 * 1024 * 1024
FAILURE_MEMORY: Final = 100  # events over which our own failures are counted
FAILURE_RATIO: Final = 0.2
FAILURE_LEAST: Final = 10
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the window, in events."""

    window: int = 32
    partition_window: int = 16
    run_past_head: int = 128
    parked: int = 512


@dataclass(slots=True)
class _Lane:
    """One partition in one generation."""

    ledger: Ledger[Acknowledge] = field(default_factory=Ledger)
    parked: deque[tuple[Delivery, Entry[Acknowledge]]] = field(default_factory=deque)
    running: dict[asyncio.Task[None], tuple[Delivery, Entry[Acknowledge]]] = field(default_factory=dict)
    closed: bool = False


class Window:
    """Takes deliveries from any number of partitions and handles them under one set of limits."""

    def __init__(self, *, entity: str, handle: Handler, bury: Burier, breakers: Breakers, limits: Limits) -> None:
        """Take the event's handler and what buries an event that can never be handled.

        `handle` returns when the outcome is durable. It may raise `Poison` (buried), `Retryable` (waits for the
        dependency, then the same again), `Fatal` (stops the worker); anything else is a bug, tried a few times and
        then buried as `gave_up`.
        """
        self._entity = entity
        self._handle = handle
        self._bury = bury
        self._breakers = breakers
        self._limits = limits
        self._lanes: dict[Partition, _Lane] = {}
        self._given_up: set[Partition] = set()  # revoked and not assigned again: nothing of them may enter
        self._revokes: Counter[Partition] = Counter()
        self._stopping = False
        self._turn: deque[Partition] = deque()  # whose turn it is to start an event
        self._running = 0
        self._parked = 0
        self._parked_bytes = 0
        self._room = asyncio.Condition()
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._recent: deque[bool] = deque(maxlen=FAILURE_MEMORY)  # True where an event failed for our own reasons
        self.fatal: asyncio.Future[Fatal] = asyncio.get_running_loop().create_future()
        for counter in (METRICS.received, METRICS.gave_up):  # from 0 on, so that the first event is seen
            counter.labels(entity=self._entity)

    async def offer(self, delivery: Delivery, acknowledge: Acknowledge) -> None:
        """Take one delivery; wait while as much as allowed is parked. Called in offset order per partition.

        A delivery of a partition that is being given up, or was while it waited here, is dropped: Kafka delivers it
        again. Let in, it would be acknowledged before the cancelled ones in front of it.
        """
        partition = (delivery.topic, delivery.partition)
        revokes = self._revokes[partition]
        async with self._room:
            await self._room.wait_for(self._has_room)
        if self._stopping or partition in self._given_up or revokes != self._revokes[partition]:
            METRICS.cancelled.inc()
            return
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane()
            self._turn.append(partition)
        lane.parked.append((delivery, lane.ledger.enter(acknowledge, now=time.monotonic())))
        self._parked += 1
        self._parked_bytes += len(delivery.value or b"")
        METRICS.received.labels(entity=self._entity).inc()
        reach(FaultPoint.DELIVERED)
        self._wake.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._start_events(), name="window pump")

    @property
    def in_work(self) -> int:
        """Events taken and not finished, parked ones included."""
        return self._running + self._parked

    @property
    def parked(self) -> int:
        """Events taken and not started."""
        return self._parked

    def head_age_s(self) -> float:
        """Age of the oldest event that was started and whose offset cannot be acknowledged yet.

        An outage makes nothing older: what it held up begins anew when it ends.
        """
        entered = (entry.entered_at for lane in self._lanes.values() for _, entry in lane.running.values())
        if (oldest := min(entered, default=None)) is None:
            return 0.0
        return time.monotonic() - max(oldest, self._breakers.well_since)

    async def revoke(self, partitions: Iterable[Partition] | None = None, *, limit_s: float) -> None:
        """Give up partitions: finish what finishes in time, cancel the rest, forget them.

        Without partitions all are given up, and for good.
        Acknowledgements of finished heads happen here; nothing of these partitions is acknowledged afterwards.
        """
        if partitions is None:
            self._stopping, named = True, list(self._lanes)
        else:
            self._given_up |= (gone := set(partitions))
            self._revokes.update(gone)
            named = [part for part in self._lanes if part in gone]
        lanes = [self._lanes.pop(part) for part in named]
        self._turn = deque(part for part in self._turn if part in self._lanes)
        dropped = 0
        for lane in lanes:
            dropped += len(lane.parked)
            self._parked -= len(lane.parked)
            self._parked_bytes -= sum(len(delivery.value or b"") for delivery, _ in lane.parked)
        tasks = [task for lane in lanes for task in lane.running]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()
        for (name, number), lane in zip(named, lanes, strict=True):
            _log_given_up(name, number, lane)
            lane.parked.clear()
        if tasks:
            if late:
                await asyncio.wait(late, timeout=0.5)
            dropped += len(late)
        for lane in lanes:
            lane.closed = True
        METRICS.cancelled.inc(dropped)
        await self._tell_room()
        self._wake.set()

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Let deliveries of these partitions in again: they are of a new generation."""
        self._given_up.difference_update(partitions)

    async def close(self) -> None:
        """Stop starting events. Call `revoke` first."""
        if self._pump is not None:
            self._pump.cancel()

    def _has_room(self) -> bool:
        return self._parked < self._limits.parked and self._parked_bytes < MAX_PARKED_BYTES

    async def _tell_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    async def _start_events(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._breakers.all_closed()
            while self._running < self._limits.window and (lane := self._next_lane()) is not None:
                delivery, entry = lane.parked.popleft()
                self._parked -= 1
                self._parked_bytes -= len(delivery.value or b"")
                self._running += 1
                task = asyncio.create_task(self._work(lane, delivery, entry), name=f"{self._entity} {delivery.offset}")
                lane.running[task] = (delivery, entry)
                task.add_done_callback(partial(self._ended, lane))
            await self._tell_room()

    def _next_lane(self) -> _Lane | None:
        """Return the next partition's lane that may start an event, in rotation."""
        for _ in range(len(self._turn)):
            self._turn.rotate(-1)
            lane = self._lanes[self._turn[-1]]
            started = lane.ledger.behind_head - len(lane.parked)
            if (
                lane.parked
                and len(lane.running) < self._limits.partition_window
                and started < self._limits.run_past_head
            ):
                return lane
        return None

    def _ended(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        self._running -= 1
        lane.running.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop_for(Fatal(f"the window itself failed: {error!r}"), error)

    def _stop_for(self, fatal: Fatal, cause: BaseException | None = None) -> None:
        if not self.fatal.done():
            log.error("stopping", error=str(fatal), exc_info=cause)
            self.fatal.set_result(fatal)

    async def _work(self, lane: _Lane, delivery: Delivery, entry: Entry[Acknowledge]) -> None:
        """See one delivery to its durable outcome, then acknowledge whatever the ledger releases."""
        fault: Poison | None = None
        try:
            while True:
                try:
                    await self._attempt(delivery, fault)
                    break
                except Poison as poison:
                    if fault is not None:  # even burying is refused: say so and stop, rather than lose it
                        raise Fatal(f"cannot bury offset {delivery.offset} of {delivery.topic}: {poison}") from poison
                    fault = poison
        except Fatal as fatal:
            self._stop_for(fatal, fatal.__cause__)
            return
        reach(FaultPoint.HANDLED)
        if fault is None:
            self._recent.append(False)
        if not lane.closed:
            for acknowledge in lane.ledger.finish(entry):
                acknowledge()
                reach(FaultPoint.ACKNOWLEDGED)
            METRICS.finished.labels(entity=self._entity).inc()
        log.debug("finished", **_place(delivery), given_up=lane.closed)

    async def _attempt(self, delivery: Delivery, fault: Poison | None) -> None:
        """Handle a delivery, or bury it for its fault, as often as dependencies that are away make it necessary."""
        failures = 0
        while True:
            await self._breakers.all_closed()
            log.debug("attempt", **_place(delivery), burying=None if fault is None else fault.reason.value)
            try:
                await (self._handle(delivery) if fault is None else self._bury(delivery, fault))
            except Retryable as away:
                log.debug("attempt waits", **_place(delivery), dependency=away.dependency, error=str(away))
                self._breakers.trip(away)
            except SidelineError:
                raise
            except Exception as error:
                failures += 1
                METRICS.gave_up.labels(entity=self._entity).inc()
                log.exception("handler failed", **_place(delivery), attempt=failures)
                if failures >= ATTEMPTS:
                    self._count_failure()
                    raise Poison(Reason.GAVE_UP, f"failed {failures} times: {error!r}") from error
                await asyncio.sleep(RETRY_AFTER_S)
            else:
                return

    def _count_failure(self) -> None:
        """Note an event that failed for our own reasons, and rest when there are too many of them."""
        self._recent.append(True)
        failed = sum(self._recent)
        if failed >= FAILURE_LEAST and failed > FAILURE_RATIO * len(self._recent):
            self._recent.clear()
            self._breakers.trip(Retryable(SELF, f"{failed} well-formed events failed for our own reasons"))


def _place(delivery: Delivery) -> dict[str, str | int]:
    """Return what a log line needs for `sideline explain --history` to find the delivery."""
    return {"topic": delivery.topic, "partition": delivery.partition, "offset": delivery.offset}


def _log_given_up(topic: str, partition: int, lane: _Lane) -> None:
    """Say which deliveries of a lane end without an acknowledgement, if any do."""
    running = sorted(delivery.offset for task, (delivery, _) in lane.running.items() if not task.done())
    parked = [delivery.offset for delivery, _ in lane.parked]
    if running or parked:
        span = [parked[0], parked[-1]] if parked else []
        log.info("deliveries given up", topic=topic, partition=partition, cancelled=running, parked=span)
