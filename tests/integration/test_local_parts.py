"""The parts on this machine: started, found, healed and ended without a trace."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import kafka, leftovers, probes
from deploy.local.endpoints import Endpoints
from deploy.local.parts import Parts, PartStatus
from schemas.faults import Fatal

ONE = ("redis-decisions",)  # the part that starts fastest stands for all where any would do


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with only these settings of the line."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SIDELINE_")}
    kept = {name: value for name, value in os.environ.items() if name == "SIDELINE_MODEL_REPOSITORY"}
    return {**plain, **kept, **extra}


def silent(_: str) -> None:
    """Say nothing."""


def until(check: Callable[[], bool], *, within_s: float) -> float:
    """Poll until the check holds and return how long that took, s; fail when it does not in time."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - began


def status(parts: Parts, name: str) -> PartStatus:
    """Return the status of one part."""
    return next(part for part in parts.status() if part.name == name)


def heals(parts: Parts, name: str, old_pid: int | None, *, within_s: float) -> None:
    """Wait until the part runs in another process and is healthy."""
    until(lambda: parts.pid(name) not in {None, old_pid} and status(parts, name).healthy is True, within_s=within_s)


@contextlib.contextmanager
def asking(triton_url: str) -> Iterator[None]:
    """Infer with every model without pause, so that the server has requests under way at any moment."""
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            probes.triton(triton_url)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Parts]:
    """Another run folder, with nothing started in it."""
    parts = Parts(tmp_path / "run", environ=environment())
    yield parts
    parts.down(say=silent)


