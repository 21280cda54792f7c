"""The booth on a real broker: what it plays is what can be read back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from booth.ahead import ready_shots
from booth.associate import Associate
from booth.station import Booth, Sent
from booth.wire import Sender
from booth.world import Truth, World
from deploy.local.endpoints import Endpoints
from schemas.codec import decode, new_uuid7, uuid7_ms
from schemas.faults import Poison
from schemas.messages import Capture, Disposition, Product, Reference, Scan, Sidelined, View
from schemas.words import DamageKind, Divert, Severity, Verdict, ViewKind
from streams.topics import Entity, create_topics, topic

CAPTURES = 30
RATE_PER_S = 15.0


async def read(
    bootstrap: str, name: str, enough: Callable[[list[ConsumerRecord]], bool], *, within_s: float = 30
) -> list[ConsumerRecord]:
    """Read a topic from its start until the records are enough."""
    consumer = AIOKafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    records: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(within_s):
            while not enough(records):
                for batch in (await consumer.getmany(timeout_ms=300)).values():
                    records += batch
    finally:
        await consumer.stop()
    return records


def bytes_of(view: View) -> bytes:
    """Read the file that a view names."""
    return Path(unquote(urlparse(view.uri).path)).read_bytes()


@pytest.fixture
async def site(servers: Endpoints, unique: str) -> str:
    """A site with topics of its own."""
    await create_topics(servers.kafka_bootstrap, [unique], partitions=2)
    return unique


class TestStations:
    """Captures and scans as planned, at their pace."""

    async def test_thirty_captures_can_be_read_back(self, servers: Endpoints, site: str, tmp_path: Path) -> None:
        """Ids, keys, headers, times and pictures hold; the truth told is that of the world; scans are as planned."""
        world = World(7, products=8, damage_rate=0.3)
        booth = Booth(
            world, kafka_bootstrap=servers.kafka_bootstrap, site=site, lines=["a", "b"], image_root=tmp_path, seed=7
        )
        sent: list[Sent] = []
        began = time.monotonic()
        await booth.play(captures=CAPTURES, rate_per_s=RATE_PER_S, on_sent=sent.append)
        assert time.monotonic() - began >= (CAPTURES - 1) / RATE_PER_S
        records = await read(servers.kafka_bootstrap, topic(Entity.CAPTURES, site), lambda all_: len(all_) >= CAPTURES)
        captures = {capture.capture_id: capture for capture in (decode(Capture, record.value) for record in records)}
        assert CAPTURES == len(records) == len(captures) == len({each.unit_id for each in captures.values()})
        assert set(captures) == {each.capture_id for each in sent}
        for record in records:
            capture = decode(Capture, record.value)
            assert capture.unit_id.encode() == record.key
            assert ("ce_id", capture.capture_id.encode()) in record.headers
            assert ("ce_type", b"sideline.capture.v1") in record.headers
            assert abs(uuid7_ms(capture.capture_id) - record.timestamp) < 5_000
            assert capture.line in {"a", "b"}
            for view in capture.views:
                raw = bytes_of(view)
                assert (view.size, view.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
        in_order = sorted(sent, key=lambda each: each.sent_at)
        shots = [world.shot(index) for index in range(CAPTURES)]
        assert [shot.truth for shot in shots] == [each.truth for each in in_order]
        first = captures[in_order[0].capture_id]
        taken = [
            each for picture in shots[0].pictures for each in (picture.jpeg, picture.depth_png) if each is not None
        ]
        assert taken == [bytes_of(view) for view in first.views]
        depths = sum(picture.depth_png is not None for shot in shots for picture in shot.pictures)
        assert depths == sum(view.kind is ViewKind.DEPTH for each in captures.values() for view in each.views) > 0
        planned = [shot for shot in shots if shot.scan is not None]
        records = await read(servers.kafka_bootstrap, topic(Entity.SCANS, site), lambda all_: len(all_) >= len(planned))
        scans = {scan.unit_id: scan for scan in (decode(Scan, record.value) for record in records)}
        assert len(planned) == len(records)
        for shot in planned:
            capture = captures[in_order[shot.index].capture_id]
            assert shot.scan is not None
            assert shot.scan.code == scans[capture.unit_id].code
            early = (capture.captured_at - scans[capture.unit_id].scanned_at).total_seconds()
            assert abs(early + shot.scan.delay_s) < 0.5

    async def test_without_end_until_cancelled(self, servers: Endpoints, site: str, tmp_path: Path) -> None:
        """No number of captures means on and on; a cancelled booth stops at once."""
        booth = Booth(
            World(7, products=2),
            kafka_bootstrap=servers.kafka_bootstrap,
            site=site,
            lines=["a"],
            image_root=tmp_path,
            seed=7,
        )
        some = asyncio.Event()
        playing = asyncio.create_task(booth.play(captures=None, rate_per_s=20, on_sent=lambda _: some.set()))
        async with asyncio.timeout(30):
            await some.wait()
        began = time.monotonic()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        assert time.monotonic() - began < 5

    async def test_what_is_being_sent_when_it_is_stopped_is_told(
        self, servers: Endpoints, site: str, tmp_path: Path
    ) -> None:
        """A capture whose send is interrupted is on its topic, and whoever stopped the booth knows of it."""
        world = World(7, products=2)
        booth = Booth(
            world, kafka_bootstrap=servers.kafka_bootstrap, site=site, lines=["a"], image_root=tmp_path, seed=7
        )
        begun = asyncio.Event()
        told: list[Sent] = []

        class Announcing(Sender):
            """Says when a send begins."""

            async def send(self, *args: Any, **details: Any) -> None:  # noqa: ANN401 - passed on
                begun.set()
                await super().send(*args, **details)

        async with (
            Announcing(servers.kafka_bootstrap, source="/test") as sender,
            aclosing(ready_shots(world, tmp_path, count=1)) as shots,
        ):
            shot = await anext(shots)
            sending = asyncio.create_task(booth._send_capture(sender, shot, time.monotonic(), told.append))
            await begun.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        records = await read(servers.kafka_bootstrap, topic(Entity.CAPTURES, site), lambda all_: len(all_) >= 1)
        assert [decode(Capture, record.value).capture_id for record in records] == [each.capture_id for each in told]

    async def test_stocking_twice_says_the_same(self, servers: Endpoints, unique: str, tmp_path: Path) -> None:
        """Products and references are published with the same keys and bytes each time, pictures in place."""
        world = World(int(unique[1:7], 16), products=3)  # topics are global: products that no other test has
        booth = Booth(
            world, kafka_bootstrap=servers.kafka_bootstrap, site=unique, lines=["a"], image_root=tmp_path, seed=7
        )
        await create_topics(servers.kafka_bootstrap, [], partitions=2)
        await booth.stock()
        await booth.stock()
        own = {product.product_id for product in world.products()}

        def of_product(record: ConsumerRecord) -> str:
            kind: type[Product | Reference] = Product if record.topic == topic(Entity.PRODUCTS) else Reference
            try:
                return decode(kind, record.value).product_id
            except Poison:  # other tests put garbage on the same topics
                return ""

        for entity, count in ((Entity.PRODUCTS, 3), (Entity.REFERENCES, 6)):

            def enough(records: list[ConsumerRecord], wanted: int = 2 * count) -> bool:
                return sum(of_product(record) in own for record in records) >= wanted

            records = await read(servers.kafka_bootstrap, topic(entity), enough)
            ours = [record for record in records if of_product(record) in own]
            assert count == len({(record.key, record.value) for record in ours}) == len({record.key for record in ours})
        for record in ours:
            reference = decode(Reference, record.value)
            assert reference.reference_id.encode() == record.key
            assert [ViewKind.RGB, ViewKind.DEPTH] * 2 == [view.kind for view in reference.views]
            assert all(bytes_of(view) for view in reference.views)


class TestAssociate:
    """Somebody answers."""

    @pytest.fixture
    async def stops(self, servers: Endpoints) -> AsyncIterator[Sender]:
        """A sender in the inspector's place."""
        async with Sender(servers.kafka_bootstrap, source="/test") as sender:
            yield sender

    async def test_each_stop_is_answered_once_and_truly(self, servers: Endpoints, site: str, stops: Sender) -> None:
        """Damaged, sellable and wrong items get their verdicts, after the delay; an event sent twice gets one."""
        truths = {
            new_uuid7(at_ms=1, random_bits=1): Truth(
                True, (DamageKind.PENETRATION,), Severity.MAJOR, "p", ((0, 0, 1, 1),)
            ),
            new_uuid7(at_ms=1, random_bits=2): Truth(False, (), Severity.NONE, "p", ()),
            new_uuid7(at_ms=1, random_bits=3): Truth(False, (), Severity.NONE, "p", (), wrong_label=True),
        }
        diverts = dict(zip(truths, (Divert.DAMAGE, Divert.DAMAGE, Divert.IDENTITY), strict=True))
        associate = Associate(kafka_bootstrap=servers.kafka_bootstrap, site=site, truth=truths.get, delay_s=0.3, seed=1)
        working = asyncio.create_task(associate.work())
        try:
            name = topic(Entity.DISPOSITIONS, site)
            begin = asyncio.get_running_loop().time()
            answers: list[Disposition] = []
            while len(answers) < len(truths):  # the associate starts at the topic's end, so stops are sent until heard
                assert asyncio.get_running_loop().time() < begin + 30
                for capture_id, divert in diverts.items():
                    now = datetime.now(UTC)
                    stop = Sidelined(
                        capture_id=capture_id,
                        site=site,
                        line="a",
                        station="s",
                        unit_id=f"unit-{capture_id[-4:]}",
                        divert=divert,
                        decide_by=now + timedelta(seconds=3),
                        decided_at=now,
                    )
                    for _ in range(2):
                        await stops.send(
                            topic(Entity.SIDELINED, site),
                            capture_id,
                            stop,
                            entity="sidelined",
                            event_id=capture_id,
                            at=now,
                        )
                with contextlib.suppress(TimeoutError):
                    records = await read(
                        servers.kafka_bootstrap, name, lambda all_: len(all_) >= len(truths), within_s=2
                    )
                    answers = [decode(Disposition, record.value) for record in records]
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        assert dict(zip(truths, (Verdict.DAMAGED, Verdict.SELLABLE, Verdict.WRONG_ITEM), strict=True)) == {
            answer.capture_id: answer.verdict for answer in answers
        }
        assert len(truths) == len(answers)
        harmed = next(answer for answer in answers if answer.verdict is Verdict.DAMAGED)
        assert ([DamageKind.PENETRATION], Severity.MAJOR) == (harmed.kinds, harmed.severity)
