"""Measure an inspector's gallery at size: loading, memory, search and the delay of a change.

    python -m bench.gallery_size --products 10000 --references 3 --views 3

starts a Redis of its own, enrols drawn references, loads them into a fresh process like an inspector would, and prints
what it took. Every number is of this machine at this moment; where others work on it, too, read the CPU times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evidence.discrepancy import CELLS, PATCH_SIZE, quantise
from gallery.entry import Entry, Vectors
from gallery.follow import Follower
from gallery.index import GalleryIndex
from gallery.store import GalleryStore
from schemas.messages import Product

VERSION = "bench:1"
QUERIES = 500
WRITERS = 16
SPREAD = 0.6  # of a capture around its product, relative to the distance between products
SHORTLIST = 8


def captured(product: int, shot: int, views: int) -> Vectors:
    """Draw float32[views, 128] of unit length around a product's own direction."""
    centre = np.random.default_rng(product).normal(size=128)
    drawn = centre + SPREAD * np.random.default_rng([product, shot]).normal(size=(views, 128))
    unit: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """Run a Redis that keeps nothing on disk, for the time of a block."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is missing; install it with: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--loglevel", "warning"]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603 - our own server
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


async def enrol(url: str, products: int, references: int, views: int) -> float:
    """Fill the store and return how long it took in seconds."""
    store = GalleryStore(url, timeout_s=10)
    for _ in range(200):
        with contextlib.suppress(Exception):
            await store.probe()
            break
        await asyncio.sleep(0.05)
    patches = quantise(
        np.random.default_rng(0).standard_normal((views, CELLS, PATCH_SIZE), dtype=np.float32)
        * np.float32(PATCH_SIZE**-0.5)
    )
    started = time.monotonic()

    async def write(numbers: range) -> None:
        for number in numbers:
            await store.put_product(Product(product_id=f"P-{number}", codes=[f"CODE-{number}"]))
            for shot in range(references):
                await store.put_reference(
                    Entry(
                        reference_id=f"R-{number}-{shot}",
                        product_id=f"P-{number}",
                        model_version=VERSION,
                        source="bench",
                        enrolled_ms=0,
                        vectors=captured(number, shot, views),
                        patches=patches,
                        uris=(f"file:///pictures/{number}-{shot}.png",),
                    )
                )

    await asyncio.gather(*(write(range(start, products, WRITERS)) for start in range(WRITERS)))
    took_s = time.monotonic() - started
    await store.close()
    return took_s


async def measure(url: str, products: int, views: int) -> None:
    """Load like an inspector, search, and follow one change."""
    store = GalleryStore(url, timeout_s=10)
    index = GalleryIndex(model_version=VERSION)
    follower = Follower(store, index)
    before = resident_mib()
    started, cpu = time.monotonic(), time.process_time()
    loading = asyncio.create_task(follower.load())
    pauses = []
    while not loading.done():
        asked = time.process_time()
        await asyncio.sleep(0)
        pauses.append(time.process_time() - asked)
    await loading
    say("loading, s", time.monotonic() - started)
    say("loading, s of CPU", time.process_time() - cpu)
    say("longest pause of the loop while loading, ms of CPU", 1000 * max(pauses))
    say("memory of products and references, MiB", resident_mib() - before)
    asked_for = np.random.default_rng(1).integers(0, products, QUERIES).tolist()
    for name, expected in (("open", 0), ("20 expected", 20)):
        took, right = [], 0
        for product in asked_for:
            query = captured(product, 99, views)
            narrowed = [f"P-{(product + other) % products}" for other in range(expected)]
            begun = time.process_time()
            nearest = index.nearest(query, k=SHORTLIST, expected=narrowed)
            took.append(time.process_time() - begun)
            right += f"P-{product}" in {candidate.product_id for candidate in nearest}
        say(f"search, {name}: p50, ms of CPU", 1000 * float(np.percentile(took, 50)))
        say(f"search, {name}: p99, ms of CPU", 1000 * float(np.percentile(took, 99)))
        say(f"search, {name}: own product in the shortlist of {SHORTLIST}, %", 100 * right / QUERIES)
    following = asyncio.create_task(follower.follow())
    delays = []
    for number in range(20):
        begun = time.monotonic()
        await store.put_product(Product(product_id=f"P-new-{number}"))
        while index.product(f"P-new-{number}") is None:  # noqa: ASYNC110 - measured from outside
            await asyncio.sleep(0.001)
        delays.append(time.monotonic() - begun)
    say("a change reaches the index after, ms, at most of 20", 1000 * max(delays))
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await store.close()


def resident_mib() -> float:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def say(what: str, value: float) -> None:
    """Print one measured value."""
    print(f"{value:10.2f}  {what}", flush=True)  # noqa: T201 - printing is the point


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.measure:
        asyncio.run(measure(said.measure, said.products, said.views))
        return
    with own_redis() as url:
        took_s = asyncio.run(enrol(url, said.products, said.references, said.views))
        say("references enrolled a second", said.products * said.references / took_s)
        command = [sys.executable, "-m", "bench.gallery_size", "--measure", url]
        sizes = ["--products", str(said.products), "--views", str(said.views)]
        subprocess.run([*command, *sizes], check=True)  # noqa: S603 - a fresh process, so that its memory is its own


if __name__ == "__main__":
    main()
