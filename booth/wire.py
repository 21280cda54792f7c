"""The booth's side of Kafka: an event becomes key, value and CloudEvents headers, and is sent until acknowledged."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaProducer

from schemas.codec import cloud_headers, encode, rfc3339
from schemas.messages import Message
from schemas.words import MAX_EVENT_BYTES
from streams import connection

OUTAGE_S: Final = 120  # a broker may be away this long before a send fails


class Sender:
    """An idempotent producer: returns from `send` when all replicas have the event, resends by itself until then."""

    def __init__(self, kafka_bootstrap: str, *, source: str) -> None:
        """Name the brokers, and the CloudEvents source that all events carry."""
        self._source = source
        self._bootstrap = kafka_bootstrap
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **connection.arguments(self._bootstrap),
            enable_idempotence=True,
            acks="all",
            linger_ms=2,
            max_request_size=MAX_EVENT_BYTES,
            request_timeout_ms=OUTAGE_S * 1000,
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(self, topic: str, key: str, message: Message, *, entity: str, event_id: str, at: datetime) -> None:
        """Send one event and wait until it is acknowledged.

        Raises:
            KafkaError: the broker refused it, or was away for longer than two minutes.
        """
        if self._producer is None:
            raise RuntimeError("a Sender is used inside `async with`")
        await self._producer.send_and_wait(
            topic,
            key=key.encode(),
            value=encode(message),
            headers=cloud_headers(entity=entity, event_id=event_id, source=self._source, time=rfc3339(at)),
        )
