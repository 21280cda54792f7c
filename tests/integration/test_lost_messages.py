"""Kill -9 in the middle of concurrent work loses nothing (P1), and the test would notice if it did."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.parts import Endpoints

IDS = 10_000
SLOW_EVERY = 500  # a uniform delay proves nothing: the loss needs a few slow ids among fast ones
PARTITIONS = 2
KILLS = 2
PROGRAM = Path(__file__).with_name("slow_consumer.py")
LIMIT_S = 90.0


def ids() -> list[bytes]:
    """Return the ids, the slow ones marked."""
    return [f"{'slow' if number % SLOW_EVERY == 0 else 'fast'}-{number}".encode() for number in range(IDS)]


async def fill(bootstrap: str, topic: str) -> None:
    """Make the topic and put every id on it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20) as producer:
        sent = [await producer.send(topic, each, partition=n % PARTITIONS) for n, each in enumerate(ids())]
        await asyncio.gather(*sent)


async def lag(bootstrap: str, topic: str, group: str) -> int:
    """Return how many events the group has not committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(parts)
        return sum([ends[part] - (await consumer.committed(part) or 0) for part in parts])
    finally:
        await consumer.stop()


def done(file: Path) -> list[bytes]:
    """Return the ids with an outcome, as often as they had one."""
    return file.read_bytes().split() if file.exists() else []


async def consume_with_kills(variant: str, bootstrap: str, topic: str, folder: Path) -> set[bytes]:
    """Consume the topic, killing the process while slow ids are in work; return the ids that never got an outcome."""
    file, log = folder / "done", folder / "log"
    command = [sys.executable, str(PROGRAM), variant, bootstrap, topic, f"{topic}-group", str(file), str(folder)]
    deadline = time.monotonic() + LIMIT_S
    for life in range(KILLS + 1):
        before = len(done(file))
        with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as process:  # noqa: ASYNC220
            try:
                while True:
                    assert time.monotonic() < deadline, f"no end in sight:\n{log.read_text()[-3000:]}"
                    assert process.poll() is None, f"the consumer ended:\n{log.read_text()[-3000:]}"
                    await asyncio.sleep(0.1)
                    if life < KILLS and len(done(file)) > before + 500:
                        await asyncio.sleep(1.2)  # a commit passes; the slow ids are still in work
                        break
                    if life == KILLS and await lag(bootstrap, topic, f"{topic}-group") == 0:
                        break
            finally:
                process.send_signal(signal.SIGKILL)
    return set(ids()) - set(done(file))


@pytest.mark.timeout(200)
class TestKilledConsumers:
    """The same events, the same kills, two ways to acknowledge."""

    async def test_head_only_acknowledgement_loses_nothing(
        self, servers: Endpoints, unique: str, tmp_path: Path
    ) -> None:
        """Through the window every id gets an outcome, whatever is killed when."""
        await fill(servers.kafka_bootstrap, unique)
        assert set() == await consume_with_kills("head", servers.kafka_bootstrap, unique, tmp_path)

    async def test_acknowledging_on_completion_loses_messages(
        self, servers: Endpoints, unique: str, tmp_path: Path
    ) -> None:
        """The control: without the ledger slow ids are lost, so the test above can fail."""
        await fill(servers.kafka_bootstrap, unique)
        lost = await consume_with_kills("completion", servers.kafka_bootstrap, unique, tmp_path)
        assert lost
        assert all(each.startswith(b"slow") for each in lost)
