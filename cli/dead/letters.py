"""Dead letters as they stand on a site's dead topic and the global one: who they are about, and which are meant."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from cli.tape import TopicReader
from schemas.codec import decode, read_dead_letter
from schemas.faults import Poison
from schemas.messages import Capture, DeadLetter
from streams.delivery import Delivery
from streams.topics import Entity, entity_of, site_of, topic

GLOBAL: Final = "global"
_IDS: Final = ("capture_id", "scan_id", "disposition_id", "reference_id", "product_id", "unit_id")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter without its value: a flood of large ones must fit into memory.

    `said` is what its headers say, None where they are not those of a dead letter. `ids` are what the original calls
    itself, as far as it can be read; whoever sent it chose them.
    """

    topic: str
    partition: int
    offset: int
    append_ms: int
    size: int
    said: DeadLetter | None
    station: str
    ids: tuple[str, ...]

    @property
    def position(self) -> str:
        """How commands name it: `1:42`, or `global:1:42` on the global topic."""
        place = f"{self.partition}:{self.offset}"
        return place if site_of(self.topic) is not None else f"{GLOBAL}:{place}"

    @property
    def key(self) -> str:
        """How the store remembers it."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def entity(self) -> Entity | None:
        """What it was; None where its headers name no topic of ours."""
        try:
            return entity_of(self.said.topic) if self.said is not None else None
        except ValueError:
            return None

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self.said.reason if self.said is not None else "no reason"

    def named(self, wanted: str) -> bool:
        """Whether somebody who types this means it."""
        return wanted == self.position or wanted in self.ids


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; empty means any."""

    name: str = ""  # position or id
    reasons: frozenset[str] = frozenset()
    entities: frozenset[Entity] = frozenset()
    station: str = ""
    since: datetime | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing was asked for in particular."""
        return self == Wanted()

    def holds(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.name or letter.named(self.name))
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.entities or letter.entity in self.entities)
            and (not self.station or letter.station == self.station)
        )


class _About(msgspec.Struct):
    """What an original says of itself; anything may stand there."""

    station: object = None
    capture_id: object = None
    scan_id: object = None
    disposition_id: object = None
    reference_id: object = None
    product_id: object = None
    unit_id: object = None


_DECODER: Final = msgspec.json.Decoder(_About)


def letter_of(delivery: Delivery) -> Letter:
    """Read a record of a dead topic."""
    try:
        said = read_dead_letter(delivery.headers)
    except Poison:
        said = None
    try:
        about = _DECODER.decode(delivery.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        about = _About()
    ids = [one for name in _IDS if isinstance(one := getattr(about, name), str)]
    return Letter(
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        append_ms=delivery.append_ms,
        size=len(delivery.value or b""),
        said=said,
        station=about.station if isinstance(about.station, str) else "",
        ids=tuple(ids),
    )


async def read(bootstrap: str, site: str, wanted: Wanted) -> AsyncIterator[tuple[Letter, Delivery]]:
    """Yield the letters that are meant, each partition in its order, from a site's dead topic and the global one.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: the site has no topics.
    """
    since_ms = 0 if wanted.since is None else round(wanted.since.timestamp() * 1000)
    async with TopicReader(bootstrap, [topic(Entity.DEAD, site), topic(Entity.DEAD)]) as reader:
        async for delivery in reader.since(since_ms):
            letter = letter_of(delivery)
            if wanted.holds(letter):
                yield letter, delivery


async def listed(bootstrap: str, site: str, wanted: Wanted) -> list[Letter]:
    """Return the letters that are meant, the oldest first."""
    return in_time([letter async for letter, _ in read(bootstrap, site, wanted)])


def in_time(letters: Sequence[Letter]) -> list[Letter]:
    """Return letters by the broker's time."""
    return sorted(letters, key=lambda one: (one.append_ms, one.topic, one.partition, one.offset))


def capture_of(delivery: Delivery) -> Capture | None:
    """Return the capture in a letter, if it is a readable one."""
    try:
        return decode(Capture, delivery.value)
    except Poison:
        return None


def digest_of(delivery: Delivery) -> str:
    """Return the SHA-256 of a message's bytes, as outcomes keep it."""
    return hashlib.sha256(delivery.value or b"").hexdigest()
