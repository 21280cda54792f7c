"""Parts are killed and stopped under load: every capture keeps one outcome, and waiting is said in words."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime

import pytest

from budget.store import DecisionStore
from evidence.scans import ScanBoard
from schemas.messages import Capture, Decision, Scan
from schemas.words import Outcome
from streams.topics import Entity
from tests.integration.line.running import LINE, SITE, RunningLine

SESSION_TIMEOUT_S = 6.0  # the workers' default
AWAY_S = 4.0  # longer than a capture's deadline, so that some end undetermined
RATE_PER_S = 6.0  # at 10 the backlog after an outage made captures late on two cores that were not late for the outage

pytestmark = pytest.mark.timeout(180)


async def play(line: RunningLine, count: int) -> list[Capture]:
    """Send captures at a steady rate and return them."""
    started, captures = time.monotonic(), []
    for number in range(count):
        captures.append(line.capture())
        await line.send(Entity.CAPTURES, captures[-1])
        await asyncio.sleep(max(0.0, started + (number + 1) / RATE_PER_S - time.monotonic()))
    return captures


async def settled(line: RunningLine) -> None:
    """Wait until captures of all partitions are decided in time: those of a worker that left are nobody's for a while.

    A capture that waited for a rebalance past its deadline says so (`late_on_arrival`), whatever goes away meanwhile.
    """
    async with asyncio.timeout(60):
        while True:
            captures = await play(line, 16)
            if {Outcome.DECIDED: 16} == outcomes(await line.decisions(captures, limit_s=30)):
                return


def readiness(line: RunningLine, worker: str) -> dict[str, object]:
    """Return what a worker says at /readyz."""
    ports = {status.name: status.ports for status in line.parts.status()}
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[worker][0]}/readyz", timeout=5) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.load(error))


def assert_one_answer_each(answers: dict[str, list[Decision]]) -> None:
    """Every capture has an outcome, and all its copies on the topic are equal."""
    assert [] == [capture_id for capture_id, copies in answers.items() if not copies]
    assert [] == [capture_id for capture_id, copies in answers.items() if any(copy != copies[0] for copy in copies)]


def outcomes(answers: dict[str, list[Decision]]) -> dict[Outcome, int]:
    """Count outcomes."""
    kinds = [copies[0].outcome for copies in answers.values()]
    return {kind: kinds.count(kind) for kind in set(kinds)}


class TestKilledInspector:
    """Two inspectors, one of them killed with -9."""

    async def test_the_other_takes_over_and_nothing_is_decided_twice(self, line: RunningLine) -> None:
        """Captures of the dead one's partitions wait one session timeout, then each gets its one outcome."""
        killed: list[float] = []

        async def kill() -> None:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(line.parts.kill, "inspector-2", signal.SIGKILL)
            killed.append(time.time())

        captures, _ = await asyncio.gather(play(line, 80), kill())
        answers = await line.decisions(captures, limit_s=60)
        assert_one_answer_each(answers)
        late = [copies[0] for copies in answers.values() if copies[0].outcome is not Outcome.DECIDED]
        takeover_s = max((answer.decided_at.timestamp() - killed[0] for answer in late), default=0.0)
        assert takeover_s <= SESSION_TIMEOUT_S + 3.0
        assert outcomes(answers)[Outcome.DECIDED] >= 40


class TestSpareInspector:
    """More inspectors than the assignor gives partitions to: of four partitions and three workers it gives 2, 2, 0."""

    async def test_one_without_partitions_is_ready(self, line: RunningLine) -> None:
        """It is a member and would take over at once; called not ready, it would hold up every rollout."""
        env = {"SIDELINE_STORE_ID": line.store_id, "SIDELINE_LOG_FORMAT": "text"}
        try:
            await asyncio.to_thread(line.parts.start_workers, inspectors=3, env=env, say=lambda _words: None)
            async with asyncio.timeout(30):  # whoever was ready first is in a rebalance when the last one joins
                while not all(readiness(line, f"inspector-{number}")["ok"] for number in (1, 2, 3)):
                    await asyncio.sleep(0.3)
        finally:
            await asyncio.to_thread(line.parts.start_workers, inspectors=2, env=env, say=lambda _words: None)


