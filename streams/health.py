"""`/livez`, `/readyz` and `/metrics` from a thread of their own: they answer while the event loop is stuck, and say so.

Faust's heartbeats come from another thread too, so a wedged loop would keep its partitions for ever; what looks at
`/livez` restarts the process instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from telemetry.metrics import METRICS

TICK_EVERY_S: Final = 0.5
TICK_LIMIT_S: Final = 10.0
MAX_CONNECTIONS: Final = 16  # a few probes and scrapers; each takes a thread and a descriptor of the worker


@dataclass(slots=True)
class Health:
    """What a worker says of itself. Fields are plain values, written by the loop and read by the thread."""

    head_limit_s: float
    head_age_s: float = 0.0
    waiting_for: tuple[str, ...] = ()
    ready: bool = False
    why_not_ready: str = "starting"
    ticked_at: float = field(default_factory=time.monotonic)

    def alive(self) -> tuple[bool, str]:
        """Say whether the process can still do its work, and if not, why."""
        if (stuck_s := time.monotonic() - self.ticked_at) > TICK_LIMIT_S:
            return False, f"the event loop has not ticked for {stuck_s:.1f} s"
        if self.head_age_s > self.head_limit_s and not self.waiting_for:
            return False, f"the oldest event is {self.head_age_s:.1f} s old and nothing is away"
        return True, "alive"

    async def tick(self, observe: Callable[[], None]) -> None:
        """Mark the loop alive twice a second until cancelled; `observe` refreshes the other fields."""
        while True:
            self.ticked_at = time.monotonic()
            METRICS.loop_tick.set(time.time())
            observe()
            await asyncio.sleep(TICK_EVERY_S)


class HealthServer:
    """A small HTTP server on a thread; `port` is the one really bound."""

    def __init__(self, health: Health, *, host: str, port: int) -> None:
        """Bind at once, so that a taken port fails the start and not the first probe."""
        self._server = _BoundedServer((host, port), _handler_for(health))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Serve until the process ends or `stop` is called."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    """Serves a bounded number of clients: one more, and whoever has been there longest is hung up on.

    So clients that say nothing, or a byte now and then, keep nobody out and take nothing from the worker.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        """Bind."""
        self._connections: dict[int, socket.socket] = {}  # by identity, oldest first
        self._guard = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Answer a client in a thread, after making room for it."""
        with self._guard:
            if len(self._connections) >= MAX_CONNECTIONS:
                oldest = self._connections.pop(next(iter(self._connections)))
                with contextlib.suppress(OSError):  # it has just left by itself
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes
            self._connections[id(request)] = request
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - same
        """Forget a client and close its connection."""
        with self._guard:
            self._connections.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - same
        """Stay silent: a client that hangs up in the middle is not news, and would write our log."""


def _handler_for(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Three pages, GET only."""

        timeout = 5  # seconds; a client that says nothing does not keep a thread
        server_version, sys_version = "sideline", ""  # which Python it is helps only those who look for its holes

        def do_GET(self) -> None:
            """Answer a probe or a scrape."""
            if self.path == "/metrics":
                self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/livez":
                alive, why = health.alive()
                self._answer_json(alive, why)
            elif self.path == "/readyz":
                self._answer_json(health.ready and not health.waiting_for, health.why_not_ready)
            else:
                self._answer(404, b"pages: /livez /readyz /metrics\n", "text/plain")

        def _answer_json(self, well: bool, why: str) -> None:
            body = {
                "ok": well,
                "why": "" if well else why,
                "waiting_for": list(health.waiting_for),
                "head_age_s": round(health.head_age_s, 3),
            }
            self._answer(200 if well else 503, json.dumps(body).encode() + b"\n", "application/json")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Stay silent: probes are not news."""

    return Handler
