"""Circuit breakers, one per dependency: while one is open, admission pauses and held events wait in words.

A breaker opens on the first `Retryable` of its dependency and closes when the dependency's own probe succeeds, so no
capture is spent on finding out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from schemas.faults import Retryable
from telemetry.metrics import METRICS

Probe = Callable[[], Awaitable[None]]
PROBE_EVERY_S: Final = 0.25
PROBE_LIMIT_S: Final = 3.0
log = structlog.get_logger(__name__)


class Breakers:
    """The breakers of one worker, and the gate that is open only while all of them are closed."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        """Take a probe for each dependency; a probe returns when the dependency works and raises when not."""
        self._probes = dict(probes)
        self._closed = {name: asyncio.Event() for name in probes}
        self._probing: dict[str, asyncio.Task[None]] = {}
        for name, event in self._closed.items():
            event.set()
            METRICS.breaker_open.labels(dependency=name).set(0)

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Names of the dependencies that are away now."""
        return tuple(name for name, event in self._closed.items() if not event.is_set())

    def trip(self, error: Retryable) -> None:
        """Open the breaker of the error's dependency and start probing it."""
        name = error.dependency
        closed = self._closed.get(name)
        if closed is None:
            raise ValueError(f"no breaker guards {name!r}") from error
        if not closed.is_set():
            return
        closed.clear()
        METRICS.breaker_open.labels(dependency=name).set(1)
        METRICS.breaker_opened.labels(dependency=name).inc()
        log.warning("breaker opened", dependency=name, error=str(error))
        self._probing[name] = asyncio.create_task(self._probe_until_well(name), name=f"probe {name}")

    async def all_closed(self) -> None:
        """Wait until every dependency works."""
        while waiting := [event for event in self._closed.values() if not event.is_set()]:
            await waiting[0].wait()

    async def _probe_until_well(self, name: str) -> None:
        started = time.monotonic()
        last = ""
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                async with asyncio.timeout(PROBE_LIMIT_S):
                    await self._probes[name]()
            except Exception as error:  # noqa: BLE001 - a probe may fail in any way; each failure means "still away"
                if str(error) != last:
                    last = str(error)
                    log.warning("still waiting", dependency=name, error=last)
                continue
            self._closed[name].set()
            METRICS.breaker_open.labels(dependency=name).set(0)
            log.info("breaker closed", dependency=name, away_s=round(time.monotonic() - started, 1))
            return

    async def close(self) -> None:
        """Stop probing."""
        for task in self._probing.values():
            task.cancel()
        for task in self._probing.values():
            with contextlib.suppress(asyncio.CancelledError):
                await task
