"""The herald on the real Kafka and Redis: what goes in, what partners read, and the same again after a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from jsonschema import Draft202012Validator

from budget.heads import render_head
from budget.records import Request
from budget.store import DecisionStore
from cli.here import Line
from cli.site import add_site, initialise
from cli.tape import TopicReader
from deploy.local.endpoints import Endpoints
from deploy.local.folder import RunFolder
from schemas.codec import decode, encode, new_uuid7, read_dead_letter
from schemas.epcis import ObjectEvent
from schemas.messages import DeadLetter, DecisionHead, Disposition, Message, Sidelined
from schemas.words import CbvDisposition, Divert, Outcome, Verdict
from streams.delivery import Delivery
from streams.documents import ROOT
from streams.outbox import Outbox
from streams.topics import Entity, topic

STRICT = Draft202012Validator(json.loads((ROOT / "schemas" / "epcis_object_event.json").read_bytes()))
LIMIT_S = 60.0
NAME = "herald-of-a-test"
DATABASE = 14  # of its own, where no worker of the line finds its sites
NOW = datetime(2026, 11, 20, 10, 15, 30, 486_213, UTC)
SSCC = "106141411234567897"
FOUND = [Verdict.DAMAGED, Verdict.SELLABLE, Verdict.WRONG_ITEM, Verdict.UNSURE, Verdict.DAMAGED]
Copy = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]  # key, value, headers


@dataclass(slots=True)
class RunningHerald:
    """A herald as a process of its own, with a site for one test."""

    servers: Endpoints
    site: str
    store_id: str
    folder: Path
    outbox: Outbox
    process: Process | None = None

    async def start(self) -> None:
        """Start it."""
        env = {
            **os.environ,
            **self.servers.variables(),
            "SIDELINE_STORE_ID": self.store_id,
            "SIDELINE_DATA_DIR": str(self.folder),
            "SIDELINE_WORKER_NAME": NAME,
            "SIDELINE_SITES_FILE": str(self.folder / "sites.toml"),
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.herald", env=env, cwd=ROOT, stdout=DEVNULL, stderr=DEVNULL
        )

    async def stop(self) -> None:
        """Let it finish, commit and end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(self.process.wait(), 10) == 0
            self.process = None

    async def send(self, entity: Entity, message: Message | bytes) -> None:
        """Put a message on one of the site's topics."""
        raw = message if isinstance(message, bytes) else encode(message)
        await self.outbox.send(topic(entity, self.site), key=b"any", value=raw, headers=[])

    async def until(self, entity: Entity, count: int) -> list[Delivery]:
        """Wait until so many records are on a topic of the site; return them."""
        found: list[Delivery] = []
        async with TopicReader(self.servers.kafka_bootstrap, [topic(entity, self.site)]) as reader:
            async with asyncio.timeout(LIMIT_S):
                async for delivery in reader.follow():
                    found.append(delivery)
                    if len(found) == count:
                        break
            return found

    async def letters(self, count: int) -> list[DeadLetter]:
        """Wait until so many records are buried; return the last word on each: one that is moved says it twice."""
        found: dict[tuple[str, int, int], DeadLetter] = {}
        async with TopicReader(self.servers.kafka_bootstrap, [topic(Entity.DEAD, self.site)]) as reader:
            async with asyncio.timeout(LIMIT_S):
                async for delivery in reader.follow():
                    letter = read_dead_letter(delivery.headers)
                    found[letter.topic, letter.partition, letter.offset] = letter
                    if len(found) == count:
                        break
            return list(found.values())

    async def forget(self) -> None:
        """Set what the stopped herald has acknowledged back to the beginning: Kafka delivers all of it again."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers.kafka_bootstrap, group_id="herald", enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [
                TopicPartition(topic(entity, self.site), number)
                for entity in (Entity.SIDELINED, Entity.DISPOSITIONS)
                for number in range(2)
            ]
            consumer.assign(parts)
            await consumer.commit(dict.fromkeys(parts, 0))
        finally:
            await consumer.stop()


@pytest.fixture
async def herald(servers: Endpoints, unique: str, tmp_path: Path) -> AsyncIterator[RunningHerald]:
    """A herald that serves a site of its own, whose name says nothing of time zones or places."""
    url = servers.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"
    servers = replace(servers, redis_decisions_url=url)
    line = Line(servers, RunFolder.at(tmp_path / "run"))  # the line's own is pinned to its own store
    store_id = await initialise(line, partitions=2)
    await add_site(line, unique, ("line-1",), partitions=2)
    (tmp_path / "sites.toml").write_text(f'[sites.{unique}]\nzone = "Europe/Berlin"\nlocation = "9506000134352"\n')
    outbox = Outbox(servers.kafka_bootstrap, client_id="test")
    running = RunningHerald(servers, unique, store_id, tmp_path, outbox)
    await running.start()
    try:
        yield running
    finally:
        await outbox.close()
        await running.stop()


def sidelined(site: str, number: int, divert: Divert) -> Sidelined:
    """Return a sideline."""
    return Sidelined(
        capture_id=new_uuid7(at_ms=1, random_bits=number),
        site=site,
        line="line-1",
        station="booth-2",
        unit_id=SSCC if number == 0 else f"unit-{number}",
        product_id="9506000134352",
        divert=divert,
        score=3_720_551,
        decide_by=NOW,
        decided_at=NOW,
    )


def judged(stop: Sidelined, verdict: Verdict, number: int) -> Disposition:
    """Return a verdict on it."""
    return Disposition(
        disposition_id=f"d{number}",
        site=stop.site,
        associate_id="a-1",
        judged_at=NOW,
        verdict=verdict,
        capture_id=stop.capture_id,
        unit_id=stop.unit_id,
    )


def by_id(deliveries: list[Delivery]) -> dict[str, set[Copy]]:
    """Return the different copies of each event."""
    copies: dict[str, set[Copy]] = {}
    for each in deliveries:
        event = decode(ObjectEvent, each.value)
        copies.setdefault(event.event_id, set()).add((each.key, each.value, each.headers))
    return copies


class TestHerald:
    """What partners get."""

    async def test_every_stop_and_every_verdict_becomes_one_event_however_often_it_is_delivered(
        self, herald: RunningHerald
    ) -> None:
        """Valid, with the right words; after a restart from the beginning the same ids with the same bytes."""
        stops = [sidelined(herald.site, number, divert) for number, divert in enumerate(Divert)]
        verdicts = [
            judged(stop, verdict, number) for number, (stop, verdict) in enumerate(zip(stops, FOUND, strict=True))
        ]
        verdicts.append(judged(stops[0], Verdict.SELLABLE, 9))  # revises the first
        for stop in stops:
            await herald.send(Entity.SIDELINED, stop)
        for verdict in verdicts:
            await herald.send(Entity.DISPOSITIONS, verdict)
        told = len(stops) + len(verdicts)
        first = await herald.until(Entity.EPCIS, told)
        for each in first:
            STRICT.validate(json.loads(each.value or b""))
        events = [decode(ObjectEvent, each.value) for each in first]
        assert {
            CbvDisposition.NON_SELLABLE_OTHER: len(stops) + 1,
            CbvDisposition.DAMAGED: 2,
            CbvDisposition.SELLABLE_NOT_ACCESSIBLE: 2,
            CbvDisposition.MISMATCH_CLASS: 1,
        } == Counter(event.disposition for event in events)
        assert {"https://id.gs1.org/414/9506000134352"} == {event.biz_location.id for event in events}
        assert {"+01:00"} == {event.event_time_zone_offset for event in events}
        assert 3 == sum(event.epc_list == [f"https://id.gs1.org/00/{SSCC}"] for event in events)

        await herald.stop()
        await herald.forget()
        await herald.start()
        twice = by_id(await herald.until(Entity.EPCIS, 2 * told))
        assert by_id(first) == twice
        assert [1] * told == [len(copies) for copies in twice.values()]

    async def test_a_verdict_that_names_only_a_capture_finds_its_unit(self, herald: RunningHerald) -> None:
        """The record of the capture knows the unit; so the event is of that unit and lies with its others."""
        now_ms = time.time_ns() // 1_000_000
        capture_id = new_uuid7(at_ms=now_ms, random_bits=1)
        head = DecisionHead(
            capture_id=capture_id, site=herald.site, line="line-1", station="s", unit_id=SSCC, captured_at=NOW
        )
        store = DecisionStore(herald.servers.redis_decisions_url, store_id=herald.store_id)
        try:
            await store.decide(
                Request(
                    site=herald.site,
                    line="line-1",
                    capture_id=capture_id,
                    unit_id=SSCC,
                    digest="0" * 64,
                    append_ms=now_ms,
                    decide_by_ms=now_ms + 1000,
                    ask=Outcome.UNDETERMINED,
                    reason="late",
                    decision_head=render_head(head),
                )
            )
        finally:
            await store.close()
        verdict = Disposition(
            disposition_id="d1",
            site=herald.site,
            associate_id="a",
            judged_at=NOW,
            verdict=Verdict.DAMAGED,
            capture_id=capture_id,
        )
        await herald.send(Entity.DISPOSITIONS, verdict)
        (told,) = await herald.until(Entity.EPCIS, 1)
        assert SSCC.encode() == told.key
        assert [f"https://id.gs1.org/00/{SSCC}"] == decode(ObjectEvent, told.value).epc_list

    async def test_what_cannot_be_told_is_a_dead_letter(self, herald: RunningHerald) -> None:
        """Each with its reason; the events behind them are told."""
        stop = sidelined(herald.site, 7, Divert.DAMAGE)
        elsewhere = judged(sidelined("another-site", 7, Divert.DAMAGE), Verdict.DAMAGED, 1)
        nobody = Disposition(
            disposition_id="d2", site=herald.site, associate_id="a", judged_at=NOW, verdict=Verdict.DAMAGED
        )
        lost = Disposition(
            disposition_id="d3",
            site=herald.site,
            associate_id="a",
            judged_at=NOW,
            verdict=Verdict.DAMAGED,
            capture_id=stop.capture_id,
        )
        later = encode(judged(stop, Verdict.DAMAGED, 4)).replace(b'"damaged"', b'"repacked"')
        for message in (b"garbage", elsewhere, nobody, lost, later):
            await herald.send(Entity.DISPOSITIONS, message)
        await herald.send(Entity.SIDELINED, b"{}")
        await herald.send(Entity.SIDELINED, stop)
        (event,) = await herald.until(Entity.EPCIS, 1)
        assert stop.capture_id == decode(ObjectEvent, event.value).capture
        dead = await herald.letters(6)
        assert {
            "unreadable": 2,
            "wrong_site": 1,
            "no_subject": 1,
            "unknown_capture": 1,
            "unknown_verdict": 1,
        } == Counter(letter.reason for letter in dead)
