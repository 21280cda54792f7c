"""How each fault is done to a running line, and undone."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import psutil
import redis.asyncio as redis

from cli.restore import restore_site
from deploy.local.line import WATCHDOG
from tests.chaos.faults import Fault, Kind
from tests.chaos.stage import INSPECTORS, Stage
from tests.chaos.traffic import Traffic

SLOW_S: Final = 0.25  # added to each exchange, each way
GIVE_UP_WITHIN_S: Final = 60.0
FULL_WITHIN_S: Final = 8.0
_ROOM: Final = 600  # bytes that a file may still grow before the disk is full
_RESTORED_BY: Final = ("tracker", "curator", "settler", *INSPECTORS)
Act = Callable[["Hands", Fault], Awaitable[None]]


class Hands:
    """Does faults to one line."""

    def __init__(self, stage: Stage, traffic: Traffic, site: str) -> None:
        """Take the line, what sends events to it, and the site that is judged."""
        self.stage = stage
        self.traffic = traffic
        self.site = site
        self.restored: list[int] = []  # seq after which the store was rebuilt

    async def do(self, fault: Fault) -> None:
        """Let a fault happen, last, and be over."""
        await _ACTS[fault.kind](self, fault)

    def victim(self, fault: Fault) -> str:
        """Return the inspector that it hits."""
        return INSPECTORS[int(fault.draw * len(INSPECTORS))]


async def _kill_inspector(hands: Hands, fault: Fault) -> None:
    await hands.stage.signal(hands.victim(fault), signal.SIGKILL)


def _kill(part: str) -> Act:
    async def act(hands: Hands, _fault: Fault) -> None:
        await hands.stage.signal(part, signal.SIGKILL)

    return act


def _freeze(part: str) -> Act:
    async def act(hands: Hands, fault: Fault) -> None:
        async with _frozen(hands.stage, part):
            await asyncio.sleep(fault.lasts_s)

    return act


async def _freeze_inspector(hands: Hands, fault: Fault) -> None:
    async with _frozen(hands.stage, hands.victim(fault)):
        await asyncio.sleep(fault.lasts_s)


async def _zombie(hands: Hands, fault: Fault) -> None:
    """Freeze an inspector until others have its partitions; the watchdog, which would end it, looks away."""
    await asyncio.to_thread(hands.stage.parts.stop, WATCHDOG)
    try:
        async with _frozen(hands.stage, hands.victim(fault)):
            await asyncio.sleep(fault.lasts_s)
    finally:
        await asyncio.to_thread(hands.stage.parts.start, WATCHDOG)


@contextlib.asynccontextmanager
async def _frozen(stage: Stage, part: str) -> AsyncIterator[None]:
    process = await asyncio.to_thread(stage.process, part)
    if process is None:
        yield
        return
    with contextlib.suppress(psutil.Error):
        process.suspend()
    try:
        yield
    finally:
        with contextlib.suppress(psutil.Error):
            process.resume()


async def _rolling_restart(hands: Hands, _fault: Fault) -> None:
    for name in INSPECTORS:
        await asyncio.to_thread(hands.stage.parts.restart, name)
        await hands.stage.ready(name)


async def _join(hands: Hands, fault: Fault) -> None:
    """Let two more inspectors join, work a while, and leave. Of four partitions a third alone would get none."""
    stage = hands.stage
    start = stage.parts.start_workers
    try:
        await asyncio.to_thread(start, inspectors=4, env=dict(stage.env), say=lambda _words: None)
        await asyncio.sleep(fault.lasts_s)
    finally:
        await asyncio.to_thread(start, inspectors=2, env=dict(stage.env), say=lambda _words: None)


def _slow(proxy: str) -> Act:
    async def act(hands: Hands, fault: Fault) -> None:
        through = getattr(hands.stage, proxy)
        through.delay_s = SLOW_S
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            through.flow()

    return act


def _hang(proxy: str) -> Act:
    async def act(hands: Hands, fault: Fault) -> None:
        through = getattr(hands.stage, proxy)
        through.hang()
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            through.flow()

    return act


async def _kill_stub(hands: Hands, fault: Fault) -> None:
    server = await asyncio.to_thread(hands.stage.process, "triton")
    if server is None:
        return
    with contextlib.suppress(psutil.Error):
        stubs = server.children()
        if stubs:
            stubs[int(fault.draw * len(stubs))].kill()


def _full(part: str, files: Callable[[Stage], list[Path]]) -> Act:
    """Let no file of a part grow: writes are cut short and then refused, as on a full disk.

    A server that cannot keep its promises without its disk ends, and is started with room again by the supervisor; one
    that lives on has room again after a while.
    """

    async def act(hands: Hands, _fault: Fault) -> None:
        process = await asyncio.to_thread(hands.stage.process, part)
        if process is None:
            return
        largest = max((file.stat().st_size for file in files(hands.stage)), default=0)
        with contextlib.suppress(psutil.Error):
            process.rlimit(resource.RLIMIT_FSIZE, (largest + _ROOM, resource.RLIM_INFINITY))
            deadline = asyncio.get_running_loop().time() + FULL_WITHIN_S
            while process.is_running() and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.1)
            process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    return act


def _append_only_files(stage: Stage) -> list[Path]:
    return list((stage.parts.folder.root / "redis-decisions").rglob("*.aof"))


async def _inspector_full(hands: Hands, fault: Fault) -> None:
    process = await asyncio.to_thread(hands.stage.process, hands.victim(fault))
    if process is None:
        return
    with contextlib.suppress(psutil.Error):
        process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(fault.lasts_s)
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def _lose_store(hands: Hands, _fault: Fault) -> None:
    """Delete everything in the decision store; see that nobody decides; restore it as an operator would."""
    stage = hands.stage
    client = redis.from_url(stage.line.endpoints.redis_decisions_url)
    try:
        await client.flushall()
    finally:
        await client.aclose()
    deadline = asyncio.get_running_loop().time() + GIVE_UP_WITHIN_S
    while True:
        states = {part.name: part.state for part in await asyncio.to_thread(stage.parts.status)}
        if all(states[name] == "failed" for name in INSPECTORS):
            break
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"inspectors went on {GIVE_UP_WITHIN_S:g} s after their store was lost: {states}")
        await asyncio.sleep(0.3)
    for site, lines in stage.sites.items():
        restored = await restore_site(stage.line, site, lines)
        if site == hands.site:
            hands.restored.append(restored.seq)
    await stage.configure()
    hands.traffic.forget_recent()
    for name in _RESTORED_BY:
        await asyncio.to_thread(stage.parts.restart, name)
    await stage.ready()


async def _duplicates(hands: Hands, fault: Fault) -> None:
    await hands.traffic.resend(5 + int(fault.draw * 20))


async def _reordered(hands: Hands, fault: Fault) -> None:
    await hands.traffic.resend(5 + int(fault.draw * 20), backwards=True)


async def _clock_step(hands: Hands, fault: Fault) -> None:
    await hands.traffic.from_other_times(fault.draw)


async def _reused_ids(hands: Hands, fault: Fault) -> None:
    await hands.traffic.reuse_ids(2 + int(fault.draw * 5))


async def _garbage(hands: Hands, fault: Fault) -> None:
    await hands.traffic.garbage(5 + int(fault.draw * 20), seed=fault.number)


_ACTS: Final[dict[Kind, Act]] = {
    Kind.INSPECTOR_KILL: _kill_inspector,
    Kind.INSPECTOR_FREEZE: _freeze_inspector,
    Kind.INSPECTOR_ZOMBIE: _zombie,
    Kind.INSPECTOR_DISK_FULL: _inspector_full,
    Kind.ROLLING_RESTART: _rolling_restart,
    Kind.WORKER_JOINS: _join,
    Kind.TRACKER_KILL: _kill("tracker"),
    Kind.CURATOR_KILL: _kill("curator"),
    Kind.SETTLER_KILL: _kill("settler"),
    Kind.KAFKA_KILL: _kill("kafka"),
    Kind.KAFKA_FREEZE: _freeze("kafka"),
    Kind.KAFKA_DISK_FULL: _full("kafka", lambda _stage: []),
    Kind.REDIS_KILL: _kill("redis-decisions"),
    Kind.REDIS_FREEZE: _freeze("redis-decisions"),
    Kind.REDIS_SLOW: _slow("store"),
    Kind.REDIS_HANG: _hang("store"),
    Kind.REDIS_DISK_FULL: _full("redis-decisions", _append_only_files),
    Kind.GALLERY_KILL: _kill("redis-gallery"),
    Kind.STORE_LOST: _lose_store,
    Kind.TRITON_KILL: _kill("triton"),
    Kind.TRITON_SLOW: _slow("triton"),
    Kind.TRITON_HANG: _hang("triton"),
    Kind.STUB_KILL: _kill_stub,
    Kind.IMAGES_SLOW: _slow("images"),
    Kind.IMAGES_HANG: _hang("images"),
    Kind.DUPLICATES: _duplicates,
    Kind.REORDERED: _reordered,
    Kind.CLOCK_STEP: _clock_step,
    Kind.REUSED_IDS: _reused_ids,
    Kind.GARBAGE: _garbage,
}
