"""The topic table on the real broker."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from deploy.local.endpoints import Endpoints
from schemas.codec import cloud_headers, encode, new_uuid7
from schemas.faults import Fatal, Poison, Reason, Retryable
from schemas.messages import Decision
from schemas.words import MAX_EVENT_BYTES, Action, Outcome
from streams.dead_letters import headers_of
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import (
    TOPICS,
    Entity,
    Scope,
    create_topics,
    last_seq,
    missing_topics,
    names,
    spec,
    topic,
)

PARTITIONS = 3


@pytest.fixture
async def bootstrap(servers: Endpoints) -> str:
    """The broker's address."""
    return servers.kafka_bootstrap


@pytest.fixture
async def site(bootstrap: str, unique: str) -> str:
    """A site with topics of its own, its name as awkward as names may be."""
    site = f"{unique}.-{unique}"
    await create_topics(bootstrap, [site], partitions=PARTITIONS)
    return site


@pytest.fixture
async def producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that sends more than the line's limit if asked to."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4 * MAX_EVENT_BYTES) as ready:
        yield ready


async def settings_of(bootstrap: str, *wanted: str) -> dict[str, dict[str, str]]:
    """Return the settings that are in force on some topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted])
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for answer in answers
            for _, _, _, name, entries in answer.resources
        }
    finally:
        await admin.close()


async def change(bootstrap: str, name: str, **settings: str) -> None:
    """Set some settings on a topic, as another administrator might."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        dotted = {key.replace("_", "."): value for key, value in settings.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dotted)])
        async with asyncio.timeout(10):
            while not dotted.items() <= (await settings_of(bootstrap, name))[name].items():
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


