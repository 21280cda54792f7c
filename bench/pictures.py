"""Milliseconds a picture costs, by stage, and what a pool of processes makes of it.

    python -m bench.pictures FOLDER        # pictures of any kind, searched for below it
    python -m bench.pictures --booth 60    # captures of the booth, and how many of their codes are read

One core, codes with the line's own effort. Stages are in CPU time, so that a busy machine measures the same; the pool's
figures are wall time and include the way to the process and back.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from rich.console import Console
from rich.table import Table

from booth.world import World
from evidence.code_reader import LONG_SIDE, QUICK, read_codes
from evidence.codes import normalise
from evidence.decode import decode
from evidence.frame import SIDE, frame
from evidence.pictures import PicturePool

Result = TypeVar("Result")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class _Clock:
    """Collects milliseconds by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = defaultdict(list)

    def time(self, stage: str, work: Callable[[], Result]) -> Result:
        """Run work and note its time."""
        started = time.thread_time()
        result = work()
        self.stages[stage].append((time.thread_time() - started) * 1000)
        return result

    def table(self) -> Table:
        """Return a row a stage."""
        table = Table("stage", "n", "mean ms", "median", "p95", "max")
        for stage, times in self.stages.items():
            p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
            figures = (statistics.fmean(times), statistics.median(times), p95, max(times))
            table.add_row(stage, str(len(times)), *(f"{figure:.2f}" for figure in figures))
        return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--booth", type=int, default=60, help="captures to render where no folder is given")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console()
    pictures = _below(options.folder) if options.folder else _rendered(options.booth)
    clock = _Clock()
    right = wrong = 0
    for raw, expected in pictures:
        clock.time("decode for the models only", partial(decode, raw, long_side=2 * SIDE))
        rgb, _ = clock.time("decode for codes", partial(decode, raw, long_side=LONG_SIDE))
        started = time.thread_time()
        codes = read_codes(rgb, view=0, effort=QUICK)
        stage = "codes, found" if codes else "codes, none found"
        clock.stages[stage].append((time.thread_time() - started) * 1000)
        clock.time("frame", partial(frame, rgb))
        names = {normalise(code.text, code.symbology) for code in codes if code.confirmed}
        right += bool(names & expected)
        wrong += bool(names - expected)
    per_s = asyncio.run(_through_pool([raw for raw, _ in pictures], processes=options.processes, clock=clock))
    console.print(clock.table())
    console.print(f"{len(pictures)} pictures; pool of {options.processes}: {per_s:.0f} pictures/s with codes")
    if not options.folder:
        console.print(f"views with the product's code confirmed: {right}; with another text confirmed: {wrong}")


def _below(folder: Path) -> list[tuple[bytes, set[str | None]]]:
    return [(path.read_bytes(), set()) for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES]


def _rendered(captures: int) -> list[tuple[bytes, set[str | None]]]:
    """Render captures of the booth, each view with the codes that its product carries."""
    world = World(7)
    codes = {product.product_id: {normalise(code) for code in product.codes} for product in world.products()}
    shots = (world.shot(number) for number in range(captures))
    return [(picture.jpeg, codes[shot.truth.product_id]) for shot in shots for picture in shot.pictures]


async def _through_pool(pictures: list[bytes], *, processes: int, clock: _Clock) -> float:
    """Send pictures through a pool one after the other, then all at once; return how many a second the latter made."""
    pool = PicturePool(processes=processes, timeout_s=30.0, memory_mib=1024)
    started = time.perf_counter()
    await pool.prepare([(0, pictures[0])])
    clock.stages["pool, first picture with start"].append((time.perf_counter() - started) * 1000)
    for want_codes, stage in ((False, "pool, without codes"), (True, "pool, with codes")):
        for raw in pictures:
            started = time.perf_counter()
            await pool.prepare([(0, raw)], want_codes=want_codes)
            clock.stages[stage].append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    await asyncio.gather(*(pool.prepare([(0, raw)]) for raw in pictures))
    per_s = len(pictures) / (time.perf_counter() - started)
    await pool.close()
    return per_s


if __name__ == "__main__":
    main()
