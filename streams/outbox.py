"""The outbox: an idempotent Kafka producer that returns only when the broker has the bytes (`acks=all`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.faults import Poison, Reason, Retryable
from schemas.words import MAX_EVENT_BYTES
from streams import connection
from streams.topics import DEAD_LETTER_SLACK_BYTES

DELIVERY_LIMIT_S: Final = 10.0
STOP_LIMIT_S: Final = 1.0
log = structlog.get_logger(__name__)


class Outbox:
    """Sends events for a worker. Made inside the running loop; one for the worker's life."""

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        """Keep the address; the producer itself starts with the first send."""
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Send one event and wait for its acknowledgement.

        Raises:
            Fatal: the broker does not let this process write there.
            Retryable: `kafka`, when the broker is away or did not acknowledge in time. Sending the same bytes again is
                safe: consumers see equal values for one key.
            Poison: when the event is larger than the topic takes.
        """
        producer = await self._running()
        try:
            async with asyncio.timeout(DELIVERY_LIMIT_S):
                await producer.send_and_wait(topic, value, key=key, headers=list(headers))
        except MessageSizeTooLargeError as error:
            raise Poison(Reason.TOO_LARGE, f"too large for {topic}: {error}") from error
        except (KafkaError, TimeoutError, OSError) as error:
            # An idempotent producer that lost a batch may refuse all later ones: start afresh.
            await self._discard(producer)
            raise connection.fault(error, topic) from error

    async def probe(self) -> None:
        """Return when the broker answers; raise otherwise."""
        producer = await self._running()
        try:
            await producer.client.force_metadata_update()
            if not producer.client.cluster.brokers():
                raise Retryable("kafka", "no broker in the cluster's metadata")
            await producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            await self._discard(producer)
            raise connection.fault(error, self._bootstrap) from error

    async def close(self) -> None:
        """Stop the producer, bounded; what was awaited has been delivered already."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _running(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **connection.arguments(self._bootstrap),
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=2,
                    request_timeout_ms=int(DELIVERY_LIMIT_S * 1000),
                    max_request_size=MAX_EVENT_BYTES + DEAD_LETTER_SLACK_BYTES,
                )
                try:
                    async with asyncio.timeout(DELIVERY_LIMIT_S):
                        await producer.start()
                except (KafkaError, TimeoutError, OSError) as error:
                    await _stop(producer)
                    raise connection.fault(error, f"cannot reach {self._bootstrap}") from error
                self._producer = producer
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer, bounded. One with unsent batches would wait for them for as long as the broker is away."""
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(STOP_LIMIT_S):
            await producer.stop()
            return
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(STOP_LIMIT_S):
            await producer._sender.close()  # noqa: SLF001 - pinned by tests/contract/test_faust_edge.py
            await producer.client.close()
