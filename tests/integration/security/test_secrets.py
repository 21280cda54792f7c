"""Secrets are used and never told: not in logs at any level, not in errors, not on the pages of a worker."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.integration.budget.own_server import Server, free_port

ROOT: Final = Path(__file__).parents[3]
WORKERS: Final = ("inspector", "tracker", "curator", "settler", "herald")
PASSWORD: Final = "s3cr3t-p4ssw0rd"  # noqa: S105 - what must not be seen
SECRETS: Final = {
    "SIDELINE_AUDIT_KEY": "s3cr3t-audit",
    "SIDELINE_KAFKA_PROTOCOL": "SASL_PLAINTEXT",
    "SIDELINE_KAFKA_USERNAME": "worker",
    "SIDELINE_KAFKA_PASSWORD": "s3cr3t-kafka",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-cloud",
}
TOLD: Final = "s3cr3t"


class Worker:
    """One worker as a process of its own, with secrets in its settings."""

    def __init__(self, name: str, folder: Path, **settings: str) -> None:
        """Start it."""
        self.port = free_port()
        self._output = folder / f"{name}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SIDELINE_", "AWS_"))}
        environment |= SECRETS | {
            "SIDELINE_WORKER_NAME": name,
            "SIDELINE_DATA_DIR": str(folder / name),
            "SIDELINE_HEALTH_PORT": str(self.port),
            "SIDELINE_LOG_LEVEL": "DEBUG",
            "SIDELINE_STORE_ID": "some-store",
            "SIDELINE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
            **settings,
        }
        with self._output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"workers.{name}"], cwd=ROOT, env=environment, stdout=file, stderr=file
            )

    def pages(self, *, within_s: float = 30.0) -> str:
        """Return all of its pages once it answers; nothing if it ended instead."""
        deadline = time.monotonic() + within_s
        while self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return "".join(self._page(name) for name in ("livez", "readyz", "metrics", "", "env", "debug"))
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return ""

    def end(self) -> str:
        """Ask it to stop, if it still runs, wait for that, and return all it said."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
        return self.said()

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        return self._process.wait(30)

    def said(self) -> str:
        """Return what it wrote."""
        return self._output.read_text(encoding="utf-8")

    def _page(self, name: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=5) as page:
                return f"{page.headers}{page.read().decode()}"
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.headers}{error.read().decode()}"


class TestSecrets:
    """A worker whose stores and brokers fail it in the ways that make clients talk."""

    def test_while_the_stores_are_away(self, tmp_path: Path) -> None:
        """Whoever waits says for what, and not with which password."""
        with socket.socket() as nobody:
            # Bound, not listening: it refuses connections, and nobody else gets its port.
            nobody.bind(("127.0.0.1", 0))
            url = f"redis://worker:{PASSWORD}@127.0.0.1:{nobody.getsockname()[1]}/0"
            workers = [
                Worker(
                    name,
                    tmp_path,
                    SIDELINE_LOG_FORMAT="text",
                    SIDELINE_REDIS_DECISIONS_URL=url,
                    SIDELINE_REDIS_GALLERY_URL=url,
                )
                for name in WORKERS
            ]
            try:
                pages = [worker.pages() for worker in workers]
                deadline = time.monotonic() + 60
                while silent := [worker.said() for worker in workers if "waiting to start" not in worker.said()]:
                    assert time.monotonic() < deadline, silent
                    time.sleep(0.1)
            finally:
                said = [worker.end() for worker in workers]
        assert all("127.0.0.1" in each for each in said)
        assert [] == [each for each in (*said, *pages) if TOLD in each]

    def test_when_the_store_refuses_them(self, tmp_path: Path) -> None:
        """A wrong password ends the worker with the fix, and stays unsaid."""
        server = Server(tmp_path)
        server.start()
        url = server.url.replace("redis://", f"redis://nobody:{PASSWORD}@")
        try:
            workers = [
                Worker(
                    name,
                    tmp_path,
                    SIDELINE_LOG_FORMAT="json",
                    SIDELINE_REDIS_DECISIONS_URL=url,
                    SIDELINE_REDIS_GALLERY_URL=url,
                )
                for name in WORKERS
            ]
            ended = {worker.wait() for worker in workers}
            said = [worker.end() for worker in workers]
        finally:
            server.kill()
        assert {78} == ended
        assert all("credentials" in each for each in said)
        assert [] == [each for each in said if TOLD in each]

    def test_in_settings_that_are_wrong(self, tmp_path: Path) -> None:
        """A password with a slash in it makes a URL that nobody can read; the error names the variable alone."""
        url = f"redis://:{PASSWORD}/x@127.0.0.1:6379/0"
        worker = Worker("tracker", tmp_path, SIDELINE_REDIS_DECISIONS_URL=url)
        assert worker.wait() == 1
        said = worker.end()
        assert "SIDELINE_REDIS_DECISIONS_URL" in said
        assert TOLD not in said
