"""How fast the shipped models are behind a real Triton: views a second, milliseconds, CPU of a view.

    python -m bench.triton_speed                  # both models, 1, 2 and 4 requests under way
    python -m bench.triton_speed --seconds 20     # longer, steadier

Starts a Triton of its own in a folder that is removed afterwards. A request holds one view of noise: the arithmetic is
the same for any picture. The line's own client asks; its CPU is not counted, that of Triton and its model processes is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from deploy.local.parts import Parts
from evidence.frame import CHANNELS, SIDE
from evidence.triton import CLASSIFIER, EMBEDDING, Models

UNDER_WAY: Final = (1, 2, 4)
WARM: Final = 20  # requests that are not counted

Ask = Callable[[NDArray[np.uint8]], Awaitable[object]]


async def load(ask: Ask, *, under_way: int, seconds: float) -> list[float]:
    """Keep so many requests of one view under way for so long; return the milliseconds of each."""
    view = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, CHANNELS), np.uint8)
    for _ in range(WARM):
        await ask(view)
    ends = time.monotonic() + seconds
    took: list[float] = []

    async def one_after_another() -> None:
        while (began := time.monotonic()) < ends:
            await ask(view)
            took.append(1000 * (time.monotonic() - began))

    await asyncio.gather(*(one_after_another() for _ in range(under_way)))
    return took


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its children have used."""
    server = psutil.Process(pid)
    times = (process.cpu_times() for process in (server, *server.children(recursive=True)))
    return float(sum(each.user + each.system for each in times))


async def measure(url: str, pid: int, *, seconds: float) -> Table:
    """Return a row for each model and number of requests under way."""
    models = Models(url)
    asks: dict[str, Ask] = {
        CLASSIFIER: lambda view: models.score(view, request_id="bench"),
        EMBEDDING: lambda view: models.embed(view, request_id="bench"),
    }
    table = Table("model", "under way", "views/s", "ms, median", "ms, p99", "ms of CPU a view")
    try:
        for name, ask in asks.items():
            for under_way in UNDER_WAY:
                before = cpu_s(pid)
                took = await load(ask, under_way=under_way, seconds=seconds)
                cpu_ms = 1000 * (cpu_s(pid) - before) / (len(took) + WARM)
                p99 = statistics.quantiles(took, n=100)[-1]
                figures = (
                    f"{len(took) / seconds:.0f}",
                    f"{statistics.median(took):.1f}",
                    f"{p99:.1f}",
                    f"{cpu_ms:.1f}",
                )
                table.add_row(name, str(under_way), *figures)
    finally:
        await models.close()
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="for each row (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(
            Path(folder), environ={key: value for key, value in os.environ.items() if key != "SIDELINE_TRITON_URL"}
        )
        try:
            endpoints = parts.up(servers=("triton",))
            pid = parts.pid("triton")
            if pid is None:
                raise SystemExit(f"triton has ended: {parts.logs('triton').read_text()[-2000:]}")
            Console().print(asyncio.run(measure(endpoints.triton_url, pid, seconds=options.seconds)))
        finally:
            parts.down()


if __name__ == "__main__":
    main()
