"""The world around the inspectors: a station that sends captures, people who judge stops, a settler that hears them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from budget.store import DecisionStore
from schemas.codec import decode, encode, new_uuid7
from schemas.faults import Poison
from schemas.messages import Capture, Disposition, View
from schemas.words import Verdict
from streams.dead_letters import headers_of
from streams.topics import Entity, topic
from tests.chaos.core.broker import Broker
from tests.chaos.core.process import BAD_VIEW

# The store's and the broker's clocks start here in every schedule, so that ids, and with them the draws for audits, are
# the seed's. It lies ahead of this machine's clock: nothing is overdue to an inspector that is not meant to be.
EPOCH: Final = datetime(2100, 1, 1, tzinfo=UTC)
EPOCH_MS: Final = round(EPOCH.timestamp() * 1000)
OVERDUE: Final = datetime(2020, 1, 1, tzinfo=UTC)
LINE: Final = "line-1"


@dataclass(slots=True)
class Floor:
    """What happens outside of the processes, and what it has come to."""

    site: str
    broker: Broker
    store: DecisionStore
    rng: random.Random
    to_send: int
    captures: list[Capture] = field(default_factory=list)  # good ones, for repetitions and impostors
    acknowledged: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    settled: int = 0

    @property
    def is_done(self) -> bool:
        """Whether everything was sent, judged and settled."""
        return not self.to_send and not self.to_judge() and not self.unsettled

    @property
    def unsettled(self) -> int:
        """How many verdicts the settler has not heard."""
        return len(self.broker.rest[Entity.DISPOSITIONS]) - self.settled

    def send(self) -> None:
        """The station appends a capture: a new one, one again, an impostor under its id, or bytes that are none."""
        self.to_send -= 1
        draw = self.rng.random()
        if draw < 0.15 and self.captures:
            capture = self.rng.choice(self.captures)
            self._append(encode(capture))
        elif draw < 0.20 and self.captures:
            capture = self.rng.choice(self.captures)
            other = {field: getattr(capture, field) for field in capture.__struct_fields__}
            self._append(encode(Capture(**{**other, "station": "impostor"})))
        elif draw < 0.25:
            self._append(b"no capture")
        else:
            self._append(encode(self._capture(draw)))

    def _capture(self, draw: float) -> Capture:
        capture_id = new_uuid7(at_ms=EPOCH_MS + len(self.acknowledged), random_bits=self.rng.getrandbits(74))
        capture = Capture(
            capture_id=capture_id,
            site=self.site,
            line="nowhere" if draw < 0.29 else LINE,
            station="station-1",
            unit_id=f"unit-{capture_id}",
            captured_at=EPOCH,
            views=[View(uri=BAD_VIEW if 0.29 <= draw < 0.37 else "file:///images/1.jpg", sha256="0" * 64, size=1)],
            decide_by=OVERDUE if 0.37 <= draw < 0.42 else None,
        )
        self.acknowledged.add(capture_id)
        if capture.line == LINE:
            self.captures.append(capture)
        return capture

    def _append(self, value: bytes) -> None:
        name = topic(Entity.CAPTURES, self.site)
        self.broker.append(name, key=b"unit", value=value, partition=self.rng.randrange(len(self.broker.captures)))

    def to_judge(self) -> list[str]:
        """Return the captures on the sidelined topic that nobody has judged."""
        keys = ((record.key or b"").decode() for record in self.broker.rest[Entity.SIDELINED])
        return sorted(set(keys) - self.judged)

    def judge(self) -> None:
        """A person looks at one of them."""
        capture_id = self.rng.choice(self.to_judge())
        self.judged.add(capture_id)
        said = Disposition(
            disposition_id=f"said-{capture_id}",
            site=self.site,
            associate_id="anna",
            judged_at=EPOCH,
            verdict=self.rng.choice((Verdict.DAMAGED, Verdict.SELLABLE, Verdict.UNSURE)),
            capture_id=capture_id,
        )
        self.broker.append(topic(Entity.DISPOSITIONS, self.site), key=b"unit", value=encode(said))

    async def settle(self) -> None:
        """The settler hears the next verdict; one that cannot count becomes a dead letter."""
        record = self.broker.rest[Entity.DISPOSITIONS][self.settled]
        self.settled += 1
        try:
            await self.store.settle(decode(Disposition, record.value))
        except Poison as poison:
            name = topic(Entity.DEAD, self.site)
            headers = headers_of(record, poison, worker="settler")
            self.broker.append(name, key=record.key, value=record.value, headers=headers)

    async def settle_again(self) -> None:
        """The settler died before it committed: the last verdicts come once more."""
        self.settled -= self.rng.randint(1, self.settled)
