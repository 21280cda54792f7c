"""What every worker process does besides its work: start, be watched, give up partitions in order, stop in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import structlog

from schemas.faults import Fatal, Retryable
from settings.line import Settings
from streams import faust_edge
from streams.breakers import Breakers
from streams.fault_points import FaultPoint, arm, reach
from streams.health import Health, HealthServer
from streams.window import Burier, Handler, Limits, Window
from telemetry import logs
from telemetry.metrics import METRICS

STOP_LIMIT_S: Final = 4.5  # after this the process ends whatever hangs; nothing is lost, only delivered again
OUTDATED_EVERY_S: Final = 2.0
EXIT_FATAL: Final = 78  # EX_CONFIG of sysexits.h: starting again will not help until somebody mends the installation
EXIT_RETRY: Final = 75  # EX_TEMPFAIL: a fresh start is the way on
log = structlog.get_logger(__name__)


async def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker works on."""

    group: str
    entity: str
    topics: Sequence[str]
    handle: Handler
    bury: Burier
    breakers: Breakers
    limits: Limits
    head_limit_s: float  # a started event older than this, with nothing away, means the process is stuck
    observe: Callable[[], None] = lambda: None  # refreshes gauges, twice a second
    outdated: Callable[[], Awaitable[bool]] = _never  # true once the process should start again, as sites changed
    background: Sequence[Callable[[], Coroutine[None, None, None]]] = field(
        default_factory=tuple
    )  # run beside the work


Opening = Callable[[Settings], AbstractAsyncContextManager[Job]]


def main(name: str, opening: Opening) -> None:
    """Run a worker until a signal, an outdated list of sites, or an error no waiting can mend."""
    try:
        settings = Settings()
    except Fatal as error:
        sys.exit(f"{name}: {error}")
    logs.configure(form=settings.log_format, level=settings.log_level, worker=settings.worker_name)
    try:
        arm(settings.fault_point, data_dir=settings.data_dir, worker=settings.worker_name)
        code = asyncio.run(_serve(name, settings, opening))
    except Fatal as fatal:
        log.error("cannot work", error=str(fatal))  # noqa: TRY400 - the message names the fix, a traceback would hide it
        code = EXIT_FATAL
    except Retryable as away:
        log.error("stopping to start afresh", dependency=away.dependency, error=str(away))  # noqa: TRY400 - same
        code = EXIT_RETRY
    sys.exit(code)


async def _serve(name: str, settings: Settings, opening: Opening) -> int:
    health = Health(head_limit_s=float("inf"))
    server = HealthServer(health, host=settings.health_host, port=settings.health_port)
    server.start()
    log.info("starting", part=name, health_port=server.port)
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    ticking = asyncio.create_task(health.tick(lambda: None), name="tick")
    try:
        async with contextlib.AsyncExitStack() as stack:
            job = await _open(stack, settings, opening, stopping, health)
            if job is None:
                return 0
            ticking.cancel()
            return await _work(job, settings, health, stopping)
    finally:
        ticking.cancel()
        server.stop()


async def _open(
    stack: contextlib.AsyncExitStack, settings: Settings, opening: Opening, stopping: asyncio.Event, health: Health
) -> Job | None:
    """Open what the job needs, waiting for dependencies that are away; None if told to stop meanwhile."""
    while not stopping.is_set():
        entering = asyncio.create_task(stack.enter_async_context(opening(settings)))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([entering, told], return_when=asyncio.FIRST_COMPLETED)
            if not entering.done():  # told to stop while it waited, for a first site perhaps
                entering.cancel()
                await asyncio.gather(entering, return_exceptions=True)
                return None
            return entering.result()
        except Retryable as away:
            health.waiting_for, health.why_not_ready = (away.dependency,), str(away)
            log.warning("waiting to start", dependency=away.dependency, error=str(away))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)
        finally:
            told.cancel()
    return None


def _stop_on_signals(stopping: asyncio.Event) -> None:
    def on_signal() -> None:
        if not stopping.is_set():
            log.info("asked to stop")
            guard = threading.Timer(STOP_LIMIT_S, os._exit, (1,))
            guard.daemon = True
            guard.start()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def _work(job: Job, settings: Settings, health: Health, stopping: asyncio.Event) -> int:
    """Consume until something says stop, then stop in order."""
    breakers = job.breakers
    window = Window(entity=job.entity, handle=job.handle, bury=job.bury, breakers=breakers, limits=job.limits)
    app = faust_edge.build(
        settings,
        group=job.group,
        topics=job.topics,
        deliver=window.offer,
        revoke=lambda partitions: window.revoke(partitions, limit_s=faust_edge.DRAIN_LIMIT_S),
        assign=window.assign,
    )
    health.head_limit_s = job.head_limit_s

    def observe() -> None:
        health.waiting_for = breakers.waiting_for
        health.head_age_s = window.head_age_s()
        health.ready = app.is_member
        health.why_not_ready = "" if health.ready else "its group is being put together"
        METRICS.in_work.set(window.in_work)
        METRICS.parked.set(window.parked)
        METRICS.head_age.set(health.head_age_s)
        job.observe()

    async def wait_until_outdated() -> None:
        while not await job.outdated():  # noqa: ASYNC110 - the registry has no event to wait for
            await asyncio.sleep(OUTDATED_EVERY_S)
        log.info("the list of sites changed: starting again")

    async def wait_for_fatal() -> None:
        raise await asyncio.shield(window.fatal)

    async def wait_for_crash() -> None:
        raise Retryable("kafka", f"the consumer stopped: {await faust_edge.crashed(app)!r}")

    async def wait_for_signal() -> None:
        await stopping.wait()

    endings = [wait_for_signal, wait_until_outdated, wait_for_fatal, wait_for_crash]
    async with _tasks([health.tick(observe), *(run() for run in job.background)]) as beside:
        await app.start()
        tasks = [asyncio.create_task(ending()) for ending in endings]
        try:
            done, _ = await asyncio.wait([*tasks, *beside], return_when=asyncio.FIRST_COMPLETED)
        finally:
            health.ready, health.why_not_ready = False, "stopping"
            await _stop(app, window, breakers, tasks)
        for task in done:
            task.result()  # raises what ended the work, if anything did
    log.info("stopped")
    return 0


async def _stop(app: faust_edge.App, window: Window, breakers: Breakers, tasks: Sequence[asyncio.Task[None]]) -> None:
    reach(FaultPoint.STOPPING)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await window.revoke(limit_s=faust_edge.DRAIN_LIMIT_S)
    await window.close()
    await breakers.close()
    reach(FaultPoint.STOPPED)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(faust_edge.DRAIN_LIMIT_S):
            await faust_edge.stop(app)


@contextlib.asynccontextmanager
async def _tasks(runs: Sequence[Coroutine[None, None, None]]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
