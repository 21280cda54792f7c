"""One principal that tries everything, in raw requests: what a polite client would not even ask is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from settings.credentials import Credentials
from streams import connection

TOPIC_REFUSED, GROUP_REFUSED, CLUSTER_REFUSED, TRANSACTION_REFUSED = 29, 30, 31, 53
ANY = 1  # of everything in a filter of rules


class Intruder:
    """Asks a broker for things and says which it got: every method returns what was *not* refused."""

    def __init__(self, bootstrap: str, who: Credentials) -> None:
        self._arguments = connection.arguments(bootstrap, who)

    async def __aenter__(self) -> Self:
        self._client = AIOKafkaClient(**self._arguments)
        self._admin = AIOKafkaAdminClient(**self._arguments)
        await self._client.bootstrap()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._admin.close()

    async def write(self, topics: Sequence[str]) -> set[str]:
        """Append a record to each topic."""
        batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
        batch.append(offset=0, timestamp=0, key=b"key", value=b"forged", headers=[])
        raw = bytes(batch.build())
        answer = await self._ask(ProduceRequest(None, -1, 5_000, [(name, [(0, raw)]) for name in topics]))
        return _granted({name: parts[0][1] for name, parts in answer.topics}, topics)

    async def read(self, topics: Sequence[str]) -> set[str]:
        """Fetch from each topic."""
        answer = await self._ask(FetchRequest(0, 0, 1 << 20, 0, [(name, [(0, 0, 1 << 16)]) for name in topics]))
        return _granted({name: parts[0][1] for name, parts in answer.topics}, topics)

    async def describe(self, topics: Sequence[str]) -> set[str]:
        """Ask which topics there are."""
        return set(await self._admin.list_topics()) & set(topics)

    async def describe_configs(self, topics: Sequence[str]) -> set[str]:
        """Ask for each topic's settings."""
        answers = await self._admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, each) for each in topics]
        )
        return _granted({each[3]: each[0] for answer in answers for each in answer.resources}, topics)

    async def alter_configs(self, configs: Mapping[str, Mapping[str, str]]) -> set[str]:
        """Set each topic's settings to what they are."""
        answers = await self._admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(config)) for name, config in configs.items()]
        )
        return _granted({each[3]: each[0] for answer in answers for each in answer.resources}, configs)

    async def delete(self, topics: Sequence[str]) -> set[str]:
        """Delete each topic."""
        answer = await self._admin.delete_topics(list(topics), timeout_ms=5_000)
        return _granted(dict(answer.topic_error_codes), topics)

    async def create(self, topics: Sequence[str]) -> set[str]:
        """Ask whether each new topic could be made."""
        answer = await self._admin.create_topics([NewTopic(each, 1, 1) for each in topics], validate_only=True)
        return _granted({each[0]: each[1] for each in answer.topic_errors}, topics)

    async def join(self, groups: Iterable[str], topic: str) -> set[str]:
        """Move each group's place on a topic."""
        answers = {
            group: await self._ask(OffsetCommitRequest(group, -1, "", -1, [(topic, [(0, 0, "")])])) for group in groups
        }
        return {group for group, answer in answers.items() if answer.topics[0][1][0][1] != GROUP_REFUSED}

    async def watch(self, groups: Iterable[str]) -> set[str]:
        """Ask how far each group is."""
        answers = {group: await self._ask(OffsetFetchRequest(group, None)) for group in groups}
        return {group for group, answer in answers.items() if answer.error_code != GROUP_REFUSED}

    async def see_rules(self) -> bool:
        """Ask for all rules."""
        answer = await self._ask(DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY))
        return bool(answer.error_code != CLUSTER_REFUSED)

    async def make_rule(self, words: tuple[int, str, int, str, str, int, int]) -> bool:
        """Grant something."""
        answer = await self._ask(CreateAclsRequest(*words))
        return bool(answer.creation_responses[0][0] != CLUSTER_REFUSED)

    async def be_idempotent(self) -> bool:
        """Ask for the id of an idempotent producer."""
        return bool((await self._ask(InitProducerIdRequest(None, 1_000))).error_code != CLUSTER_REFUSED)

    async def transact(self, transaction: str) -> bool:
        """Ask for a transaction's id."""
        return bool((await self._ask(InitProducerIdRequest(transaction, 1_000))).error_code != TRANSACTION_REFUSED)

    async def _ask(self, request: object) -> Any:  # noqa: ANN401 - aiokafka ships no types
        return await self._client.send(self._client.get_random_node(), request)


def _granted(codes: Mapping[str, int], asked: Iterable[str]) -> set[str]:
    """Return the topics that were not refused; any other error means that the attempt itself was wrong."""
    assert set(asked) == set(codes)
    assert set(codes.values()) <= {0, TOPIC_REFUSED}, codes
    return {name for name, code in codes.items() if code == 0}