class TestUp:
    """`Parts.up`."""

    def test_a_second_up_changes_nothing(self, parts: Parts, servers: Endpoints) -> None:
        """Calling it again returns the same addresses and restarts no part."""
        before = {part.name: part.pid for part in parts.status()}
        again = parts.up(say=silent)
        assert servers == again
        assert before == {part.name: part.pid for part in parts.status()}

    def test_the_broker_is_the_pinned_one(self, parts: Parts) -> None:
        """The jars that the broker runs from are those whose digests are kept in the checkout."""
        (classpath,) = (word for word in psutil.Process(parts.pid("kafka")).cmdline() if word.endswith("/*"))
        assert kafka.unexpected(Path(classpath).parent) is None

    def test_another_terminal_changes_nothing(self, parts: Parts) -> None:
        """Another PATH, language or terminal in the environment restarts no part."""
        before = {part.name: part.pid for part in parts.status()}
        elsewhere = environment(PATH=f"{os.environ['PATH']}:/opt/elsewhere", TERM="dumb", LANG="de_DE.UTF-8")
        Parts(parts.folder.root, environ=elsewhere).up(say=silent)
        assert before == {part.name: part.pid for part in parts.status()}

    def test_run_folders_live_side_by_side(self, servers: Endpoints, other: Parts) -> None:
        """A second run folder gets ports and data of its own."""
        mine = other.up(servers=ONE, say=silent)
        assert mine.redis_decisions_url != servers.redis_decisions_url
        with redis.Redis.from_url(mine.redis_decisions_url) as store:
            assert 0 == store.dbsize()

    def test_ports_are_remembered(self, other: Parts) -> None:
        """After a down, the next up has the same addresses."""
        first = other.up(servers=ONE, say=silent)
        other.down(say=silent)
        assert first == other.up(servers=ONE, say=silent)

    def test_a_taken_port_is_a_clear_error(self, tmp_path: Path) -> None:
        """A configured port that another process listens on is refused by number and variable."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            parts = Parts(tmp_path, environ=environment(SIDELINE_REDIS_DECISIONS_PORT=str(port)))
            with pytest.raises(Fatal, match=rf"port {port} \(SIDELINE_REDIS_DECISIONS_PORT\) is taken"):
                parts.up(servers=ONE, say=silent)
        assert [] == leftovers.find(parts.folder)

    def test_existing_servers_are_used(self, servers: Endpoints, tmp_path: Path) -> None:
        """A server that the environment names is not started, but examined."""
        url = servers.redis_decisions_url
        parts = Parts(tmp_path, environ=environment(SIDELINE_REDIS_DECISIONS_URL=url))
        try:
            assert url == parts.up(servers=("redis-decisions", "redis-gallery"), say=silent).redis_decisions_url
            seen = status(parts, "redis-decisions")
            assert ("elsewhere", True, None) == (seen.state, seen.healthy, seen.pid)
            assert "running" == status(parts, "redis-gallery").state
        finally:
            parts.down(say=silent)
        assert probes.redis(url).healthy

    def test_a_deep_folder_works(self, tmp_path: Path) -> None:
        """A path too long for a unix socket is no obstacle, and leaves nothing in the temporary folder."""
        parts = Parts(tmp_path / ("deep" * 30), environ=environment())
        parts.up(servers=ONE, say=silent)
        assert parts.folder.socket.exists()
        parts.down(say=silent)
        assert not parts.folder.socket.parent.exists()

    def test_a_failing_part_shows_its_words(self, other: Parts) -> None:
        """A server that cannot start is reported with the end of its log, not by a time-out."""
        home = other.folder.root / "redis-decisions" / "appendonlydir"
        home.mkdir(parents=True)
        (home / "appendonly.aof.manifest").write_text("this is no manifest\n")
        with pytest.raises(Fatal, match=r"(?s)redis-decisions failed.*manifest"):
            other.up(servers=ONE, say=silent)


class TestDown:
    """`Parts.down`."""

    def test_nothing_is_left(self, other: Parts) -> None:
        """It ends every process and removes the shared memory; a second call is harmless."""
        other.up(servers=("redis-decisions", "triton"), say=silent)
        assert leftovers.find(other.folder)
        regions = Path("/dev/shm")  # noqa: S108 - where Triton keeps its regions
        assert list(regions.glob(f"sideline_{other.folder.key}_*"))
        other.down(say=silent)
        other.down(say=silent)
        assert [] == leftovers.find(other.folder)
        assert [] == list(regions.glob(f"sideline_{other.folder.key}_*"))
        with pytest.raises(Fatal, match="sideline up"):
            other.endpoints()

    def test_leftovers_of_a_killed_supervisor_are_ended(self, other: Parts) -> None:
        """After a kill -9 of the supervisor itself, up ends what it left and starts anew; so does down."""
        other.up(servers=("redis-decisions", "triton"), say=silent)
        self._kill_supervisor(other)
        left = leftovers.find(other.folder)
        assert left
        other.up(servers=ONE, say=silent)
        assert not [process for process in left if leftovers.is_alive(process)]
        assert status(other, "redis-decisions").healthy
        self._kill_supervisor(other)
        other.down(say=silent)
        assert [] == leftovers.find(other.folder)

    @staticmethod
    def _kill_supervisor(parts: Parts) -> None:
        daemon = leftovers.supervisor(parts.folder)
        assert daemon is not None
        daemon.kill()
        until(lambda: not leftovers.is_alive(daemon), within_s=5)


class TestHealing:
    """What the supervisor and the watchdog do about parts that die."""

    async def test_a_killed_broker_keeps_what_it_acknowledged(
        self, parts: Parts, servers: Endpoints, unique: str
    ) -> None:
        """After kill -9 the broker is back by itself with every acknowledged record."""
        admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(unique, num_partitions=1, replication_factor=1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=servers.kafka_bootstrap, acks="all") as producer:
            await producer.send_and_wait(unique, b"kept")
        pid = parts.pid("kafka")
        parts.kill("kafka", signal.SIGKILL)
        heals(parts, "kafka", pid, within_s=30)
        async with AIOKafkaConsumer(
            unique, bootstrap_servers=servers.kafka_bootstrap, auto_offset_reset="earliest"
        ) as consumer:
            assert b"kept" == (await consumer.getone()).value

    def test_a_killed_store_keeps_what_it_acknowledged(self, parts: Parts, servers: Endpoints, unique: str) -> None:
        """After kill -9 the decision store is back by itself with every acknowledged write."""
        with redis.Redis.from_url(servers.redis_decisions_url) as store:
            store.set(unique, "kept", px=600_000)
            pid = parts.pid("redis-decisions")
            parts.kill("redis-decisions", signal.SIGKILL)
            heals(parts, "redis-decisions", pid, within_s=15)
            assert b"kept" == store.get(unique)

    def test_a_killed_triton_takes_its_stubs_along(self, parts: Parts) -> None:
        """After kill -9 amid inferences the server is back by itself, and no process of the old one remains."""
        pid = parts.pid("triton")
        stubs = psutil.Process(pid).children(recursive=True)
        assert stubs
        with asking(parts.endpoints().triton_url):
            time.sleep(0.5)
            parts.kill("triton", signal.SIGKILL)
            heals(parts, "triton", pid, within_s=20)
        assert [] == [stub for stub in stubs if leftovers.is_alive(stub)]

    def test_a_killed_stub_is_healed(self, parts: Parts) -> None:
        """Triton never starts a dead model process again and calls itself ready; the watchdog restarts the server."""
        pid = parts.pid("triton")
        psutil.Process(pid).children()[0].kill()
        heals(parts, "triton", pid, within_s=30)
        assert "restarting a part" in parts.logs("watchdog").read_text()

    def test_a_stopped_part_stays_stopped(self, other: Parts) -> None:
        """What was stopped on purpose is started by request only."""
        other.up(servers=ONE, say=silent)
        other.stop("redis-decisions")
        assert "stopped" == status(other, "redis-decisions").state
        assert other.pid("redis-decisions") is None
        with pytest.raises(Fatal, match="does not run"):
            other.kill("redis-decisions", signal.SIGTERM)
        other.start("redis-decisions")
        assert status(other, "redis-decisions").healthy

    def test_a_part_that_has_just_died_can_be_stopped(self, other: Parts) -> None:
        """For a moment it does not run, and the supervisor is about to start it again: it must not."""
        other.up(servers=ONE, say=silent)
        until(lambda: status(other, "redis-decisions").uptime_s > 6, within_s=20)  # settled: no pause first
        pid = other.pid("redis-decisions")
        assert pid is not None
        daemon = leftovers.supervisor(other.folder)
        assert daemon is not None
        stopping = threading.Thread(target=other.stop, args=["redis-decisions"])
        daemon.suspend()  # so that it learns of the death first, and of the wish to stop before it has acted on that
        try:
            os.kill(pid, signal.SIGKILL)
            stopping.start()
            time.sleep(0.5)
        finally:
            daemon.resume()
        stopping.join()
        time.sleep(1)
        assert "stopped" == status(other, "redis-decisions").state

    def test_a_frozen_part_is_seen_in_bounded_time(self, parts: Parts) -> None:
        """Servers that accept connections but do not answer are unhealthy, and asking them all takes seconds."""
        names = ("kafka", "redis-decisions")
        for name in names:
            parts.kill(name, signal.SIGSTOP)
        try:
            began = time.monotonic()
            seen = {part.name: part.healthy for part in parts.status()}
            took_s = time.monotonic() - began
        finally:
            for name in names:
                parts.kill(name, signal.SIGCONT)
        assert (False, False, True) == (seen["kafka"], seen["redis-decisions"], seen["redis-gallery"])
        assert took_s < 10
        until(lambda: all(status(parts, name).healthy for name in names), within_s=20)

    def test_an_unknown_part_is_a_clear_error(self, parts: Parts) -> None:
        """A misspelt name is answered with the names there are."""
        with pytest.raises(Fatal, match=r"no part is named redis; there are .*kafka, redis-decisions"):
            parts.logs("redis")
        with contextlib.suppress(Fatal):
            parts.kill("redis", signal.SIGKILL)
