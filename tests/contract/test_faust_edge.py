"""What `streams.faust_edge` relies on in Faust holds in the version installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from settings.line import Settings
from streams import faust_edge

PARTITION = TP("sideline.a.captures.v1", 0)


class Bench:
    """An app that is never started, and what its worker was told."""

    def __init__(self, folder: Path) -> None:
        """Build the app as workers do."""
        self.revoked: list[tuple[str, int]] = []
        self.acked_at_revoke: list[int] = []
        self.assigned: list[tuple[str, int]] = []
        self.app = faust_edge.build(
            Settings(data_dir=folder),
            group="contract",
            topics=[PARTITION.topic],
            deliver=self.deliver,
            revoke=self.revoke,
            assign=self.assigned.extend,
        )
        self.consumer: Any = self.app.consumer

    async def deliver(self, *_: object) -> None:
        """Take nothing."""

    async def revoke(self, partitions: Any) -> None:  # noqa: ANN401 - Faust's own sets of partitions
        """Note what is revoked and whether its acks are still there."""
        self.revoked += partitions
        self.acked_at_revoke += self.consumer._acked[PARTITION]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Build an app around a temporary folder."""
    made = Bench(tmp_path)
    yield made
    made.consumer._thread.thread_loop.close()


class TestEdge:
    """Every private of Faust that is touched, touched here first."""

    async def test_the_app_uses_our_consumer(self, bench: Bench) -> None:
        """Setting the transport decides which consumer class the app makes."""
        assert isinstance(bench.consumer, faust_edge._Consumer)

    async def test_drain_comes_before_acks_are_forgotten(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """At a revoke our handler runs first and the commit second; only then does Faust drop the acks."""
        order: list[str] = []

        async def commit() -> bool:
            order.append(f"commit of {bench.consumer._acked[PARTITION]}")
            return True

        async def callback(revoked: set[TP]) -> None:
            order.append(f"faust forgot, {PARTITION in bench.consumer._acked}")

        monkeypatch.setattr(bench.consumer, "commit", commit)
        monkeypatch.setattr(bench.consumer, "_on_partitions_revoked", callback)
        bench.consumer._acked[PARTITION].append(7)
        await bench.consumer.on_partitions_revoked({PARTITION})
        assert [(PARTITION.topic, PARTITION.partition)] == bench.revoked
        assert [7] == bench.acked_at_revoke
        assert ["commit of [7]", "faust forgot, False"] == order
        assert not bench.consumer.flow_active

    async def test_the_worker_lets_a_generation_in_before_faust_does(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At an assignment our handler runs first: the flow of events resumes only in Faust's."""
        known: list[int] = []

        async def callback(assigned: set[TP], generation: int) -> None:
            known.append(len(bench.assigned))

        monkeypatch.setattr(bench.consumer, "_on_partitions_assigned", callback)
        bench.app._rebalancing_sensor_state = None
        await bench.consumer.on_partitions_assigned({PARTITION}, 1)
        assert [1] == known

    async def test_stock_progress_skips_a_message_in_flight(self, bench: Bench) -> None:
        """Why the ledger exists: offset 5 acked while 4 is in work makes Faust commit 6, and 4 is lost on a crash.

        The day this fails, upstream has mended it and the decision record about the ledger wants a look.
        """
        consumer: Any = bench.consumer
        consumer._committed_offset[PARTITION] = 4
        consumer._acked[PARTITION].append(5)
        assert Consumer._new_offset(consumer, PARTITION) == 6

    async def test_nothing_is_acknowledged_by_itself(self, bench: Bench) -> None:
        """One agent, one at a time, raw bytes, a commit twice a second, no leaving the group under back-pressure."""
        conf: Any = bench.app.conf
        assert conf.broker_commit_interval == 0.5
        assert conf.stream_wait_empty is False
        assert conf.topic_allow_declare is False
        assert conf.broker_max_poll_interval >= 3600
        assert [1] == [agent.concurrency for agent in bench.app.agents.values()]
        assert bench.app.consumer_generation_id == 0


class TestProducer:
    """What `streams.outbox` needs to end a producer whose broker is away."""

    async def test_an_abandoned_producer_can_be_ended(self) -> None:
        """The sender and the client can be closed by themselves, without waiting for batches that cannot leave."""
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        await producer._sender.close()
        await producer.client.close()
        await producer.stop()
