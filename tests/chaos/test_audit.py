"""The audit beside the topics sees what is wrong in Redis and in the groups: one that cannot fail proves nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio as redis

from cli.checker.reading import Reading, read
from cli.tape import read_tape
from streams.topics import Entity, topic
from tests.chaos import audit
from tests.chaos.conftest import SEED
from tests.chaos.faults import Kind, drawn
from tests.chaos.rounds import do_all, play
from tests.chaos.stage import Stage

Store = Any  # its client's types say bytes or str where it is told which
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quiet(line: Stage, sites: tuple[str, ...]) -> tuple[str, Reading]:
    """A site after a round of garbage and resends, and its topics."""
    faults = drawn(2, SEED, kinds=(Kind.GARBAGE, Kind.DUPLICATES))
    result = await play(line, sites[2], partial(do_all, faults), seed=SEED, number=2, say=print)
    assert [] == result.violations
    return sites[2], read(await read_tape(line.line.bootstrap, sites[2]))


@pytest_asyncio.fixture(loop_scope="session")
async def store(line: Stage) -> AsyncIterator[Any]:
    """The decision store, as anybody may reach it."""
    client = redis.from_url(line.line.endpoints.redis_decisions_url)
    yield client
    await client.aclose()


async def found(line: Stage, quiet: tuple[str, Reading]) -> str:
    """Return what the audit says of the store."""
    site, reading = quiet
    url = line.line.endpoints.redis_decisions_url
    return "; ".join(str(one) for one in await audit.check_store(reading, url, site))


class TestStore:
    """`check_store`."""

    async def test_says_nothing_of_a_sound_store(self, line: Stage, quiet: tuple[str, Reading]) -> None:
        """The control."""
        assert await found(line, quiet) == ""

    async def test_sees_an_outcome_that_is_gone(self, line: Stage, quiet: tuple[str, Reading], store: Store) -> None:
        """A decision without a record could be made a second time."""
        key = f"{{{quiet[0]}}}:outcome:{next(iter(quiet[1].decisions))}"
        kept = await store.dump(key)
        await store.delete(key)
        try:
            assert "decisions on the topic are not in the store" in await found(line, quiet)
        finally:
            await store.restore(key, 0, kept)

    async def test_sees_another_value(self, line: Stage, quiet: tuple[str, Reading], store: Store) -> None:
        """What is on record is what was sent, to the byte."""
        key = f"{{{quiet[0]}}}:outcome:{next(iter(quiet[1].decisions))}"
        kept = await store.hget(key, "decision")
        await store.hset(key, "decision", json.dumps({**json.loads(kept), "reason": "other"}))
        try:
            assert "differ from what was sent" in await found(line, quiet)
        finally:
            await store.hset(key, "decision", kept)

    async def test_sees_what_was_never_sent(self, line: Stage, quiet: tuple[str, Reading], store: Store) -> None:
        """An outcome on record, and silence on the topic."""
        key = f"{{{quiet[0]}}}:outcome:01900000-0000-7000-8000-000000000000"
        await store.hset(key, "decision", json.dumps({"outcome": "decided"}))
        try:
            assert "were never sent" in await found(line, quiet)
        finally:
            await store.delete(key)

    async def test_sees_a_seq_ahead(self, line: Stage, quiet: tuple[str, Reading], store: Store) -> None:
        """Its `seq` is that of the last decision."""
        await store.hincrby(f"{{{quiet[0]}}}:budget", "seq", 1)
        try:
            assert "the store stands at" in await found(line, quiet)
        finally:
            await store.hincrby(f"{{{quiet[0]}}}:budget", "seq", -1)


class TestGroups:
    """`check_groups`."""

    async def test_sees_events_that_nobody_acknowledged(
        self, line: Stage, quiet: tuple[str, Reading], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A group that never read the topic is behind on every partition that holds something."""
        monkeypatch.setattr(audit, "IDLE_WITHIN_S", 1.0)
        groups = {"nobody": [topic(Entity.CAPTURES, quiet[0])]}
        assert any("nobody on" in str(one) for one in await audit.check_groups(line.line.bootstrap, groups))
