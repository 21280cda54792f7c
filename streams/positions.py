"""How far a group has come on partitions: what is committed, and between which ends the partition lies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import connection
from streams.topic_admin import admin

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Position:
    """Offsets of one partition. `committed` is the next one the group would read, None if it never committed."""

    first: int
    committed: int | None
    end: int


async def topic_names(bootstrap: str) -> set[str]:
    """Return the names of all topics there are.

    Raises:
        Retryable: `kafka`.
    """
    async with admin(bootstrap) as client:
        return set(await client.list_topics())


async def positions(bootstrap: str, group: str, partitions: Collection[Partition]) -> dict[Partition, Position]:
    """Return where a group stands on each of these partitions.

    Raises:
        Retryable: `kafka`.
        Fatal: our credential may not look.
    """
    parts = [TopicPartition(*one) for one in partitions]
    async with admin(bootstrap) as client:
        committed = await client.list_consumer_group_offsets(group, partitions=parts)
    consumer = AIOKafkaConsumer(**connection.arguments(bootstrap), group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(parts)
        end = await consumer.end_offsets(parts)
    except (KafkaError, TimeoutError, OSError) as error:
        raise connection.fault(error, bootstrap) from error
    finally:
        await consumer.stop()
    found = {}
    for part in parts:
        offset = committed[part].offset if part in committed else -1
        found[part.topic, part.partition] = Position(first[part], offset if offset >= 0 else None, end[part])
    return found
