"""A TCP proxy between the line's workers and a server, which can be slow or hang on request."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 64 * 1024


class Proxy:
    """Listens on a free port of the loopback and passes on what comes: `async with Proxy(host, port) as proxy`."""

    def __init__(self, host: str, port: int) -> None:
        """Name the server behind it."""
        self._behind = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay_s = 0.0  # added to everything that passes, in each direction

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("a Proxy is used inside `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    def hang(self) -> None:
        """Pass nothing on, and keep all connections."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on everything at once, what waited included."""
        self.delay_s = 0.0
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
            ways = [self._pass(reader, behind_writer), self._pass(behind_reader, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            with contextlib.closing(behind_writer):
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # one side gone: so is the other
                finally:
                    for one in tasks:
                        one.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
