"""Topics on the broker: what is there, what is missing, and making it as the table says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.faults import Fatal, Retryable
from streams import connection

REQUEST_LIMIT_MS: Final = 15_000
VISIBLE_WITHIN_S: Final = 15.0  # a new topic has its leaders, and an altered setting shows, a moment later
_SET_ON_TOPIC: Final = 1  # ConfigSource.DYNAMIC_TOPIC_CONFIG of Kafka's DescribeConfigs
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]


@contextlib.asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client; what the connection does wrong is `Retryable("kafka")`, a missing right is `Fatal`."""
    client = AIOKafkaAdminClient(**connection.arguments(bootstrap), request_timeout_ms=REQUEST_LIMIT_MS)
    try:
        await client.start()
        yield client
    except (KafkaError, TimeoutError, OSError) as error:
        raise connection.fault(error, bootstrap) from error
    finally:
        await client.close()


async def missing(bootstrap: str, names: Iterable[str]) -> list[str]:
    """Return the names, in their order, that have no topic with a leader for every partition.

    Raises:
        Retryable: `kafka`, when the broker is away.
    """
    async with admin(bootstrap) as client:
        there = await _partitions(client)
    return [name for name in names if name not in there]


async def align(bootstrap: str, wanted: Sequence[WantedTopic], *, replication: int) -> list[str]:
    """Create what is missing, correct the settings of what is there, and return the names created.

    Returns when the broker shows it all, so that a producer may start at once.

    Raises:
        Retryable: `kafka`, when the broker is away or does not finish in time.
        Fatal: when it refuses for a reason that waiting does not mend.
    """
    async with admin(bootstrap) as client:
        created = await _create(client, wanted, replication)
        found = await _until_led(client, wanted)
        for topic in wanted:
            if found[topic.name] != topic.partitions:
                log.warning(
                    "topic has another number of partitions",
                    topic=topic.name,
                    wanted=topic.partitions,
                    found=found[topic.name],
                )
        await _correct(client, [topic for topic in wanted if topic.name not in created])
    return created


async def _partitions(client: AIOKafkaAdminClient) -> dict[str, int]:
    """Return the number of partitions of every topic whose partitions all have leaders.

    All topics are asked for: asking for one by name would create it where brokers do so on demand.
    """
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await client.describe_topics()
        if topic["error_code"] == 0 and all(part["leader"] >= 0 for part in topic["partitions"])
    }


async def _create(client: AIOKafkaAdminClient, wanted: Sequence[WantedTopic], replication: int) -> list[str]:
    """Create the topics that do not exist; one that appears meanwhile is fine."""
    existing = set(await client.list_topics())
    absent = [topic for topic in wanted if topic.name not in existing]
    if not absent:
        return []
    answer = await client.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.config)) for topic in absent]
    )
    created = []
    for name, code, text in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif code != TopicAlreadyExistsError.errno:
            _refused(code, f"cannot create {name}: {text}")
    return created


async def _until_led(client: AIOKafkaAdminClient, wanted: Sequence[WantedTopic]) -> dict[str, int]:
    """Wait until every topic is visible with leaders, and return their numbers of partitions."""
    async with asyncio.timeout(VISIBLE_WITHIN_S):
        while True:
            found = await _partitions(client)
            if all(topic.name in found for topic in wanted):
                return found
            await asyncio.sleep(0.05)


async def _correct(client: AIOKafkaAdminClient, topics: Sequence[WantedTopic]) -> None:
    """Set what differs from the table and leave every other setting as it is.

    The client knows only the request that replaces all of a topic's settings, not the incremental one. So what is set
    on the topic now is read first and written back together with ours; another administrator's change within those
    milliseconds would be lost.
    """
    set_now = await _settings(client, topics)
    changes = []
    for topic in topics:
        drift = {name: value for name, value in topic.config.items() if set_now[topic.name].get(name) != value}
        if drift:
            log.warning("topic settings corrected", topic=topic.name, settings=drift)
            changes.append((topic, {**set_now[topic.name], **drift}))
    if not changes:
        return
    answers = await client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=settings) for topic, settings in changes]
    )
    for answer in answers:
        for code, text, _, name in answer.resources:
            if code:
                _refused(code, f"cannot change the settings of {name}: {text}")
    async with asyncio.timeout(VISIBLE_WITHIN_S):
        while True:
            shown = await _settings(client, topics)
            if all(shown[topic.name] == settings for topic, settings in changes):
                return
            await asyncio.sleep(0.05)


async def _settings(client: AIOKafkaAdminClient, topics: Sequence[WantedTopic]) -> dict[str, dict[str, str]]:
    """Return the settings made on each topic itself; the broker's defaults are left out."""
    found: dict[str, dict[str, str]] = {}
    for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics]):
        for code, text, _, name, entries in answer.resources:
            if code:
                _refused(code, f"cannot read the settings of {name}: {text}")
            found[name] = {key: value for key, value, _, source, *_ in entries if source == _SET_ON_TOPIC}
    return found


def _refused(code: int, what: str) -> None:
    """Raise for an answer of the broker: wait for those that pass by themselves, stop for the others."""
    kind = for_code(code)
    if kind.retriable:
        raise Retryable("kafka", f"{what} ({kind.__name__})")
    raise Fatal(f"{what} ({kind.__name__}). Set right what the broker objects to, then run the command again.")
