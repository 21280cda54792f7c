"""What lies in Redis and in the consumer groups, held against the topics. Nothing of `budget/` or `workers/` is used.

`cli.checker` judges the topics by themselves. Here is what only shows beside them: that the store knows what was sent
and nothing else, that dead letters come from recorded rejections, and that nothing is left to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis.asyncio as redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading

# Refused before an outcome could be claimed: no site or id of its own, or its time over.
UNRECORDED: Final = frozenset(
    {"unreadable", "too_large", "wrong_site", "unknown_site", "unknown_line", "id_reused", "too_old", "from_the_future"}
)
IDLE_WITHIN_S: Final = 60.0
Groups = Mapping[str, Sequence[str]]  # group -> its topics


async def check_store(reading: Reading, url: str, site: str) -> list[Finding]:
    """Compare every outcome in Redis with what was sent of it."""
    client: Any = redis.from_url(url)
    prefix = f"{{{site}}}:outcome:"
    stored: dict[str, dict[bytes, bytes]] = {}
    try:
        async for key in client.scan_iter(match=f"{prefix}*", count=1000):
            stored[key.decode()[len(prefix) :]] = await client.hgetall(key)
        last = int(await client.hget(f"{{{site}}}:budget", "seq") or 0)
    finally:
        await client.aclose()
    values = {key: row[b"decision"] for key, row in stored.items() if row.get(b"decision")}
    states = {key: json.loads(value).get("outcome") for key, value in values.items()}
    sent = {key: emissions[0].delivery.value for key, emissions in reading.decisions.items()}
    answered = {key for key, state in states.items() if state != "rejected"}
    refused = {key for key, state in states.items() if state == "rejected"}
    letters = {
        capture_id
        for capture_id, deliveries in reading.captures.items()
        for one in deliveries
        if (letter := reading.dead_letter_of(one)) is not None and letter.reason not in UNRECORDED
    }
    numbers = [one.seq for one in reading.decided().values() if one.seq is not None]
    return [
        *each(Rule.ONE_OUTCOME, sorted(sent.keys() - values.keys()), "decisions on the topic are not in the store"),
        *each(Rule.ONE_OUTCOME, sorted(answered - sent.keys()), "outcomes in the store were never sent"),
        *each(
            Rule.ONE_VALUE,
            [key for key in sorted(sent.keys() & values.keys()) if sent[key] != values[key]],
            "outcomes in the store differ from what was sent",
        ),
        *each(Rule.DEAD_LETTER, sorted(letters - refused - sent.keys()), "dead letters of no recorded rejection"),
        *each(Rule.DEAD_LETTER, sorted(refused - letters), "recorded rejections have no dead letter"),
        *(
            []
            if last == max(numbers, default=0)
            else [Finding(Rule.SEQ, f"the store stands at {last}, the topic at {max(numbers, default=0)}")]
        ),
    ]


async def check_groups(bootstrap: str, groups: Groups) -> list[Finding]:
    """Wait until every group has acknowledged all there is; what it never comes to is stuck (and so P1 is not read).

    Committed offsets must also never lie before what the topic still holds: retention would have taken unread events.
    """
    deadline = time.monotonic() + IDLE_WITHIN_S
    while True:
        behind, passed = await _behind(bootstrap, groups)
        if not behind or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return [
        *each(Rule.ONE_OUTCOME, behind, f"partitions are not acknowledged to their end after {IDLE_WITHIN_S:g} s"),
        *each(Rule.LANDED, passed, "partitions have lost events to retention before they were read"),
    ]


async def _behind(bootstrap: str, groups: Groups) -> tuple[list[str], list[str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        behind, passed = [], []
        for group, topics in groups.items():
            committed = await admin.list_consumer_group_offsets(group)
            described = await admin.describe_topics(list(topics))
            places = [
                TopicPartition(one["topic"], partition["partition"])
                for one in described
                for partition in one["partitions"]
            ]
            if {place.topic for place in places} != set(topics):
                return [f"not all of {', '.join(topics)} can be described"], []
            ends, starts = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
            for place in places:
                at = committed[place].offset if place in committed else 0
                if at < ends[place]:
                    behind.append(f"{group} on {place.topic}-{place.partition}: {at} of {ends[place]}")
                if at < starts[place]:
                    passed.append(f"{place.topic}-{place.partition}: committed {at}, kept from {starts[place]}")
    except (KafkaError, OSError) as error:
        return [f"the broker does not answer: {error}"], []
    else:
        return behind, passed
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await consumer.stop()
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()
