"""One answer per capture, in time: consumer.py BOOTSTRAP TOPIC, then lines of `capture_id seconds_left` on stdin."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer

waiting: dict[str, asyncio.Future[str]] = {}  # by capture: where the question and the answer meet, whichever is first


def place(capture_id: str, seconds: float) -> asyncio.Future[str]:
    if capture_id not in waiting:
        waiting[capture_id] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(seconds, lambda: waiting.pop(capture_id).cancel())
    return waiting[capture_id]


async def listen(consumer: AIOKafkaConsumer) -> None:
    async for record in consumer:
        said = json.loads(record.value)
        if not (answer := place(said["capture_id"], 60)).done():  # a copy says the same and changes nothing
            decided = "pass" if said.get("divert", "none") == "none" else "sideline"
            answer.set_result(decided if said["outcome"] == "decided" else "undetermined")


async def ask(capture_id: str, seconds_left: str) -> None:
    await asyncio.wait([answer := place(capture_id, float(seconds_left))])
    print(capture_id, "undetermined" if answer.cancelled() else answer.result(), flush=True)  # silence is an answer


async def main(bootstrap: str, topic: str) -> None:
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap) as consumer, asyncio.TaskGroup() as tasks:
        await consumer.seek_to_end()  # no group, no offsets: after a restart, old answers are of no use
        tasks.create_task(listen(consumer))
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(ask(*line.split()))


asyncio.run(main(*sys.argv[1:]))
