"""Health is answered from a thread, so that a stuck event loop is seen and not waited for."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from settings.line import Settings
from streams import health
from streams.health import Health, HealthServer


@pytest.fixture
def well() -> Health:
    """Return the health of a worker that is ready and has just ticked."""
    return Health(head_limit_s=5.0, ready=True, why_not_ready="")


@pytest.fixture
def server(well: Health) -> Iterator[HealthServer]:
    """Serve it on a free port."""
    serving = HealthServer(well, host="127.0.0.1", port=0)
    serving.start()
    yield serving
    serving.stop()


def ask(server: HealthServer, page: str) -> tuple[int, str]:
    """Return status and body of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class TestPages:
    """What probes and scrapers see."""

    def test_a_working_worker_is_alive_and_ready(self, server: HealthServer) -> None:
        """Both probes answer 200."""
        assert ask(server, "/livez")[0] == 200
        assert ask(server, "/readyz")[0] == 200

    def test_a_stuck_loop_is_not_alive(self, server: HealthServer, well: Health) -> None:
        """Without a tick for longer than the limit the worker is to be restarted, and says why."""
        well.ticked_at = time.monotonic() - health.TICK_LIMIT_S - 1
        status, body = ask(server, "/livez")
        assert status == 503
        assert "has not ticked" in json.loads(body)["why"]

    def test_an_old_head_is_a_stuck_worker_only_when_nothing_is_away(self, server: HealthServer, well: Health) -> None:
        """While a dependency is away, old events are its fault: restarting the worker would not help."""
        well.head_age_s = 60.0
        assert ask(server, "/livez")[0] == 503
        well.waiting_for = ("redis",)
        assert ask(server, "/livez")[0] == 200

    def test_a_worker_that_waits_is_not_ready_and_names_what_it_waits_for(
        self, server: HealthServer, well: Health
    ) -> None:
        """Readiness tells load balancers and people alike."""
        well.waiting_for = ("triton",)
        status, body = ask(server, "/readyz")
        assert status == 503
        assert json.loads(body)["waiting_for"] == ["triton"]

    def test_metrics_are_served_and_other_pages_are_not(self, server: HealthServer) -> None:
        """A scraper finds our metrics; anything else is 404."""
        assert "sideline_ledger_head_age_seconds" in ask(server, "/metrics")[1]
        assert ask(server, "/../etc/passwd")[0] == 404


class TestTick:
    """The loop marks itself alive."""

    async def test_a_blocked_loop_stops_ticking_and_the_thread_still_answers(
        self, server: HealthServer, well: Health, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The page is answered with 503 while the loop is blocked, not after it."""
        monkeypatch.setattr(health, "TICK_LIMIT_S", 0.2)
        ticking = asyncio.create_task(well.tick(lambda: None))
        await asyncio.sleep(0)
        seen: list[int] = []

        def probe() -> None:
            deadline = time.monotonic() + 5
            while not seen and time.monotonic() < deadline:
                if (status := ask(server, "/livez")[0]) == 503:
                    seen.append(status)

        thread = threading.Thread(target=probe)
        thread.start()
        thread.join()  # blocks the loop, on purpose
        ticking.cancel()
        assert seen == [503]


class TestStrangers:
    """Clients that are no probes: the pages are open to whoever reaches the port."""

    def test_the_port_is_closed_to_other_machines_unless_it_is_opened(self) -> None:
        """The setting's own value is loopback."""
        assert ipaddress.ip_address(Settings.model_fields["health_host"].default).is_loopback

    @pytest.mark.parametrize(
        "request_line",
        [
            b"GET / HTTP/1.0",
            b"GET /metrics/../../etc/passwd HTTP/1.0",
            b"GET /metrics%00 HTTP/1.0",
            b"GET http://169.254.169.254/metrics HTTP/1.0",
            b"HEAD /metrics HTTP/1.0",
            b"POST /livez HTTP/1.0\r\nContent-Length: 5",
            b"DELETE /livez HTTP/1.0",
            b"CONNECT example.com:443 HTTP/1.0",
            b"GET /livez HTTP/9.9",
            b"GET " + b"/" * 70_000 + b" HTTP/1.0",
            b"GET /livez HTTP/1.0\r\nX: " + b"x" * 70_000,
            b"GET /livez HTTP/1.0" + b"\r\nX: x" * 200,
            b"\x16\x03\x01\x02\x00\x01\x00",
        ],
        ids=lambda raw: ascii(raw[:24]),
    )
    def test_only_three_pages_are_answered(self, server: HealthServer, request_line: bytes) -> None:
        """Other paths, methods, versions and sizes are refused without a word about the machine."""
        answer = say(server, request_line + b"\r\n\r\n")
        head = answer.split(b"\r\n")[0]
        assert not head.startswith(b"HTTP/") or int(head.split()[1]) in range(400, 600)
        assert b"Python" not in answer
        assert b"sideline_" not in answer

    def test_clients_that_do_not_leave_keep_nobody_out(self, server: HealthServer) -> None:
        """A hundred half requests take no more threads than allowed, and a probe is answered at once."""
        before = threading.active_count()
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        for number, each in enumerate(slow):
            with contextlib.suppress(ConnectionError):  # hung up on already
                each.sendall(b"GET /livez HTTP/1.0\r\nX-%d: " % number)
        started = time.monotonic()
        assert ask(server, "/livez")[0] == 200
        assert time.monotonic() - started < 2.0
        while (threads := threading.active_count() - before) > health.MAX_CONNECTIONS:
            assert time.monotonic() - started < 5.0, f"{threads} threads"
        for each in slow:
            each.close()

    def test_clients_that_hang_up_write_no_log(self, server: HealthServer, capfd: pytest.CaptureFixture[str]) -> None:
        """A reset connection is not news."""
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert ask(server, "/livez")[0] == 200
        assert capfd.readouterr().err == ""


def say(server: HealthServer, raw: bytes) -> bytes:
    """Send bytes, hang up, and return all that is answered."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65_536):
            answer += piece
    return answer
