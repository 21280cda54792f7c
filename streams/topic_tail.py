"""The highest seq on a decisions topic, found from its end.

A worker refuses to decide when the store's seq is behind it, for then the store has lost what it decided.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from schemas.words import Time
from streams import connection, legible
from streams.topic_admin import admin

STEP_RECORDS: Final = 500  # read per partition and step backwards: about 1 MB
STEP_WITHIN_S: Final = 20.0
CLOCK_SKEW_S: Final = 120.0  # the store dates decisions, the brokers date records
log = structlog.get_logger(__name__)


class _Tail(msgspec.Struct, frozen=True):
    """The two fields of a decision that matter here."""

    decided_at: Time
    seq: int | None = None


_DECODER: Final = msgspec.json.Decoder(_Tail)


async def highest_seq(bootstrap: str, topic: str) -> int:
    """Return the highest `seq` on a decisions topic, 0 if no decision on it has one.

    Every partition is read backwards in steps. Decisions without a seq, and old ones emitted again, may make up its
    end, so the newest record proves little. What does: a decision with a higher seq than the best found was decided
    later, hence appended later than the best was decided. A partition is done when a step reaches back beyond that
    moment (less the clocks' skew), or the topic's start.

    Raises:
        Retryable: `kafka`, when the broker is away or too slow.
        Fatal: when the topic does not exist.
    """
    async with admin(bootstrap) as client:
        found = [each for each in await client.describe_topics() if each["topic"] == topic]
    if not found:
        raise Fatal(f"topic {topic} does not exist: run `sideline site add` for its site")
    parts = [TopicPartition(topic, each["partition"]) for each in found[0]["partitions"]]
    legible.install()
    consumer = AIOKafkaConsumer(
        **connection.arguments(bootstrap), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        consumer.assign(parts)
        return await _walk_back(consumer, parts)
    except (KafkaError, TimeoutError, OSError) as error:
        raise connection.fault(error, topic) from error
    finally:
        await consumer.stop()


async def _walk_back(consumer: AIOKafkaConsumer, parts: list[TopicPartition]) -> int:
    """Step back through all partitions in turns and return the highest seq."""
    starts: dict[TopicPartition, int] = await consumer.beginning_offsets(parts)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
    unread = {part: ends[part] for part in parts if starts[part] < ends[part]}  # all below this offset
    seq, far_enough_ms, steps = 0, 0.0, 0
    while unread:
        for part, high in list(unread.items()):
            low = max(starts[part], high - STEP_RECORDS)
            records = await _read(consumer, part, low, high)
            for tail in filter(None, map(_tail, records)):
                if tail.seq is not None and tail.seq > seq:
                    seq, far_enough_ms = tail.seq, (tail.decided_at.timestamp() - CLOCK_SKEW_S) * 1000
            unread[part] = low
            if low == starts[part] or (records and records[0].timestamp < far_enough_ms):
                del unread[part]
        steps += 1
        if steps % 100 == 0:
            log.info("looking for the last seq", topic=parts[0].topic, steps=steps, best=seq)
    return seq


async def _read(consumer: AIOKafkaConsumer, part: TopicPartition, low: int, high: int) -> list[ConsumerRecord]:
    """Return the records at offsets `low` to `high - 1`; compaction may have left none."""
    consumer.assign([part])
    consumer.seek(part, low)
    records: list[ConsumerRecord] = []
    async with asyncio.timeout(STEP_WITHIN_S):
        while await consumer.position(part) < high:
            batch = await consumer.getmany(part, timeout_ms=1000)
            records += (record for record in batch.get(part, []) if record.offset < high)
    return records


def _tail(record: ConsumerRecord) -> _Tail | None:
    """Read a decision's tail; what is not a decision proves nothing."""
    try:
        return _DECODER.decode(record.value or b"")
    except NO_DOCUMENT:
        return None
