"""A site's topics read back from the beginning: what the line said, not what someone remembers having seen.

The checker, the summary and `sideline explain` all start from this. Reading joins no consumer group, so it disturbs no
worker and can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.faults import Fatal, Retryable
from streams import connection, legible
from streams.delivery import Delivery
from streams.topics import Entity, topic

READ_LIMIT_S: Final = 90.0
START_LIMIT_S: Final = 10.0
POLL_MS: Final = 250


@dataclass(frozen=True, slots=True)
class Tape:
    """The topics of one site, each ordered by partition and offset."""

    captures: tuple[Delivery, ...] = ()
    decisions: tuple[Delivery, ...] = ()
    sidelined: tuple[Delivery, ...] = ()
    dispositions: tuple[Delivery, ...] = ()
    dead: tuple[Delivery, ...] = ()


async def read_tape(bootstrap: str, site: str) -> Tape:
    """Read the five topics of a site from the beginning to where they end now.

    Raises:
        Retryable: `kafka`, when the broker is away or the end was not reached in time.
        Fatal: the site has no topics.
    """
    entities = (Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.DEAD)
    names = [topic(entity, site) for entity in entities]
    async with TopicReader(bootstrap, names) as reader:
        by_topic: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in await reader.rest():
            by_topic[delivery.topic].append(delivery)
    return Tape(*(tuple(sorted(by_topic[name], key=lambda one: (one.partition, one.offset))) for name in names))


class TopicReader:
    """Reads whole topics without a group: `async with TopicReader(bootstrap, names) as reader`."""

    def __init__(
        self, bootstrap: str, names: Sequence[str], *, start: Literal["earliest", "latest"] = "earliest"
    ) -> None:
        """Keep where to read and from which end; nothing is opened before `async with`."""
        legible.install()
        self._bootstrap = bootstrap
        self._names = tuple(names)
        self._start = start

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            *self._names,
            **connection.arguments(self._bootstrap),
            group_id=None,
            auto_offset_reset=self._start,
            enable_auto_commit=False,
        )
        try:
            with _as_retryable(self._bootstrap):
                async with asyncio.timeout(START_LIMIT_S):
                    await self._consumer.start()
                    known = await self._consumer.topics()
        except (Retryable, Fatal):
            await self._consumer.stop()
            raise
        if missing := [name for name in self._names if name not in known]:
            await self._consumer.stop()
            raise Fatal(f"no topic {', '.join(missing)}: register the site first with `sideline site add NAME`")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def between(self, since_ms: int, until_ms: int) -> list[Delivery]:
        """Return the records that the broker appended from one time to another (ms since the epoch).

        Raises:
            Retryable: `kafka`, when that takes longer than `READ_LIMIT_S`.
        """
        places = self._consumer.assignment()
        with _as_retryable(self._bootstrap):
            ends = await self._consumer.end_offsets(places)
            first = await self._consumer.offsets_for_times(dict.fromkeys(places, max(0, since_ms)))
            last = await self._consumer.offsets_for_times(dict.fromkeys(places, max(0, until_ms)))
        for place in places:
            self._consumer.seek(place, first[place].offset if first[place] else ends[place])
            ends[place] = last[place].offset if last[place] else ends[place]
        return await self._up_to(ends)

    async def rest(self) -> list[Delivery]:
        """Return every record from here to the ends that the topics have now.

        Raises:
            Retryable: `kafka`, when that takes longer than `READ_LIMIT_S`.
        """
        with _as_retryable(self._bootstrap):
            ends = await self._consumer.end_offsets(self._consumer.assignment())
        return await self._up_to(ends)

    async def since(self, since_ms: int) -> AsyncGenerator[Delivery, None]:
        """Yield what the broker appended from a time (ms since the epoch) to the ends that the topics have now.

        For topics that do not fit into memory: nothing is kept, and there is no order between partitions.

        Raises:
            Retryable: `kafka`, when nothing comes for `READ_LIMIT_S`.
        """
        places = self._consumer.assignment()
        with _as_retryable(self._bootstrap):
            ends = await self._consumer.end_offsets(places)
            first = await self._consumer.offsets_for_times(dict.fromkeys(places, max(0, since_ms)))
        for place in places:
            self._consumer.seek(place, first[place].offset if first[place] else ends[place])
        ending = {(place.topic, place.partition): end for place, end in ends.items()}
        heard_at = time.monotonic()
        while True:
            with _as_retryable(self._bootstrap):
                if not any([await self._consumer.position(place) < end for place, end in ends.items()]):
                    return
                some = await self._some()
                if some:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > READ_LIMIT_S:
                    raise TimeoutError(f"nothing came for {READ_LIMIT_S:g} s")
            for delivery in some:
                if delivery.offset < ending[delivery.topic, delivery.partition]:
                    yield delivery

    async def _up_to(self, ends: Mapping[TopicPartition, int]) -> list[Delivery]:
        found: list[Delivery] = []
        with _as_retryable(self._bootstrap):
            async with asyncio.timeout(READ_LIMIT_S):
                while any([await self._consumer.position(place) < end for place, end in ends.items()]):
                    found += await self._some()
        ending = {(place.topic, place.partition): end for place, end in ends.items()}
        return [one for one in found if one.offset < ending[one.topic, one.partition]]

    async def length(self, since_ms: int) -> int:
        """Return how many places lie between a time (ms since the epoch) and the ends; some may be empty."""
        places = self._consumer.assignment()
        with _as_retryable(self._bootstrap):
            ends = await self._consumer.end_offsets(places)
            first = await self._consumer.offsets_for_times(dict.fromkeys(places, max(0, since_ms)))
        return sum(ends[place] - first[place].offset for place in places if first[place])

    async def follow(self) -> AsyncIterator[Delivery]:
        """Yield records as they come, for ever."""
        while True:
            for delivery in await self._some():
                yield delivery

    async def _some(self) -> list[Delivery]:
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        return [
            Delivery(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value,
                headers=tuple(record.headers),
                append_ms=record.timestamp,
            )
            for records in batches.values()
            for record in records
        ]


@contextlib.contextmanager
def _as_retryable(bootstrap: str) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise connection.fault(error, f"cannot read from {bootstrap}") from error
