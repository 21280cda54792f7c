"""Health is answered from a thread, so that a stuck event loop is seen and not waited for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

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
