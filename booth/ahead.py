"""Rendering ahead, in a process of its own, so that neither pacing nor the event loop waits for a picture."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from booth.turns import Goods
from booth.world import Picture, PlannedScan, Truth
from schemas.messages import View
from schemas.words import ViewKind


@dataclass(frozen=True, slots=True)
class Ready:
    """A shot whose pictures lie on disk."""

    index: int
    views: tuple[View, ...]
    truth: Truth
    scan: PlannedScan | None
    unit_id: str
    line: str
    station: str


async def ready_shots(world: Goods, folder: Path, *, count: int | None, depth: int = 48) -> AsyncGenerator[Ready, None]:
    """Yield the world's shots in order, rendered up to `depth` ahead; without end where `count` is None.

    The process ends with this generator, also when it is cancelled, and by itself if this process is killed.
    """
    loop = asyncio.get_running_loop()
    pool = ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_enter, initargs=(world, folder, os.getpid())
    )
    waiting: deque[asyncio.Future[Ready]] = deque()
    try:
        indices = iter(range(count)) if count is not None else itertools.count()
        for index in indices:
            waiting.append(loop.run_in_executor(pool, _shoot, index))
            if len(waiting) >= depth:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(wait=False, cancel_futures=True)


def store(picture: Picture, folder: Path) -> View:
    """Write a picture under the name of its content, whole or not at all, and return the view that refers to it.

    The same picture has the same name, so playing a seed again writes nothing, and no name ever changes its content.
    """
    return _keep(picture.jpeg, ".jpg", ViewKind.RGB, picture.camera_id, folder)


def store_views(pictures: Iterable[Picture], folder: Path) -> tuple[View, ...]:
    """Write pictures and what their cameras measured; a depth view follows the picture of the same camera."""
    views: list[View] = []
    for picture in pictures:
        views.append(store(picture, folder))
        if picture.depth_png is not None:
            views.append(_keep(picture.depth_png, ".png", ViewKind.DEPTH, picture.camera_id, folder))
    return tuple(views)


def _keep(data: bytes, suffix: str, kind: ViewKind, camera_id: str, folder: Path) -> View:
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest[:2] / f"{digest}{suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        unfinished.write_bytes(data)
        unfinished.replace(path)
    return View(uri=path.absolute().as_uri(), sha256=digest, size=len(data), kind=kind, camera_id=camera_id)


_studio: list[tuple[Goods, Path]] = []  # of the rendering process: its one world and where pictures go


def _enter(world: Goods, folder: Path, parent: int) -> None:
    """Prepare the process: one thread, lower priority, Ctrl-C left to the parent, no life after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    _studio.append((world, folder))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _shoot(index: int) -> Ready:
    world, folder = _studio[0]
    shot = world.shot(index)
    views = store_views(shot.pictures, folder)
    return Ready(index, views, shot.truth, shot.scan, shot.unit_id, shot.line, shot.station)
