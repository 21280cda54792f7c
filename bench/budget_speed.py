"""How fast the decision is, with `appendfsync always`: latency, decisions a second, and what a full store changes.

    python -m bench.budget_speed [--url redis://...] [--processes 2] [--decisions 20000]
    python -m bench.budget_speed --stored 1000000 [--rounds 7]

The first measures one call, and decisions a second from 1, 4, 16 and 64 clients. The second fills a store with so many
outcomes, all of them decided by the script, and compares a call there with one in an empty store: batches of both
alternate, so that what else the machine does touches them alike, and medians over the rounds are compared.

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
import statistics
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

CLIENTS: Final = (1, 4, 16, 64)
BATCH: Final = 400  # decisions of one round in one store
FILLING: Final = 64  # clients
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
    """Measure one client, then several at once, and print a line for each."""
    trial = await Trial.open(url, f"bench-{uuid.uuid4().hex[:8]}", CONFIG)
    await latencies_s(trial, 1_200)  # past the start, where the threshold stands still
    before = await _server_s(trial.redis)
    took = await latencies_s(trial, min(decisions, 3_000))
    between = await _server_s(trial.redis)
    print(  # noqa: T201
        f"one call: p50 {took[len(took) // 2] * 1e3:.2f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.2f} ms, "
        f"server {(between - before) / len(took) * 1e6:.0f} us of CPU each"
    )
    for clients in CLIENTS:
        before = await _server_s(trial.redis)
        workers = min(processes, clients)
        number = min(decisions, 5_000 * clients)
        slowest = await _together(trial, number, clients, workers, seed=clients)
        spent = await _server_s(trial.redis) - before
        print(  # noqa: T201
            f"{clients} clients in {workers} processes: {number / slowest:.0f} decisions/s, "
            f"server {spent / number * 1e6:.0f} us of CPU each",
            flush=True,
        )
    await _forget(trial)


async def growth(*, stored: int, rounds: int, processes: int) -> None:
    """Compare a call in a store of so many outcomes with one in an empty store, and say what an outcome takes."""
    with redis_server() as empty_url, redis_server() as full_url:
        empty, full = await Trial.open(empty_url, "empty", CONFIG), await Trial.open(full_url, "full", CONFIG)
        await latencies_s(full, 1_200)
        before = int((await full.redis.info("memory"))["used_memory"])
        done, began = 0, time.monotonic()
        while done < stored:
            share = min(50_000, stored - done)
            await _together(full, share, FILLING, processes, seed=1_000 + done)
            done += share
            print(f"{done:,} of {stored:,} decided after {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        size = (int((await full.redis.info("memory"))["used_memory"]) - before) / stored
        while (await full.redis.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(1)
        medians: dict[str, list[float]] = {"empty": [], "full": []}
        spent: dict[str, list[float]] = {"empty": [], "full": []}
        for at in range(rounds + 1):
            await empty.redis.flushall()
            await empty.close()
            empty = await Trial.open(empty_url, "empty", CONFIG)
            await latencies_s(empty, 100)
            for name, trial in (("empty", empty), ("full", full)):
                cpu = await _server_s(trial.redis)
                took = await latencies_s(trial, BATCH)
                if at:  # the first round warms both up
                    medians[name].append(took[len(took) // 2])
                    spent[name].append((await _server_s(trial.redis) - cpu) / BATCH)
        for what, rows in (("call, p50", medians), ("server's CPU", spent)):
            none, many = (statistics.median(rows[name]) for name in ("empty", "full"))
            print(  # noqa: T201
                f"{what}: {none * 1e6:.0f} us with none stored, {many * 1e6:.0f} us with {stored:,}: "
                f"ratio {many / none:.3f} (medians of {rounds} rounds of {BATCH})"
            )
        print(f"an outcome takes {size:.0f} bytes of the store's memory")  # noqa: T201
        await empty.close()
        await full.close()


async def _together(trial: Trial, decisions: int, clients: int, processes: int, *, seed: int) -> float:
    """Decide from several processes at once and return how long the slowest took, in seconds."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        each, share = decisions // processes, clients // processes
        work = [(trial.url, trial.store_id, trial.name, seed * 100 + at, each, share) for at in range(processes)]
        return max(await asyncio.to_thread(pool.map, _burst, work))


async def _forget(trial: Trial) -> None:
    """Remove the site's keys from a store that is not our own."""
    async for key in trial.redis.scan_iter(match=f"[{{]{SiteKeys(trial.name).site}}}:*", count=5_000):
        await trial.redis.unlink(key)
    await trial.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an existing decision store; without it one is started")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--stored", type=int, default=0, help="compare a store of so many outcomes with an empty one")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.stored:
        asyncio.run(growth(stored=options.stored, rounds=options.rounds, processes=options.processes))
        return
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(redis_server())
        asyncio.run(measure(url, processes=options.processes, decisions=options.decisions))


if __name__ == "__main__":
    main()
