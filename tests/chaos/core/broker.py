"""A broker in memory, and a consumer of it that acknowledges and commits by the rules of Faust 0.15.3."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cli.tape import Tape
from streams.delivery import Delivery
from streams.topics import Entity, topic

TAPED: Final = (Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.DEAD)


@dataclass(frozen=True, slots=True)
class Commit:
    """An offset that the broker took from a consumer, and how much lay on the output topics at that moment."""

    partition: int
    offset: int  # the first one not done
    decisions: int
    sidelined: int
    dead: int


class Broker:
    """The topics of one site. Captures have partitions; of the other topics one is enough."""

    def __init__(self, site: str, partitions: int, *, ahead_ms: int) -> None:
        """Begin with empty topics, and a clock so far ahead of this machine's."""
        self._ahead_ms = ahead_ms
        self._names = {topic(entity, site): entity for entity in TAPED}
        self.captures: list[list[Delivery]] = [[] for _ in range(partitions)]
        self.rest: dict[Entity, list[Delivery]] = {entity: [] for entity in TAPED if entity is not Entity.CAPTURES}
        self.owners: list[Consumer | None] = [None] * partitions
        self.committed: list[int | None] = [None] * partitions
        self.commits: list[Commit] = []

    def append(
        self,
        name: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int = 0,
    ) -> Delivery:
        """Append a record to a topic and return it as it will be delivered."""
        entity = self._names[name]
        log = self.captures[partition] if entity is Entity.CAPTURES else self.rest[entity]
        record = Delivery(name, partition, len(log), key, value, tuple(headers), self.now_ms())
        log.append(record)
        return record

    def now_ms(self) -> int:
        """Return the broker's time."""
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def commit(self, consumer: Consumer, partition: int, offset: int) -> None:
        """Take an offset from the partition's owner; from anyone else it is of an old generation and refused."""
        if self.owners[partition] is not consumer:
            return
        self.committed[partition] = offset
        made = (len(self.rest[entity]) for entity in (Entity.DECISIONS, Entity.SIDELINED, Entity.DEAD))
        self.commits.append(Commit(partition, offset, *made))

    @property
    def lag(self) -> int:
        """Captures whose offsets are not committed."""
        return sum(len(log) - (done or 0) for log, done in zip(self.captures, self.committed, strict=True))

    def tape(self) -> Tape:
        """Return the topics as the checker reads them."""
        captures = tuple(record for log in self.captures for record in log)
        return Tape(captures, *(tuple(self.rest[entity]) for entity in TAPED[1:]))


class Consumer:
    """One process's membership: what it holds, how far it has read, what is acknowledged.

    `acknowledge` and `commit` follow `Consumer.ack`, `_new_offset` and `_commit_offsets` of faust-streaming 0.15.3,
    weaknesses included: progress is inferred from acknowledgements alone, those of earlier generations count, and one
    missing offset at the head goes unnoticed.
    """

    def __init__(self, broker: Broker) -> None:
        """Hold nothing yet."""
        self._broker = broker
        self._position: dict[int, int] = {}
        self._acked: dict[int, set[int]] = defaultdict(set)
        self._committed: dict[int, int | None] = {}

    @property
    def holds(self) -> list[int]:
        """The partitions that this process believes to be its own."""
        return sorted(self._position)

    def take(self, partition: int) -> None:
        """Begin to own a partition, where the group left off."""
        self._broker.owners[partition] = self
        committed = self._broker.committed[partition]
        self._position[partition] = committed or 0
        self._committed[partition] = committed or None

    def forget(self, partition: int) -> None:
        """Stop to own a partition; the group may give it to another."""
        for known in (self._position, self._acked, self._committed):
            known.pop(partition, None)
        if self._broker.owners[partition] is self:
            self._broker.owners[partition] = None

    def waiting(self, partition: int) -> bool:
        """Whether a record can be fetched from a partition."""
        return self._position[partition] < len(self._broker.captures[partition])

    def fetch(self, partition: int) -> tuple[Delivery, Callable[[], None]]:
        """Return the next record of a partition, and what acknowledges it."""
        record = self._broker.captures[partition][self._position[partition]]
        self._position[partition] += 1
        return record, lambda: self._acknowledge(partition, record.offset)

    def _acknowledge(self, partition: int, offset: int) -> None:
        committed = self._committed.get(partition)
        if committed is None or offset >= committed:
            self._acked[partition].add(offset)

    def commit(self) -> None:
        """Commit what the acknowledgements say is done."""
        for partition in list(self._acked):
            offset = self._done(partition)
            if offset is None or partition not in self._position:
                continue
            committed = self._committed[partition]
            if committed is None or offset > committed:
                self._committed[partition] = offset
                self._broker.commit(self, partition, offset)

    def _done(self, partition: int) -> int | None:
        acked, committed = sorted(self._acked[partition]), self._committed.get(partition)
        if not acked or (committed and acked[0] - committed > 1):
            return None
        done = acked[0]
        while done in self._acked[partition]:
            self._acked[partition].remove(done)
            done += 1
        return done
