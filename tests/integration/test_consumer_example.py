"""The consumer that `docs/consume.md` shows, run as shown."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.endpoints import Endpoints
from schemas.codec import encode, new_uuid7
from schemas.messages import Decision
from schemas.words import Action, Divert, Outcome
from streams.topics import Entity, create_topics, topic

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "consumer.py"
LONG_S = 60.0
LIMIT_S = 30.0


class Diverter:
    """The example as a process: asks on its stdin, hears on its stdout."""

    def __init__(self, process: Process, producer: AIOKafkaProducer, decisions: str) -> None:
        """Take the running process and what puts decisions on its topic."""
        self._process = process
        self._producer = producer
        self._decisions = decisions

    async def ask(self, capture_id: str, seconds_left: float) -> None:
        """Tell it of a capture."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{capture_id} {seconds_left}\n".encode())
        await self._process.stdin.drain()

    async def decide(self, raw: bytes) -> None:
        """Put a decision on the topic."""
        await self._producer.send_and_wait(self._decisions, raw, key=raw[16:52])

    async def hear(self, count: int) -> list[tuple[str, str]]:
        """Return the next answers it gives."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            lines = [(await self._process.stdout.readline()).decode().split() for _ in range(count)]
        return sorted((capture_id, answer) for capture_id, answer in lines)

    async def until_it_listens(self) -> None:
        """Repeat one decision until it is heard: only then is the example at the end of the topic."""
        probe = new_uuid7(at_ms=0, random_bits=0)
        await self.ask(probe, LONG_S)
        hearing = asyncio.create_task(self.hear(1))
        while not hearing.done():
            await self.decide(decision(probe))
            await asyncio.wait([hearing], timeout=0.2)
        assert [(probe, "pass")] == await hearing


@pytest.fixture
async def diverter(servers: Endpoints, unique: str) -> AsyncIterator[Diverter]:
    """The example, listening to a site of its own."""
    await create_topics(servers.kafka_bootstrap, [unique], partitions=1)
    decisions = topic(Entity.DECISIONS, unique)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), servers.kafka_bootstrap, decisions, stdin=PIPE, stdout=PIPE
    )
    try:
        async with AIOKafkaProducer(bootstrap_servers=servers.kafka_bootstrap, acks="all") as producer:
            diverter = Diverter(process, producer, decisions)
            await diverter.until_it_listens()
            yield diverter
    finally:
        process.terminate()
        await process.wait()


def captures(count: int) -> list[str]:
    """Return some new capture ids, in order."""
    return [new_uuid7(at_ms=1, random_bits=number) for number in range(count)]


def decision(
    capture_id: str,
    outcome: Outcome = Outcome.DECIDED,
    action: Action = Action.PASS,
    divert: Divert = Divert.NONE,
) -> bytes:
    """Return a decision as it stands on the topic."""
    now = datetime.now(UTC)
    return encode(
        Decision(
            capture_id=capture_id,
            site="fc1",
            line="l",
            station="s",
            unit_id="u",
            captured_at=now,
            outcome=outcome,
            action=action,
            divert=divert,
            decide_by=now,
            decided_at=now,
        )
    )


class TestExample:
    """What the page promises of it."""

    async def test_it_says_what_was_decided(self, diverter: Diverter) -> None:
        """Whatever sends a unit to a person is a sideline: damage, a doubtful identity, an audit, a reason to come."""
        intact, damaged, doubtful, audited, later, unknown = captures(6)
        for capture_id in (intact, damaged, doubtful, audited, later, unknown):
            await diverter.ask(capture_id, LONG_S)
        await diverter.decide(decision(intact))
        await diverter.decide(decision(damaged, action=Action.SIDELINE, divert=Divert.DAMAGE))
        await diverter.decide(decision(doubtful, action=Action.SIDELINE, divert=Divert.IDENTITY))
        await diverter.decide(decision(audited, divert=Divert.AUDIT))
        await diverter.decide(decision(later, divert=Divert.DAMAGE).replace(b'"damage"', b'"recall"'))
        await diverter.decide(decision(unknown, outcome=Outcome.UNDETERMINED, action=Action.NONE))
        assert [
            (intact, "pass"),
            (damaged, "sideline"),
            (doubtful, "sideline"),
            (audited, "sideline"),
            (later, "sideline"),
            (unknown, "undetermined"),
        ] == await diverter.hear(6)

    async def test_silence_is_undetermined(self, diverter: Diverter) -> None:
        """Without a decision in time it answers by itself, and a sideline that comes later is ignored."""
        silent, after = captures(2)
        await diverter.ask(silent, 0.1)
        assert [(silent, "undetermined")] == await diverter.hear(1)
        await diverter.decide(decision(silent, action=Action.SIDELINE, divert=Divert.DAMAGE))
        await diverter.ask(after, LONG_S)
        await diverter.decide(decision(after))
        assert [(after, "pass")] == await diverter.hear(1)

    async def test_copies_are_answered_once(self, diverter: Diverter) -> None:
        """Delivery is at least once; what follows in the output belongs to the next capture."""
        doubled, after = captures(2)
        await diverter.ask(doubled, LONG_S)
        for _ in range(3):
            await diverter.decide(decision(doubled, action=Action.SIDELINE, divert=Divert.DAMAGE))
        assert [(doubled, "sideline")] == await diverter.hear(1)
        await diverter.ask(after, LONG_S)
        await diverter.decide(decision(after))
        assert [(after, "pass")] == await diverter.hear(1)

    async def test_an_early_answer_waits_for_its_question(self, diverter: Diverter) -> None:
        """A decision may be faster than the message that tells the diverter of the capture."""
        early, other = captures(2)
        await diverter.decide(decision(early, action=Action.SIDELINE, divert=Divert.DAMAGE))
        await diverter.decide(decision(other))
        await diverter.ask(other, LONG_S)
        await diverter.hear(1)
        await diverter.ask(early, LONG_S)
        assert [(early, "sideline")] == await diverter.hear(1)
