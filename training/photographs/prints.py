"""Pictures on disk as the models see them, by the line's own picture pool: a broken one costs itself only.

Scoring and training both come through here, so that a picture has one meaning in both.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evidence.code_reader import Effort
from evidence.codes import Code
from evidence.pictures import PicturePool
from schemas.faults import Poison
from schemas.words import MAX_VIEW_BYTES

TIMEOUT_S: Final = 30.0  # for one picture; a person waits, no diverter does
MEMORY_MIB: Final = 1_024  # 64 million pixels, and what turning them upright takes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a picture cannot be used, in words."""

    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """One picture: `pixels` uint8[1, SIDE, SIDE, CHANNELS], the codes found, and the time from bytes to both."""

    pixels: NDArray[np.uint8]
    codes: tuple[Code, ...]
    ms: float


class PrintShop:
    """A picture pool with an event loop of its own, for commands that are not asynchronous. Use it as a context."""

    def __init__(self, *, processes: int = 2) -> None:
        self._runner = asyncio.Runner()
        self._pool = PicturePool(processes=processes, timeout_s=TIMEOUT_S, memory_mib=MEMORY_MIB)
        self._processes = processes
        self._seats = asyncio.Semaphore(processes)

    def __enter__(self) -> Self:
        """Start the processes, so that the first pictures do not pay for it."""
        try:
            self.make([_blank()] * self._processes)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._pool.close())
        finally:
            self._runner.close()

    def make(self, pictures: Sequence[bytes], *, effort: Effort | None = None) -> list[Print | Unreadable]:
        """Decode and frame pictures, reading their codes where an effort is given; several at a time.

        Raises:
            Fatal: a process of the pool does not start.
        """
        return self._runner.run(self._make(pictures, effort))

    async def _make(self, pictures: Sequence[bytes], effort: Effort | None) -> list[Print | Unreadable]:
        return list(await asyncio.gather(*(self._one(raw, effort) for raw in pictures)))

    async def _one(self, raw: bytes, effort: Effort | None) -> Print | Unreadable:
        async with self._seats:  # waiting for a process is none of the picture's time
            began = time.perf_counter()
            try:
                if effort is None:
                    prepared = await self._pool.prepare([(0, raw)], want_codes=False)
                else:
                    prepared = await self._pool.prepare([(0, raw)], effort=effort)
            except Poison as poison:
                return Unreadable(str(poison).removeprefix("view 0: "))
            return Print(prepared.pixels, prepared.codes, (time.perf_counter() - began) * 1000)


def _blank() -> bytes:
    """Return a small grey PNG."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (128, 128, 128)).save(file, "PNG")
    return file.getvalue()


def read_bytes(path: Path) -> bytes | Unreadable:
    """Return a picture's bytes, if it is a file of a size that the line would take."""
    try:
        if not path.is_file():
            return Unreadable("no such file" if not path.exists() else "not a regular file")
        if (size := path.stat().st_size) > MAX_VIEW_BYTES:
            return Unreadable(f"{size} bytes; the limit is {MAX_VIEW_BYTES}")
        return path.read_bytes()
    except OSError as error:
        return Unreadable(error.strerror or type(error).__name__)
