"""A Redis that is away, slow, full, busy, read-only or damaged: each becomes the error whose policy fits."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import exceptions as redis_faults

from budget.config import BudgetConfig
from budget.sample import Trial
from budget.store import DecisionStore
from schemas.faults import Fatal, Retryable
from tests.integration.budget.own_server import Server, free_port

CONFIG = BudgetConfig(verdict_delay_ms=1_000, start_threshold=0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Start redis-server as the decision store runs, with a registered site in it."""
    server = Server(tmp_path)
    server.start()
    try:
        server.trial = await patiently(server.url)
        yield server
        await server.trial.close()
    finally:
        server.kill()


async def patiently(url: str) -> Trial:
    """Register a site as soon as the server answers."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return await Trial.open(url, "site", CONFIG)
        except Retryable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def for_a_while(trial: Trial) -> None:
    """Decide captures for five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        await trial.decide()


async def everything(trial: Trial, key: str) -> dict[bytes, bytes]:
    """Return a dump of every key but `key`."""
    keys = sorted([name async for name in trial.redis.scan_iter() if name != key.encode()])
    return {name: await trial.redis.dump(name) or b"" for name in keys}


class TestAway:
    """Retryable: wait for redis, then do the same again."""

    async def test_a_dead_server_is_away(self, server: Server) -> None:
        """Every call says so, and names the address without credentials."""
        server.kill()
        trial = server.trial
        for call in (trial.decide(), trial.store.look("site", "x"), trial.store.verify(), trial.store.state("site")):
            with pytest.raises(Retryable, match=f"127.0.0.1:{server.port} is away") as caught:
                await call
            assert "redis" == caught.value.dependency

    async def test_a_frozen_server_is_away_after_the_timeout(self, server: Server) -> None:
        """A call never hangs longer than its bound; asking again later finds one outcome, not two."""
        store = DecisionStore(server.trial.url, store_id=server.trial.store_id, timeout_s=0.3)
        await store.verify()
        request = server.trial.line.request(now_ms=server.trial.now_ms(), decide_by_ms=server.trial.now_ms() + 60_000)
        os.kill(server.process.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(Retryable, match="is away"):
            await store.decide(request)
        assert time.monotonic() - started < 2
        os.kill(server.process.pid, signal.SIGCONT)
        first, second = await store.decide(request), await store.decide(request)
        assert (first.decision, 1) == (second.decision, await store.sequence("site"))
        await store.close()

    async def test_a_full_server_writes_nothing_and_is_retried(self, server: Server) -> None:
        """Out of memory is refused before the first line of the script."""
        before = await everything(server.trial, "")
        await server.trial.redis.config_set("maxmemory", "1mb")
        with pytest.raises(Retryable, match=r"cannot write now: .*maxmemory"):
            await server.trial.decide()
        assert before == await everything(server.trial, "")
        await server.trial.redis.config_set("maxmemory", "0")
        assert (await server.trial.decide()).created

    async def test_a_replica_is_read_only(self, server: Server) -> None:
        """Someone failed over without us: wait, do not stop."""
        await server.trial.redis.replicaof("127.0.0.1", str(free_port()))
        with pytest.raises(Retryable, match="cannot write now"):
            await server.trial.decide()

    async def test_a_server_busy_with_a_script_is_retried(self, server: Server) -> None:
        """Until someone kills that script."""
        await server.trial.redis.config_set("busy-reply-threshold", "10")
        blocker = server.trial.another_worker()
        stuck = asyncio.ensure_future(blocker._link.command("EVAL", "while true do end", "0"))
        with pytest.raises(Retryable, match="BUSY"):
            await for_a_while(server.trial)
        await server.trial.redis.script_kill()
        with pytest.raises(Fatal, match="killed"):
            await stuck
        await blocker.close()
        assert (await server.trial.decide()).created


class TestDamaged:
    """Fatal: the store is not as we left it, and no message can mend that."""

    @pytest.mark.parametrize(
        "name",
        ["config", "budget", "counts", "open", "lines", "fusions", "outcome", "unit", "last", "threshold", "scores"],
    )
    async def test_a_key_of_the_wrong_type_stops_the_call_before_any_write(self, server: Server, name: str) -> None:
        """A script that failed midway would keep what it wrote before."""
        trial = server.trial
        await trial.decide(0)
        request = trial.line.request(now_ms=trial.now_ms(), score=0, audit_draw_ppm=0)
        keys = trial.keys
        key = {
            "outcome": keys.outcome(request.capture_id),
            "unit": keys.unit(request.unit_id),
            "last": keys.last(request.unit_id),
            "threshold": keys.threshold(request.fusion_version),
            "scores": keys.scores(request.fusion_version),
        }.get(name, keys.key(name))
        for _ in range(73):  # the next one is the 75th: the histogram takes part and the threshold could move
            await trial.decide()
        await trial.redis.delete(key)
        await trial.redis.rpush(key, "not what it should be")
        before = await everything(trial, key)
        with pytest.raises(Fatal, match=r"is a list, not a|WRONGTYPE"):
            await trial.store.decide(request)
        assert before == await everything(trial, key)

    @pytest.mark.parametrize("value", ["1e400", "nan", "12.5", "many", "9007199254740992"])
    async def test_a_number_that_is_no_integer_stops_the_call(self, server: Server, value: str) -> None:
        """Arithmetic on it would be silent nonsense."""
        key = server.trial.keys.key("budget")
        for field in ("seq", "balance", "pending", "diverts"):
            right = await server.trial.redis.hget(key, field)
            await server.trial.redis.hset(key, field, value)
            with pytest.raises(Fatal, match=f"{field} holds"):
                await server.trial.decide()
            await server.trial.redis.hset(key, field, right)
        assert (await server.trial.decide()).created

    async def test_a_lost_budget_is_not_a_fresh_one(self, server: Server) -> None:
        """Nor a lost configuration one of zeros, under which every capture would be too old."""
        redis, keys = server.trial.redis, server.trial.keys
        for name, field in (("budget", "balance"), ("config", "horizon_ms")):
            saved = await redis.dump(keys.key(name))
            await redis.hdel(keys.key(name), field)
            with pytest.raises(Fatal, match=f"has lost its {field}"):
                await server.trial.decide()
            await redis.delete(keys.key(name))
            for call in (server.trial.decide(), server.trial.store.state("site")):
                with pytest.raises(Fatal, match="has lost its"):
                    await call
            await redis.restore(keys.key(name), 0, saved or b"")
        assert (await server.trial.decide()).created

    async def test_wrong_credentials_name_themselves(self, server: Server) -> None:
        """And the password does not appear."""
        await server.trial.redis.config_set("requirepass", "right")
        store = DecisionStore(f"redis://:wrong-secret@127.0.0.1:{server.port}/0", store_id="x")
        with pytest.raises(Fatal, match="refuses our credentials") as caught:
            await store.verify()
        assert "wrong-secret" not in str(caught.value)
        await store.close()

    async def test_kill_nine_loses_no_outcome(self, server: Server) -> None:
        """`appendfsync always`: what was answered is on disk."""
        trial = server.trial
        records = [await trial.decide(0) for _ in range(20)]
        server.kill()
        server.start()
        deadline = time.monotonic() + 10
        while True:
            try:
                found = [await trial.store.look("site", record.capture_id) for record in records]
                break
            except (Retryable, redis_faults.ConnectionError):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert [record.decision for record in records] == [one.decision if one else b"" for one in found]
        assert 20 == await trial.store.sequence("site")
