"""One inspector in memory: the real window, ledger, inspector and store around a broker and evidence of the test."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass

from budget.store import DecisionStore
from evidence.calibration import Calibration
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import Capture, Evidence, Identity
from schemas.words import KINDS, MICRO, IdentityMethod, Pattern
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, topic
from streams.window import Limits, Window
from tests.chaos.core.broker import Broker, Consumer
from tests.chaos.core.turns import LIFE, Life, Turns
from workers.answers import Answers, Findings
from workers.findings import Investigator
from workers.inspector import Inspector
from workers.mailroom import Sites, Undertaker

BAD_VIEW = "file:///images/tampered.jpg"
DRAIN_S = 60.0  # for a drain that the schedule lets end by itself


@dataclass(frozen=True, slots=True)
class World:
    """What all processes of a schedule share."""

    turns: Turns
    broker: Broker
    store: DecisionStore
    answers: Answers
    calibration: Calibration
    settings: Settings
    sites: Sites
    site: str
    rng: random.Random


class Mail(Outbox):
    """An outbox whose broker is in memory: the append and its acknowledgement are turns of their own."""

    def __init__(self, world: World) -> None:
        """Send to the world's broker."""
        super().__init__("nowhere", client_id="simulated")
        self._world = world

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Append in one turn, hear of it in another; between them the acknowledgement can get lost."""

        async def append() -> None:
            self._world.broker.append(topic, key=key, value=value, headers=headers)

        await self._world.turns.exchange("send", append, Retryable("kafka", "not acknowledged"))


class Chosen(Investigator):
    """Finds what the test chose: evidence that is another at every attempt, as far as it goes either way."""

    def __init__(self, world: World) -> None:
        """Draw from the world's seed."""
        self._world = world
        self.calibration = world.calibration

    async def investigate(self, capture: Capture, *, append_ms: int) -> Findings:
        """Take a turn, then find something.

        Raises:
            Poison: the capture is one whose picture is not what its event says.
        """
        await self._world.turns.pause("investigate")
        if capture.views[0].uri == BAD_VIEW:
            raise Poison(Reason.VIEW_SHA256, "not the picture that was announced")
        rng = self._world.rng
        claims = ["scan:00012345678905", "image:00099999999993"]
        conflict = rng.random() < 0.1
        logit = rng.randint(-30 * MICRO, 30 * MICRO)
        return Findings(
            Evidence(pattern=Pattern.CLASSIFIER, classifier=logit, kinds=[logit] * len(KINDS)),
            Identity(product_id="00012345678905", method=IdentityMethod.SCAN, conflict=conflict, claims=claims),
        )


class Process:
    """One inspector process, from its start to its end."""

    def __init__(self, world: World, life: Life, limits: Limits) -> None:
        """Start with no partition."""
        self._world = world
        self.life = life
        self.consumer = Consumer(world.broker)
        outbox = Mail(world)
        self._breakers = Breakers({"redis": _well, "kafka": _well})
        inspector = Inspector(
            settings=world.settings,
            sites=world.sites,
            store=world.store,
            investigator=Chosen(world),
            answers=world.answers,
            outbox=outbox,
            undertaker=Undertaker(outbox, entity="capture", worker=life.name),
            breakers=self._breakers,
        )
        self.window = Window(
            entity="capture", handle=inspector.inspect, bury=inspector.bury, breakers=self._breakers, limits=limits
        )
        self._feeding: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None

    @property
    def takes_more(self) -> bool:
        """Whether the next record can be offered to the window."""
        return self._feeding is None or self._feeding.done()

    @property
    def gives_up(self) -> bool:
        """Whether partitions are being given up now."""
        return self._giving_up is not None and not self._giving_up.done()

    def deliver(self, partition: int) -> None:
        """Offer the next record of a partition to the window; an offer may wait for room."""
        delivery, acknowledge = self.consumer.fetch(partition)
        self._feeding = self._start(self._offer(delivery, acknowledge))

    def assign(self, partition: int) -> None:
        """Take a partition over."""
        self.consumer.take(partition)
        self.window.assign([self._tp(partition)])

    def revoke(self, partitions: Sequence[int], *, limit_s: float) -> None:
        """Begin to give partitions up, in the order of `streams.faust_edge`: drain, commit, forget."""
        self._giving_up = self._start(self._give_up(partitions, limit_s))

    async def die(self, *, sent: Callable[[], bool]) -> None:
        """End as kill -9 would: nothing in memory remains, nothing of it is heard of again.

        `sent` says of each request under way whether it had left the process.
        """
        self._world.turns.end(self.life, sent=sent)
        for task in (self._feeding, self._giving_up):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self.window.revoke(limit_s=0.0)
        await self.window.close()
        await self._breakers.close()
        for partition in self.consumer.holds:
            self.consumer.forget(partition)

    async def _offer(self, delivery: Delivery, acknowledge: Callable[[], None]) -> None:
        await self.window.offer(delivery, lambda: None if self.life.ended else acknowledge())

    async def _give_up(self, partitions: Sequence[int], limit_s: float) -> None:
        await self.window.revoke([self._tp(partition) for partition in partitions], limit_s=limit_s)
        await self._world.turns.pause("commit what is acknowledged")
        self.consumer.commit()
        for partition in partitions:
            self.consumer.forget(partition)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        context = copy_context()
        context.run(LIFE.set, self.life)
        task = asyncio.create_task(work, context=context)
        task.add_done_callback(_heard)
        return task

    def _tp(self, partition: int) -> tuple[str, int]:
        return topic(Entity.CAPTURES, self._world.site), partition


async def _well() -> None:
    """Probe of a dependency that is well again at once."""


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of a task's end, so that a process that was killed in it is no unheard error."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
