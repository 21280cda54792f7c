"""A consumer for the regression test of lost messages: some ids are slow, the process gets killed, what is lost?

Run as `python slow_consumer.py head|completion BOOTSTRAP TOPIC GROUP FILE DATADIR`. Every finished id is appended to
FILE, which stands for the outcome. `head` acknowledges through our window; `completion` is the losing control: it
acknowledges whatever finishes, which is what Faust alone would make of concurrent work.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from schemas.faults import Poison
from settings.line import Settings
from streams import faust_edge
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.window import Limits, Window

SLOW_S = 3.0
FAST_S = 0.01
IN_FLIGHT = 64


async def main(variant: str, bootstrap: str, topic: str, group: str, file: Path, datadir: Path) -> None:
    """Consume until killed."""
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(delivery: Delivery) -> None:
        value = delivery.value or b""
        await asyncio.sleep(SLOW_S if value.startswith(b"slow") else FAST_S)
        os.write(out, value + b"\n")

    async def bury(delivery: Delivery, fault: Poison) -> None:
        raise fault

    window = Window(
        entity="test",
        handle=handle,
        bury=bury,
        breakers=Breakers({}),
        limits=Limits(window=IN_FLIGHT, partition_window=IN_FLIGHT, run_past_head=100_000, parked=512),
    )
    room = asyncio.Semaphore(IN_FLIGHT)
    tasks: set[asyncio.Task[None]] = set()

    async def on_completion(delivery: Delivery, acknowledge: Callable[[], object]) -> None:
        await room.acquire()

        async def work() -> None:
            await handle(delivery)
            acknowledge()
            room.release()

        task = asyncio.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    app = faust_edge.build(
        Settings(kafka_bootstrap=bootstrap, session_timeout_s=1.5, data_dir=datadir, worker_name=f"{os.getpid()}"),
        group=group,
        topics=[topic],
        deliver=window.offer if variant == "head" else on_completion,
        revoke=lambda partitions: window.revoke(partitions, limit_s=2.0),
        assign=window.assign,
    )
    await app.start()
    await app.wait_until_stopped()


if __name__ == "__main__":
    _, chosen, servers, name, members, outcomes, own = sys.argv
    asyncio.run(main(chosen, servers, name, members, Path(outcomes), Path(own)))
