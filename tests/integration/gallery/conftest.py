"""A Redis of each test's own, and the gallery on it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from gallery.store import GalleryStore

WITHIN_S = 10.0  # far above the second that is promised; the machine may be busy


class OwnRedis:
    """A Redis of one test, which may stop, lose everything and start again on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("redis-server is missing; install it with: apt-get install redis-server")
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen(
            [program, *arguments, "--appendonly", "yes", "--loglevel", "warning"], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + WITHIN_S
        while True:
            with contextlib.suppress(redis.RedisError), self.client() as client:
                client.ping()
                return
            assert time.monotonic() < until, "redis-server does not answer"

    def stop(self) -> None:
        """Kill the server; what the append-only file holds stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Remove the files of a stopped server."""
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Return a plain client, for doing what no one should do."""
        client = redis.Redis(port=self.port, socket_timeout=2)
        try:
            yield client
        finally:
            client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    """A running Redis of this test's own."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = OwnRedis(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def store(server: OwnRedis) -> AsyncIterator[GalleryStore]:
    """A store on it."""
    store = GalleryStore(server.url)
    yield store
    await store.close()
