"""The one place that touches Faust's inside, and the list of what it touches.

Pinned by tests/contract/test_faust_edge.py, so that an upgrade that moves any of it fails there and not on a line:

- `App.transport` can be set; `Transport.Consumer` names the consumer class;
- `Consumer.on_partitions_revoked(revoked)` is called before acks of the partitions are forgotten, and forgets them;
- `Consumer.commit()` commits what is acked; `App.consumer_generation_id` and `ConsumerMessage.generation_id`;
- `App._consumer` is None until the app has one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, cast

import faust
import structlog
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP

from settings.line import Settings
from streams import connection, legible
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from telemetry.metrics import METRICS

DRAIN_LIMIT_S: Final = 2.0
COMMIT_LIMIT_S: Final = 1.0
Deliver = Callable[[Delivery, Callable[[], object]], Awaitable[None]]
Revoke = Callable[[Sequence[tuple[str, int]]], Awaitable[None]]
Assign = Callable[[Sequence[tuple[str, int]]], None]
log = structlog.get_logger(__name__)


class App(faust.App):
    """A Faust app that knows how its worker gives up partitions and takes them."""

    logger = logging.getLogger("faust.app")  # else a subclass logs in our name
    revoke: Revoke
    assign: Assign
    is_member = False  # of a settled group, with partitions or, where there are more workers than those, without


class _Consumer(Consumer):
    """Faust's consumer, except that work in flight is finished or dropped *before* the acks are forgotten."""

    logger = logging.getLogger("faust.consumer")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop admission, let the worker drain, commit what it acknowledged, then let Faust go on."""
        started = time.monotonic()
        self.stop_flow()
        METRICS.revoked.inc()
        METRICS.partitions.set(0)
        cast(App, self.app).is_member = False
        METRICS.member.set(0)
        reach(FaultPoint.REVOKING)
        await cast(App, self.app).revoke([(tp.topic, tp.partition) for tp in revoked])
        reach(FaultPoint.DRAINED)
        await _commit(self)
        reach(FaultPoint.COMMITTED)
        took_s = round(time.monotonic() - started, 2)
        log.info("partitions revoked", count=len(revoked), partitions=_spelled(revoked), took_s=took_s)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let the new generation in, and report what this process holds now."""
        cast(App, self.app).assign([(tp.topic, tp.partition) for tp in assigned])
        await super().on_partitions_assigned(assigned, generation_id)
        cast(App, self.app).is_member = True
        METRICS.member.set(1)
        METRICS.partitions.set(len(assigned))
        log.info("partitions assigned", count=len(assigned), partitions=_spelled(assigned), generation=generation_id)


def _spelled(partitions: Iterable[TP]) -> dict[str, str]:
    """Write partitions by topic, as `0 3 7`: what `sideline explain --history` looks for in the log."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for tp in sorted(partitions):
        numbers[tp.topic].append(tp.partition)
    return {topic: " ".join(map(str, found)) for topic, found in numbers.items()}


class _Transport(Transport):
    """Faust's Kafka transport with our consumer."""

    Consumer = _Consumer


async def _commit(consumer: Any) -> None:  # noqa: ANN401 - Faust ships no types
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(COMMIT_LIMIT_S):
            await consumer.commit()


def build(
    settings: Settings, *, group: str, topics: Sequence[str], deliver: Deliver, revoke: Revoke, assign: Assign
) -> App:
    """Make the Faust app of one worker: one agent over raw bytes of all its topics, nothing acknowledged by itself."""
    legible.install()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = App(
        group,
        broker=[f"kafka://{address}" for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings.kafka_bootstrap),
        broker_client_id=f"{group}-{settings.worker_name}",
        datadir=settings.data_dir / settings.worker_name,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        broker_commit_interval=0.5,
        broker_commit_every=500,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 3,
        broker_request_timeout=max(20.0, settings.session_timeout_s),
        broker_max_poll_interval=6 * 3600.0,  # back-pressure must not mean leaving the group
        consumer_auto_offset_reset="earliest",
        worker_redirect_stdouts=False,
    )
    app.revoke, app.assign = revoke, assign
    app.transport = _Transport(app.conf.broker_consumer, app)

    async def take(stream: Any) -> None:  # noqa: ANN401 - Faust ships no types
        async for event in stream.noack().events():
            message = event.message
            if message.generation_id != app.consumer_generation_id:
                continue  # of partitions that were taken away meanwhile; Kafka delivers it again
            await deliver(
                Delivery(
                    topic=message.topic,
                    partition=message.partition,
                    offset=message.offset,
                    key=message.key,
                    value=message.value,
                    headers=tuple((name, value or b"") for name, value in message.headers or ()),
                    append_ms=round(message.timestamp * 1000),
                ),
                event.ack,
            )

    app.agent(app.topic(*topics, key_type=bytes, value_type=bytes), concurrency=1, name=f"{group}.take")(take)
    return app


def _credentials(bootstrap: str) -> Credentials | None:
    """Return the process's credential in Faust's form, None where nothing protects the connection."""
    made = connection.arguments(bootstrap)
    protocol, authorities = made["security_protocol"], made.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return SSLCredentials(authorities)
    return SASLCredentials(
        username=made["sasl_plain_username"],
        password=made["sasl_plain_password"],
        mechanism=made["sasl_mechanism"],
        ssl_context=authorities,
    )


async def stop(app: faust.App) -> None:
    """Commit what is acknowledged and leave the group. Call after the window is drained."""
    if app._consumer is not None:  # noqa: SLF001 - listed above
        await _commit(app.consumer)
    await app.stop()


async def crashed(app: faust.App) -> BaseException | None:
    """Wait until the app stops by itself and return why."""
    await app.wait_until_stopped()
    return app.crash_reason