class TestCreateTopics:
    """Topics made from the table."""

    async def test_every_topic_is_as_the_table_says(self, bootstrap: str, site: str) -> None:
        """Settings, partitions and names, for the site's topics and the global ones."""
        rows = {row.name(site if row.scope is Scope.SITE else None): row for row in TOPICS}
        found = await settings_of(bootstrap, *rows)
        for name, row in rows.items():
            assert row.config() == {setting: found[name][setting] for setting in row.config()}
        assert [] == await missing_topics(bootstrap, [site], Entity)

    async def test_again_creates_nothing(self, bootstrap: str, site: str) -> None:
        """`sideline init` may be run as often as one likes."""
        assert [] == await create_topics(bootstrap, [site], partitions=PARTITIONS)

    async def test_a_new_site_gets_its_own(self, bootstrap: str, site: str) -> None:
        """Only what is new is created, and is there when the call returns."""
        other = f"{site}-2"
        wanted = [name for name in names(Entity, [other]) if other in name]
        assert set(wanted) == set(await missing_topics(bootstrap, [other], Entity))
        assert set(wanted) == set(await create_topics(bootstrap, [site, other], partitions=PARTITIONS))
        assert [] == await missing_topics(bootstrap, [site, other], Entity)

    async def test_many_at_once_agree(self, bootstrap: str, unique: str) -> None:
        """Two people set up the same site: each topic is created once."""
        created = await asyncio.gather(*(create_topics(bootstrap, [unique], partitions=1) for _ in range(4)))
        mine = [name for each in created for name in each if unique in name]
        assert sorted(name for name in names(Entity, [unique]) if unique in name) == sorted(mine)

    async def test_drift_is_mended_and_foreign_settings_are_kept(self, bootstrap: str, site: str) -> None:
        """What the table says is set again; what it does not speak of stays as the installation has it."""
        name = topic(Entity.CAPTURES, site)
        await change(bootstrap, name, retention_ms="1000", file_delete_delay_ms="61000")
        await create_topics(bootstrap, [site], partitions=PARTITIONS)
        found = (await settings_of(bootstrap, name))[name]
        row = spec(Entity.CAPTURES, Scope.SITE)
        assert row.config() == {setting: found[setting] for setting in row.config()}
        assert found["file.delete.delay.ms"] == "61000"

    async def test_partitions_are_reported_never_changed(self, bootstrap: str, site: str) -> None:
        """More partitions would move keys to other partitions."""
        assert [] == await create_topics(bootstrap, [site], partitions=PARTITIONS + 1)
        consumer = AIOKafkaConsumer(topic(Entity.CAPTURES, site), bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            assert set(range(PARTITIONS)) == consumer.partitions_for_topic(topic(Entity.CAPTURES, site))
        finally:
            await consumer.stop()

    async def test_an_installation_that_cannot_be_is_fatal(self, bootstrap: str, unique: str) -> None:
        """More replicas than brokers: waiting does not help, and the message says what the broker said."""
        with pytest.raises(Fatal, match=r"replication factor .*InvalidReplicationFactorError"):
            await create_topics(bootstrap, [unique], replication=5)

    async def test_sites_that_differ_in_dots_and_lines_collide(self, bootstrap: str, site: str) -> None:
        """The broker keeps such topics apart in everything but metrics, and therefore refuses the second."""
        with pytest.raises(Fatal, match="collides"):
            await create_topics(bootstrap, [site.replace(".", "_")])

    async def test_a_broker_that_is_away_is_waited_for(self) -> None:
        """Nothing listens there."""
        with pytest.raises(Retryable) as away:
            await create_topics("127.0.0.1:1", ["fc1"])
        assert away.value.dependency == "kafka"


class TestLimits:
    """What the broker does with records because of those settings."""

    async def test_times_are_the_brokers(self, bootstrap: str, site: str, producer: AIOKafkaProducer) -> None:
        """A sender's clock of the year 2001 changes nothing."""
        sent = await producer.send_and_wait(topic(Entity.CAPTURES, site), b"{}", timestamp_ms=1_000_000_000_000)
        record = await read_one(bootstrap, sent.topic, sent.partition, sent.offset)
        assert record.timestamp_type == 1  # LogAppendTime
        assert abs(record.timestamp / 1000 - datetime.now(UTC).timestamp()) < 60

    async def test_compacted_topics_want_a_key(self, producer: AIOKafkaProducer, site: str) -> None:
        """Without one there is nothing to keep the newest of; the broker refuses such a record at once."""
        with pytest.raises(KafkaError):
            await producer.send_and_wait(topic(Entity.DECISIONS, site), b"{}")

    async def test_more_than_the_limit_is_refused(self, site: str, producer: AIOKafkaProducer) -> None:
        """One mebibyte with all that belongs to it is the most."""
        await producer.send_and_wait(topic(Entity.CAPTURES, site), b"x" * (MAX_EVENT_BYTES - 200))
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic(Entity.CAPTURES, site), b"x" * (MAX_EVENT_BYTES + 1))

    async def test_it_is_the_unpacked_size_that_counts(self, bootstrap: str, site: str) -> None:
        """A small batch that unpacks to a large one would be a dead letter no one can send."""
        bomb = b" " * (3 * MAX_EVENT_BYTES)
        assert len(gzip.compress(bomb)) < MAX_EVENT_BYTES // 100
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type="gzip", max_request_size=8 * MAX_EVENT_BYTES
        ) as packing:
            with pytest.raises(MessageSizeTooLargeError):
                await packing.send_and_wait(topic(Entity.CAPTURES, site), bomb)
            await packing.send_and_wait(topic(Entity.CAPTURES, site), bomb[: MAX_EVENT_BYTES // 2])

    async def test_the_dead_letter_of_the_largest_event_fits(
        self, bootstrap: str, site: str, producer: AIOKafkaProducer
    ) -> None:
        """With its key and headers, and the longest reason we write."""
        source = topic(Entity.CAPTURES, site)
        headers = [*cloud_headers(entity="capture", event_id="x", source="s", time="t"), ("big", b"h" * 10_000)]
        value = b"x" * (MAX_EVENT_BYTES - 10_000 - 400)
        sent = await producer.send_and_wait(source, value, key=b"k" * 64, headers=headers)
        record = await read_one(bootstrap, source, sent.partition, sent.offset)
        delivery = Delivery(source, sent.partition, sent.offset, record.key, record.value, record.headers, 0)
        fault = Poison(Reason.UNREADABLE, "\N{PILE OF POO}" * 10_000)
        outbox = Outbox(bootstrap, client_id="test")
        try:
            dead = topic(Entity.DEAD, site)
            await outbox.send(dead, key=record.key, value=value, headers=headers_of(delivery, fault, worker="w" * 64))
        finally:
            await outbox.close()


class TestLastSeq:
    """The highest seq on a site's decisions topic."""

    async def test_an_empty_topic_has_none(self, bootstrap: str, site: str) -> None:
        """A new site starts before 1."""
        assert await last_seq(bootstrap, site) == 0

    async def test_a_missing_topic_is_fatal(self, bootstrap: str, unique: str) -> None:
        """The message names the command that helps."""
        with pytest.raises(Fatal, match="sideline site add"):
            await last_seq(bootstrap, f"{unique}-none")

    async def test_a_broker_that_is_away_is_waited_for(self) -> None:
        """Nothing listens there."""
        with pytest.raises(Retryable):
            await last_seq("127.0.0.1:1", "fc1")

    @pytest.mark.parametrize("spread", [True, False], ids=["over all partitions", "in one partition"])
    async def test_it_is_found_behind_a_long_tail(
        self, bootstrap: str, site: str, producer: AIOKafkaProducer, *, spread: bool
    ) -> None:
        """Undetermined decisions without one, old ones sent again, and garbage are all that stands at the end."""
        now = datetime.now(UTC)
        decisions = [decision(seq, now - timedelta(hours=30)) for seq in range(1, 701)]
        decisions += [decision(4711, now), decision(4710, now)]
        decisions += [decision(None, now) for _ in range(2500)]
        decisions += [decision(seq, now - timedelta(hours=30)) for seq in range(1, 701)]  # sent again
        decisions += [b"not json", b'{"seq":9999}', b'{"seq":9999,"decided_at":"2026-01-01"}', b"[" * 10_000]
        sends = [
            await producer.send(
                topic(Entity.DECISIONS, site), raw, partition=None if spread else 1, key=str(n).encode()
            )
            for n, raw in enumerate(decisions)
        ]
        await asyncio.gather(*sends)
        assert await last_seq(bootstrap, site) == 4711

    async def test_it_does_not_read_the_whole_topic(
        self, bootstrap: str, site: str, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once a seq is found, what was appended before its decision cannot have a higher one."""
        future = datetime.now(UTC) + timedelta(hours=1)  # every append is earlier than this decision
        for batch in range(10):
            raws = [decision(batch * 500 + n + 1, future) for n in range(500)]
            await asyncio.gather(
                *[await producer.send(topic(Entity.DECISIONS, site), raw, key=raw[:60], partition=0) for raw in raws]
            )
        seeks: list[int] = []
        seek = AIOKafkaConsumer.seek

        def noting(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
            seeks.append(offset)
            seek(consumer, partition, offset)

        monkeypatch.setattr(AIOKafkaConsumer, "seek", noting)
        assert await last_seq(bootstrap, site) == 5000
        assert [4500] == seeks


async def read_one(bootstrap: str, name: str, partition: int, offset: int):  # type: ignore[no-untyped-def]  # noqa: ANN201 - aiokafka's record has no type
    """Return one record by its place."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=4 * MAX_EVENT_BYTES)
    await consumer.start()
    try:
        part = TopicPartition(name, partition)
        consumer.assign([part])
        consumer.seek(part, offset)
        async with asyncio.timeout(20):
            return await consumer.getone()
    finally:
        await consumer.stop()


def decision(seq: int | None, at: datetime) -> bytes:
    """Return a decision as it stands on the topic."""
    return encode(
        Decision(
            capture_id=new_uuid7(at_ms=int(at.timestamp() * 1000), random_bits=seq or 0),
            site="fc1",
            line="l",
            station="s",
            unit_id="u",
            captured_at=at,
            outcome=Outcome.DECIDED if seq else Outcome.UNDETERMINED,
            action=Action.PASS if seq else Action.NONE,
            seq=seq,
            decide_by=at,
            decided_at=at,
        )
    )
