"""Circuit breakers, one per dependency: while one is open, admission pauses and held events wait in words.

A breaker opens on the first `Retryable` of its dependency and closes when the dependency's own probe succeeds, so no
capture is spent on finding out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from schemas.faults import Retryable
from telemetry.metrics import METRICS

Probe = Callable[[], Awaitable[None]]
PROBE_EVERY_S: Final = 0.25
PROBE_LIMIT_S: Final = 3.0
SELF: Final = "self"  # opens when too many well-formed events fail for our own reasons, closes after a rest
SELF_REST_S: Final = 30.0
OUTAGES_KEPT: Final = 100
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outage:
    """One time a dependency was away. Unix milliseconds; `until_ms` is None while it lasts."""

    dependency: str
    since_ms: int
    until_ms: int | None = None


class Breakers:
    """The breakers of one worker, and the gate that is open only while all of them are closed."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        """Take a probe for each dependency; a probe returns when the dependency works and raises when not."""
        self._probes = {**probes, SELF: self._rest}
        self._closed = {name: asyncio.Event() for name in self._probes}
        self._outages: deque[Outage] = deque(maxlen=OUTAGES_KEPT)
        self._rest_since: float | None = None
        self.well_since = 0.0  # monotonic time at which the last outage ended
        self._probing: dict[str, asyncio.Task[None]] = {}
        for name, event in self._closed.items():
            event.set()
            METRICS.breaker_open.labels(dependency=name).set(0)
            METRICS.breaker_opened.labels(dependency=name)  # from 0 on, so that the first rise is seen

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

    def away_between(self, from_ms: int, to_ms: int) -> str | None:
        """Name a dependency that was away at some time between two Unix times in milliseconds, if any was."""
        for outage in self._outages:
            if outage.since_ms <= to_ms and (outage.until_ms is None or outage.until_ms >= from_ms):
                return outage.dependency
        return None

    async def _rest(self) -> None:
        """Probe of the breaker `self`: well again after a rest, whatever was wrong."""
        now = time.monotonic()
        if self._rest_since is None:
            self._rest_since = now
        if now - self._rest_since < SELF_REST_S:
            raise Retryable(SELF, "resting after too many failures of our own")
        self._rest_since = None

    async def _probe_until_well(self, name: str) -> None:
        started = time.monotonic()
        self._outages.append(outage := Outage(name, round(time.time() * 1000)))
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
            with contextlib.suppress(ValueError):  # it may have been pushed out by newer ones
                self._outages[self._outages.index(outage)] = replace(outage, until_ms=round(time.time() * 1000))
            self.well_since = time.monotonic()
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
