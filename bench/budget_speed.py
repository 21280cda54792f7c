"""How fast the decision is: latency of one call, and decisions a second from 64 clients, with `appendfsync always`.

    python -m bench.budget_speed [--url redis://...] [--processes 2] [--decisions 20000]

Without a URL it starts a Redis of its own as the decision store runs and stops it at the end. The server's CPU time per
decision is what bounds a store; it also holds on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Final

from redis import Redis
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError

from budget.config import BudgetConfig
from budget.keys import SiteKeys
from budget.sample import Line, Trial
from budget.store import DecisionStore

CLIENTS: Final = 64
CONFIG: Final = BudgetConfig()


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Start a decision store on a free port, in a folder of its own."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is missing: apt-get install redis-server")
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--bind", "127.0.0.1"]
        command = [program, "--port", str(port), "--dir", folder, *flags]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own server
        try:
            with Redis(port=port) as client:
                _await(client)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _await(client: Redis) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisConnectionError):
            client.ping()
            return
        time.sleep(0.05)
    raise SystemExit("redis-server did not answer within 10 s")


async def latencies_s(trial: Trial, decisions: int) -> list[float]:
    """Decide one after the other and return how long each took, sorted."""
    rng = random.Random(1)
    took = []
    for _ in range(decisions):
        request = trial.line.request(now_ms=trial.now_ms(), score=round(rng.gauss(-4e6, 1e6)))
        started = time.perf_counter()
        await trial.store.decide(request)
        took.append(time.perf_counter() - started)
    return sorted(took)


async def burst_s(url: str, store_id: str, site: str, seed: int, decisions: int, clients: int) -> float:
    """Decide from several clients at once and return how long all of it took."""
    store = DecisionStore(url, store_id=store_id, timeout_s=30.0)
    rng = random.Random(seed)
    line = Line(site, rng=random.Random(seed))
    now_ms = time.time_ns() // 1_000_000
    requests = [
        line.request(now_ms=now_ms, decide_by_ms=now_ms + 60_000, score=round(rng.gauss(-4e6, 1e6)))
        for _ in range(decisions)
    ]
    waiting = iter(requests)

    async def client() -> None:
        for request in waiting:
            await store.decide(request)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - started
    await store.close()
    return took


def _burst(arguments: tuple[str, str, str, int, int, int]) -> float:
    return asyncio.run(burst_s(*arguments))


async def _server_s(redis: aioredis.Redis) -> float:
    spent = await redis.info("cpu")
    return float(spent["used_cpu_user"]) + float(spent["used_cpu_sys"])


async def measure(url: str, *, processes: int, decisions: int) -> None:
    """Run both measurements and print a line for each."""
    trial = await Trial.open(url, f"bench-{uuid.uuid4().hex[:8]}", CONFIG)
    await latencies_s(trial, 1_200)  # past the start, where the threshold stands still
    before = await _server_s(trial.redis)
    took = await latencies_s(trial, min(decisions, 3_000))
    between = await _server_s(trial.redis)
    print(  # noqa: T201
        f"one client: p50 {took[len(took) // 2] * 1e3:.2f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.2f} ms, "
        f"{len(took) / sum(took):.0f} decisions/s, server {(between - before) / len(took) * 1e6:.0f} us of CPU each"
    )
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        each = decisions // processes
        work = [(url, trial.store_id, trial.name, seed, each, CLIENTS // processes) for seed in range(processes)]
        slowest = max(await asyncio.to_thread(pool.map, _burst, work))
    spent = await _server_s(trial.redis) - between
    print(  # noqa: T201
        f"{CLIENTS} clients in {processes} processes: {each * processes / slowest:.0f} decisions/s, "
        f"server {spent / each / processes * 1e6:.0f} us of CPU each"
    )
    async for key in trial.redis.scan_iter(match=f"[{{]{SiteKeys(trial.name).site}}}:*", count=5_000):
        await trial.redis.unlink(key)
    await trial.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an existing decision store; without it one is started")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--decisions", type=int, default=20_000)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(redis_server())
        asyncio.run(measure(url, processes=options.processes, decisions=options.decisions))


if __name__ == "__main__":
    main()
