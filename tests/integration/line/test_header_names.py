"""A record whose header name is no UTF-8 costs nobody anything: not its partition, not even itself (P6)."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from schemas.codec import encode
from streams.topics import Entity, topic
from tests.integration.line.running import LIMIT_S, SITE, RunningLine

NAME, ILLEGIBLE = "x-illegible", b"x-\xff\xfe\x80\xc0gible"


async def put(bootstrap: str, name: str, values: list[bytes]) -> None:
    """Write one batch to partition 0 as no client of good manners would: the header of each record has such a name."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = producer.create_batch()
        for value in values:
            batch.append(timestamp=None, key=b"unit", value=value, headers=[(NAME, b"\xff")])
        raw = bytes(batch._build()).replace(NAME.encode(), ILLEGIBLE)
        batch._buffer = bytearray(raw[:17] + calc_crc32c(raw[21:]).to_bytes(4, "big") + raw[21:])
        async with asyncio.timeout(LIMIT_S):
            await (await producer.send_batch(batch, name, partition=0))


class TestHeaderNames:
    """The real broker takes such names, so the line has to."""

    async def test_the_partition_goes_on(self, line: RunningLine) -> None:
        """Captures with an illegible header are decided, garbage with one is a dead letter, and so are those after."""
        strange, later = [line.capture() for _ in range(2)], [line.capture() for _ in range(12)]
        garbage = b"garbage under an illegible header"
        name = topic(Entity.CAPTURES, SITE)
        await put(line.endpoints.kafka_bootstrap, name, [encode(strange[0]), garbage, encode(strange[1])])
        for capture in later:
            await line.send(Entity.CAPTURES, capture)
        assert {1} == {len(each) for each in (await line.decisions([*strange, *later])).values()}
        dead = await line.until(Entity.DEAD, lambda found: garbage in {each.value for each in found})
        headers = [header for each in dead if each.value == garbage for header in each.headers]
        assert ("x-????gible", b"\xff") in headers
