"""A Redis for this folder, and the bench on it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from evidence.calibration import DEFAULT_PATH, Calibration
from streams import breakers
from tests.chaos.core.schedule import Bench
from tests.integration.budget.own_server import Server

CHECKOUT = Path(__file__).parents[3]
Opener = Callable[[], Awaitable[Bench]]


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a redis-server of this folder's own is. It writes nothing to disk: here only processes die."""
    server = Server(tmp_path_factory.mktemp("redis"))
    server.command += ["--appendonly", "no"]
    server.start()
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                    break
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.02)
        yield server.url
    finally:
        server.kill()


@pytest.fixture
async def open_bench(store_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opener]:
    """Make benches on the real store; what is well again at once is noticed at once."""
    monkeypatch.setattr(breakers, "PROBE_EVERY_S", 0.0)
    calibration = await asyncio.to_thread(Calibration.load, CHECKOUT / DEFAULT_PATH)
    opened: list[Bench] = []

    async def opener() -> Bench:
        opened.append(await Bench.open(store_url, calibration))
        return opened[-1]

    yield opener
    for bench in opened:
        await bench.close()
