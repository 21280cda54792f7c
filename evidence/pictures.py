"""A pool of processes for picture work: what hostile or broken pictures do there costs only their own capture.

Processes are started fresh (exec, not fork: gRPC and Kafka threads live in the parent), may use a stated amount of
memory and time, and are killed and replaced beyond it. The standard library's pools break whole when one process dies.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from evidence.code_reader import QUICK, Effort
from evidence.codes import Code
from evidence.picture_work import Done, Job, Refused, Reply, pixels_of
from schemas.faults import Fatal, Poison, Reason, Retryable

SUSPECT_S: Final = 60.0
_START_S: Final = 60.0  # importing the libraries takes 0.3 s on an idle machine
_ROOT: Final = Path(__file__).resolve().parent.parent
# All that a process working on strangers' bytes is told of the world: no credentials.
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The RGB views of a capture, ready for the models.

    `pixels` uint8[N, 224, 224, 5], one row per picture as `evidence.frame` makes it; `views[i]` is the index of row i
    in the capture's views, `sizes[i]` its upright (width, height) in full; `codes` are those found in any of them.
    """

    pixels: NDArray[np.uint8]
    views: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    codes: tuple[Code, ...]
    depth_faults: int = 0  # depth views that could not be read


class PicturePool:
    """Bounded picture work: at most `processes` pictures at a time, the others wait for their turn.

    `timeout_s` limits the work on one picture, waiting not counted; `memory_mib` is what a picture may use on top of
    what the libraries take. Processes start when they are first needed.

    A source whose picture had to be killed is a suspect for `SUSPECT_S`. All suspects share one process, so that with
    two and more the pictures of the others never wait for theirs.
    """

    def __init__(self, *, processes: int, timeout_s: float, memory_mib: int) -> None:
        self._seats = [_Seat(timeout_s=timeout_s, memory_mib=memory_mib) for _ in range(processes)]
        self._free: asyncio.LifoQueue[_Seat] = asyncio.LifoQueue()  # last in, first out: keep few processes warm
        for seat in reversed(self._seats):
            self._free.put_nowait(seat)
        self._running: set[asyncio.Task[Done]] = set()
        self._suspects: dict[str, float] = {}  # source -> until when, monotonic
        self._narrow = asyncio.Semaphore(1)

    @property
    def processes(self) -> int:
        """How many pictures are worked on at once, at most."""
        return len(self._seats)

    def is_suspect(self, source: str) -> bool:
        """Tell whether a picture of this source had to be killed a short while ago."""
        return self._suspects.get(source, 0.0) > time.monotonic()

    async def prepare(
        self,
        raw: Sequence[tuple[int, bytes]],
        *,
        depth: Mapping[int, bytes] = MappingProxyType({}),
        want_codes: bool = True,
        effort: Effort = QUICK,
        source: str = "",
    ) -> Prepared:
        """Decode, frame and read the pictures of one capture, each given with its index in the capture's views.

        `depth` holds the depth views' bytes by the index of the picture they belong to; one that cannot be read is
        logged and left out. `effort` is how much time the codes may take. `source` says who is to blame for them.

        Raises:
            Poison: `not_an_image`, `too_many_pixels`, or `picture_killed` for work beyond the time or memory limit; of
                several bad pictures the first in order counts.
            Retryable: `pictures`, when the pool is closing.
            Fatal: a process does not start.
        """
        jobs = [Job(view, data, effort if want_codes else None, depth.get(view)) for view, data in raw]
        answers = await asyncio.gather(*(self._ask(job, source) for job in jobs), return_exceptions=True)
        done: list[Done] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            done.append(answer)
        for job, each in zip(jobs, done, strict=True):
            if each.depth_fault:
                _log.warning("depth left out", view=job.view, why=each.depth_fault)
        return Prepared(
            pixels=np.stack([pixels_of(each) for each in done]),
            views=tuple(job.view for job in jobs),
            sizes=tuple((each.width, each.height) for each in done),
            codes=tuple(code for each in done for code in each.codes),
            depth_faults=sum(bool(each.depth_fault) for each in done),
        )

    async def close(self) -> None:
        """End all processes. Work in hand fails with `Retryable`."""
        await asyncio.gather(*(seat.close() for seat in self._seats))
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _ask(self, job: Job, source: str) -> Done:
        """Wait for a free seat and work there. A caller who gives up leaves the seat to finish or be killed."""
        is_suspect = self.is_suspect(source)
        if is_suspect:
            await self._narrow.acquire()
        try:
            seat = await self._free.get()
        except asyncio.CancelledError:
            if is_suspect:
                self._narrow.release()
            raise
        task = asyncio.create_task(self._serve(seat, job, source, is_suspect=is_suspect))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def _serve(self, seat: _Seat, job: Job, source: str, *, is_suspect: bool) -> Done:
        try:
            reply = await seat.ask(job)
        except Poison:  # killed
            if source:  # without a name nobody is to blame, and everybody would be
                self._suspects[source] = time.monotonic() + SUSPECT_S
            raise
        finally:
            self._free.put_nowait(seat)
            if is_suspect:
                self._narrow.release()
        if isinstance(reply, Refused):
            raise Poison(reply.reason, f"view {job.view}: {reply.message}")
        return reply

    def _finished(self, task: asyncio.Task[Done]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it any more


class _Seat:
    """A place in the pool: at most one process, replaced when it dies."""

    def __init__(self, *, timeout_s: float, memory_mib: int) -> None:
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._process: Process | None = None
        self._closed = False
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

    async def ask(self, job: Job) -> Reply:
        """Work on one job.

        A process that dies is replaced and the job tried once more: it may have been killed for a reason outside the
        picture. Raises as `PicturePool.prepare` does.
        """
        body = self._encoder.encode(job)
        status: int | None = None
        for _ in range(2):
            process = await self._ready()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await _write(process, body)
                    return self._decoder.decode(await _read(process))
            except TimeoutError as error:
                await self._end()
                _log.warning("picture work killed", after_s=self._timeout_s, picture_bytes=len(job.raw))
                message = f"view {job.view}: work on the picture took longer than {self._timeout_s:g} s"
                raise Poison(Reason.PICTURE_KILLED, message) from error
            except (EOFError, ConnectionError, msgspec.MsgspecError):
                status = await self._end()
                _log.warning("picture process died", status=status, picture_bytes=len(job.raw))
        message = f"view {job.view}: work on the picture ended its process twice (status {status})"
        raise Poison(Reason.PICTURE_KILLED, message)

    async def close(self) -> None:
        """End the process for good."""
        self._closed = True
        await self._end()

    async def _ready(self) -> Process:
        """Return the process, started if there is none; one that ends while it starts is given a second try."""
        status: int | None = None
        for _ in range(2):
            if self._closed:
                raise Retryable("pictures", "the picture pool is closing")
            if self._process is not None:
                return self._process
            process = self._process = await self._start()
            try:
                async with asyncio.timeout(_START_S):
                    await _read(process)
            except (TimeoutError, EOFError, ConnectionError):
                status = await self._end()  # 255 where asyncio lost it: killed or ended by itself, nobody knows
            else:
                return process
        if self._closed:
            raise Retryable("pictures", "the picture pool is closing")
        raise Fatal(
            f"a picture process does not start (status {status}): its own words are on standard error; "
            f"try `{sys.executable} -m evidence.picture_process {self._memory_mib}`"
        )

    async def _start(self) -> Process:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "evidence.picture_process", str(self._memory_mib)),
            stdin=PIPE,
            stdout=PIPE,
            limit=1024 * 1024,
            start_new_session=True,  # a Ctrl-C in the terminal, or a supervisor ending the group, speaks to the parent
            env={**environment, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        )

    async def _end(self) -> int | None:
        """Kill the process, wait for its end and return its status."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        return await process.wait()


async def _write(process: Process, body: bytes) -> None:
    if process.stdin is None:
        raise EOFError
    process.stdin.write(struct.pack(">I", len(body)) + body)
    await process.stdin.drain()


async def _read(process: Process) -> bytes:
    """Read one frame. Raises EOFError when the process is gone."""
    if process.stdout is None:
        raise EOFError
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    return await process.stdout.readexactly(length)