class TestDependencyAway:
    """A server is stopped for a few seconds under load."""

    @pytest.mark.parametrize(
        ("server", "said"),
        [("redis-decisions", "redis"), ("triton", "triton"), ("kafka", None), ("redis-gallery", None)],
    )
    async def test_every_capture_has_one_outcome(self, line: RunningLine, server: str, said: str | None) -> None:
        """The inspector says what it waits for, stays in its group, and afterwards no capture is without an answer."""
        await settled(line)
        heard: list[object] = []

        async def outage() -> None:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(line.parts.stop, server)
            away_until = time.monotonic() + AWAY_S
            while time.monotonic() < away_until:
                for worker in ("inspector-1", "inspector-2"):
                    heard.extend((await asyncio.to_thread(readiness, line, worker))["waiting_for"])  # type: ignore[arg-type]
                await asyncio.sleep(0.3)
            await asyncio.to_thread(line.parts.start, server)

        captures, _ = await asyncio.gather(play(line, 45), outage())
        answers = await line.decisions(captures, limit_s=60)
        assert_one_answer_each(answers)
        if said is not None:
            assert said in heard
            reasons = {c[0].reason for c in answers.values() if c[0].outcome is Outcome.UNDETERMINED}
            assert {f"{said}_away"} == reasons
        after = [line.capture() for _ in range(3)]
        for capture in after:
            await line.send(Entity.CAPTURES, capture)
        assert {Outcome.DECIDED: 3} == outcomes(await line.decisions(after, limit_s=30))

    async def test_scans_land_while_the_window_is_full(self, line: RunningLine) -> None:
        """With the models away captures pile up, and a scan still reaches Redis within a second."""
        await asyncio.to_thread(line.parts.stop, "triton")
        try:
            waiting = [line.capture() for _ in range(120)]
            for capture in waiting:
                await line.send(Entity.CAPTURES, capture)
            unit = f"unit-{uuid.uuid4().hex}"
            board = ScanBoard(line.endpoints.redis_decisions_url, window_s=30)
            scan = Scan(
                scan_id=unit, site=SITE, line=LINE, station="s", unit_id=unit, scanned_at=datetime.now(UTC), code="1"
            )
            sent = time.monotonic()
            await line.send(Entity.SCANS, scan)
            async with asyncio.timeout(10):
                while (await board.of(SITE, unit, at_ms=time.time_ns() // 1_000_000)).nearest is None:
                    await asyncio.sleep(0.01)
            took_s = time.monotonic() - sent
            await board.close()
        finally:
            await asyncio.to_thread(line.parts.start, "triton")
        assert took_s <= 1.0
        assert_one_answer_each(await line.decisions(waiting, limit_s=60))


class TestStopping:
    """SIGTERM is answered in time whatever is away."""

    async def test_sigterm_while_redis_is_stopped(self, line: RunningLine) -> None:
        """An inspector with captures in work and no Redis exits within five seconds, and loses none of them."""
        await asyncio.to_thread(line.parts.stop, "redis-decisions")
        try:
            captures = [line.capture() for _ in range(20)]
            for capture in captures:
                await line.send(Entity.CAPTURES, capture)
            pid = line.parts.pid("inspector-1")
            asked = time.monotonic()
            await asyncio.to_thread(line.parts.kill, "inspector-1", signal.SIGTERM)
            async with asyncio.timeout(20):
                while line.parts.pid("inspector-1") == pid:
                    await asyncio.sleep(0.05)
            took_s = time.monotonic() - asked
        finally:
            await asyncio.to_thread(line.parts.start, "redis-decisions")
        assert took_s <= 5.0
        assert_one_answer_each(await line.decisions(captures, limit_s=60))

    async def test_sigterm_before_the_first_site_is_registered(self, line: RunningLine) -> None:
        """A worker that waits for a site to be registered, with nothing to do yet, leaves at once and in order."""
        empty = line.endpoints.redis_decisions_url.rpartition("/")[0] + "/7"
        store = DecisionStore(empty, store_id="")
        environment = {**os.environ, **line.endpoints.variables(), "SIDELINE_LOG_FORMAT": "json"}
        environment |= {"SIDELINE_REDIS_DECISIONS_URL": empty, "SIDELINE_STORE_ID": await store.initialise()}
        await store.close()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.tracker", env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"no site is registered" not in await process.stderr.readline():
                continue
        asked = time.monotonic()
        process.terminate()
        await process.communicate()
        assert process.returncode == 0
        assert time.monotonic() - asked <= 3.0
