"""The records of a site read from its topics, and what replay keeps of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from budget.config import BudgetConfig
from budget.store import DecisionStore
from cli.here import Line
from cli.replay.rows import Row, row_of
from cli.tape import TopicReader
from evidence.calibration import Calibration
from feedback.labels import Heard, Stop
from schemas.codec import decode
from schemas.faults import Fatal, Poison
from schemas.messages import Decision, Disposition
from schemas.words import Divert
from streams.delivery import Delivery
from streams.topics import Entity, topic

Say = Callable[[str, int, int], None]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
END: Final = datetime.max.replace(tzinfo=UTC)
_STAGE: Final = "records"
_SAY_EVERY: Final = 256
_CLOCKS_MS: Final = 3_600_000  # the store dates decisions, the broker records: their clocks may differ by this much


@dataclass(frozen=True, slots=True)
class Range:
    """From when to when a decision was made, by the store's clock; the end is not in it."""

    since: datetime = EPOCH
    until: datetime = END

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return self.since <= moment < self.until


@dataclass(slots=True)
class Read:
    """What was met on the way: copies of a record sent again, captures with two values, records nobody can read."""

    again: int = 0
    twice: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class Records:
    """The decisions of a site, each once, as they come from the topic."""

    def __init__(self, line: Line, site: str, say: Say) -> None:
        """Keep where they are."""
        self._line, self._site, self._say = line, site, say
        self._seen: dict[str, bytes] = {}  # capture -> digest of its value
        self.read = Read()

    async def decisions(self, since: datetime) -> AsyncIterator[Decision]:
        """Yield the decisions that reached the topic from a moment on."""
        since_ms = max(0, int(since.timestamp() * 1000) - _CLOCKS_MS)
        async with TopicReader(self._line.bootstrap, [topic(Entity.DECISIONS, self._site)]) as reader:
            total, done = await reader.length(since_ms), 0
            async for delivery in reader.since(since_ms):
                done += 1
                if done % _SAY_EVERY == 0:
                    self._say(_STAGE, done, total)
                decision = self._decode(delivery)
                if decision is not None and self._is_new(decision.capture_id, delivery.value or b""):
                    yield decision
            self._say(_STAGE, total, total)

    def _decode(self, delivery: Delivery) -> Decision | None:
        if delivery.value is None:
            return None
        try:
            return decode(Decision, delivery.value)
        except Poison as error:
            self.read.unreadable.append(f"partition {delivery.partition}, offset {delivery.offset}: {error}")
            return None

    def _is_new(self, capture_id: str, value: bytes) -> bool:
        digest = hashlib.blake2b(value, digest_size=16).digest()
        known = self._seen.setdefault(capture_id, digest)
        if known is digest:
            return True
        if known == digest:
            self.read.again += 1
        else:
            self.read.twice.append(capture_id)
        return False


class Configurations:
    """The versions of a site's configuration that records name, asked of the store once each."""

    def __init__(self, store: DecisionStore, site: str) -> None:
        """Keep the store; the caller closes it."""
        self._store, self._site = store, site
        self.known: dict[int, BudgetConfig] = {}
        self._asked: set[int] = set()

    async def want(self, decision: Decision) -> None:
        """Have the configuration of a decision at hand, if the store has it."""
        version = decision.config_version
        if version is None or version in self._asked:
            return
        self._asked.add(version)
        config = await self._store.configuration(self._site, version)
        if config is not None:
            self.known[version] = config


@dataclass(slots=True)
class Sequence:
    """What a simulation is made of: the rows, and the diverts that people may have judged."""

    rows: list[Row] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    missing: Counter[int] = field(default_factory=Counter)  # configurations that the store does not have


async def gather(
    records: Records, configs: Configurations, other: Calibration | None, note: Callable[[Decision], None]
) -> Sequence:
    """Read the whole of a site's decisions, scored anew by `other` if it is given; `note` sees each.

    Raises:
        Fatal: a record does not hold together.
        Retryable: `redis` or `kafka` is away.
    """
    found = Sequence()
    async for decision in records.decisions(EPOCH):
        note(decision)
        if decision.seq is None:
            continue  # not decided from a score: it took no part in the budget
        await configs.want(decision)
        config = configs.known.get(decision.config_version or 0)
        if config is None:
            found.missing[decision.config_version or 0] += 1
            continue
        try:
            row = row_of(decision, other)
        except (Poison, ValueError) as error:
            raise Fatal(
                f"the record of {decision.capture_id} does not hold together ({error}): replay without a change names "
                "all such records"
            ) from None
        if row is None:
            continue
        found.rows.append(row)
        if decision.divert is not Divert.NONE:
            found.stops.append(Stop(decision, config.verdict_timeout_ms))
    return found


async def hear(line: Line, site: str) -> list[Heard]:
    """Read what people said, in the order of the broker's times."""
    found = []
    async with TopicReader(line.bootstrap, [topic(Entity.DISPOSITIONS, site)]) as reader:
        for delivery in sorted(await reader.rest(), key=lambda one: (one.append_ms, one.partition, one.offset)):
            try:
                found.append(Heard(decode(Disposition, delivery.value), delivery.append_ms))
            except Poison:
                continue  # a dead letter then and now
    return found
