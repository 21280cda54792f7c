"""The life of references in the gallery's Redis: what was seen of a product, and moves that are made whole or not.

    gallery:seen:<product>      hash   reference id -> a capture that a person judged, in bounded number and age
    gallery:held:<product>      text   why nothing of the product is promoted for now; expires
    gallery:moving              set    products that have candidates or references that may fade
    gallery:compared            hash   product id -> captures compared with its references
    gallery:nearest             hash   reference id -> that number and the time when it was last the nearest

Only the curator calls this, one process or several: every change raises the product's turn, and a move is refused where
the turn is not the one it was thought out on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from evidence import prints
from gallery.entry import Entry, pack
from gallery.facts import Facts, State
from gallery.link import (
    COMPARED,
    EPOCH,
    FACTS,
    FEED,
    FEED_LENGTH,
    HELD,
    MOVING,
    NEAREST,
    OF,
    PATCHES,
    PRINTS,
    REFERENCES,
    SEEN,
    TURN,
    VERSIONS,
    GalleryLink,
    as_faults,
    new_epoch,
    patch_key,
)
from gallery.seen import Seen

MOST_SEEN: Final = 24  # judged captures remembered of a product: at two views of 9.4 + 33 kB some two megabytes


class Effect(enum.StrEnum):
    """What a judged capture did."""

    CANDIDATE = "candidate"
    SEEN = "seen"  # damaged or the wrong item: kept to check candidates against
    KNOWN = "known"  # nothing: it was delivered before
    CONTRADICTS = "contradicts"  # it took a candidate or reference out
    CONTRADICTED = "contradicted"  # nothing: the capture was found damaged before


@dataclass(frozen=True, slots=True)
class Move:
    """One reference and the facts that it is to have; without any it is forgotten. `seen` makes a capture one."""

    reference_id: str
    facts: Facts | None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """Everything that is known of one product's references at one turn."""

    product_id: str
    turn: int
    facts: Mapping[str, Facts]
    seen: Mapping[str, Seen]
    held: str  # why nothing is promoted for now; empty if nothing stands against it

    def standing(self, *states: State) -> dict[str, Facts]:
        """Return the references in some states, the newest first."""
        chosen = [(key, facts) for key, facts in self.facts.items() if facts.state in states]
        return dict(sorted(chosen, key=lambda pair: (-pair[1].since_ms, pair[0])))


class Lives:
    """Reads and moves lives. Every method raises `Retryable` of `gallery` while Redis is away, loading or slow."""

    def __init__(self, link: GalleryLink) -> None:
        """Use the gallery's own connection."""
        self._redis = link.redis
        self._see = link.script("see")
        self._move = link.script("move")

    async def see(self, entry: Entry, seen: Seen, facts: Facts, *, keep_ms: int, hold_ms: int) -> Effect:
        """Remember a judged capture; the same one again changes nothing.

        A cleared one becomes a candidate. One that is not takes a candidate or reference of the same capture out, and
        holds its product back for `hold_ms`: a person was wrong about it before.
        """
        product, version = entry.product_id, seen.model_version
        keys = [SEEN + product, FACTS, OF + product, TURN + product, patch_key(version, entry.reference_id)]
        keys += [MOVING, HELD + product, EPOCH, FEED, VERSIONS, PRINTS + entry.reference_id]
        said: list[bytes | str | int] = [entry.reference_id, seen.pack(), entry.patches.tobytes()]
        said += [int(seen.cleared), msgspec.json.encode(facts), keep_ms, MOST_SEEN, product, hold_ms, facts.why]
        said += [
            REFERENCES,
            PATCHES,
            new_epoch(),
            FEED_LENGTH,
            version,
            prints.pack(entry.prints),
        ]
        with as_faults():
            effect: bytes = await self._see(keys=keys, args=said)
        return Effect(effect.decode())

    async def of(self, product_id: str) -> Cast:
        """Return what is known of a product's references."""
        with as_faults():
            async with self._redis.pipeline(transaction=True) as all_of_it:
                all_of_it.get(TURN + product_id).smembers(OF + product_id)
                all_of_it.hgetall(SEEN + product_id).get(HELD + product_id)
                turn, ids, seen, held = await all_of_it.execute()
            names = sorted(each.decode() for each in ids)
            found = await self._redis.hmget(FACTS, names) if names else []
        facts = {
            name: msgspec.json.decode(raw, type=Facts)
            for name, raw in zip(names, found, strict=True)
            if raw is not None
        }
        facts = {name: each for name, each in facts.items() if each.product_id == product_id}  # it may have moved
        sightings = {key.decode(): Seen.unpack(raw) for key, raw in seen.items()}
        return Cast(product_id, int(turn or 0), facts, sightings, (held or b"").decode())

    async def move(self, cast: Cast, moves: Sequence[Move], *, at_ms: int) -> bool:
        """Make all moves, or none where the product has changed since `cast` was read: then read it anew."""
        product = cast.product_id
        keys = [TURN + product, FACTS, OF + product, SEEN + product, VERSIONS, EPOCH, FEED]
        said: list[bytes | str | int] = [cast.turn, product, REFERENCES, PATCHES, new_epoch(), FEED_LENGTH, PRINTS]
        for each in moves:
            packed = b""
            if each.seen is not None:
                packed = msgspec.msgpack.encode(msgspec.structs.replace(each.seen.reference, since_ms=at_ms))
            if each.facts is None:
                said += [each.reference_id, "gone", "", "", ""]
            else:
                facts = each.facts
                said += [each.reference_id, facts.state.value, msgspec.json.encode(facts), facts.model_version, packed]
        with as_faults():
            return bool(await self._move(keys=keys, args=said))

    async def moving(self) -> list[str]:
        """Return the products that have candidates or references that may fade."""
        with as_faults():
            return sorted(each.decode() for each in await self._redis.smembers(MOVING))

    async def at_rest(self, product_id: str) -> None:
        """Note that nothing of a product moves by itself any more."""
        with as_faults():
            await self._redis.srem(MOVING, product_id)

    async def forget(self, product_id: str, *, born: str) -> None:
        """Forget every judged capture of a product, and the references whose ids begin with `born`."""
        cast = await self.of(product_id)
        moves = [Move(key, None) for key in cast.facts if key.startswith(born)]
        if moves:
            await self.move(cast, moves, at_ms=0)
        with as_faults():
            await self._redis.delete(SEEN + product_id, HELD + product_id)

    async def tally(self, nearest: Mapping[str, str], compared: Mapping[str, int], *, at_ms: int) -> None:
        """Add what an inspector counted: product of each reference that was the nearest, captures by product."""
        with as_faults():
            async with self._redis.pipeline(transaction=False) as counting:
                for product, number in compared.items():
                    counting.hincrby(COMPARED, product, number)
                totals = dict(zip(compared, await counting.execute(), strict=True))
            if nearest:
                marks = {each: f"{totals[product]} {at_ms}" for each, product in nearest.items()}
                await self._redis.hset(NEAREST, mapping=marks)

    async def compared(self, product_id: str, reference_ids: Sequence[str]) -> tuple[int, dict[str, tuple[int, int]]]:
        """Return how many captures were compared with a product, and when each reference was last the nearest.

        That moment is given as the number of captures compared up to then and as a time (ms).
        """
        with as_faults():
            total = await self._redis.hget(COMPARED, product_id)
            marks = await self._redis.hmget(NEAREST, list(reference_ids)) if reference_ids else []
        last = {}
        for reference_id, mark in zip(reference_ids, marks, strict=True):
            if mark is not None:
                number, at_ms = mark.split(b" ")
                last[reference_id] = (int(number), int(at_ms))
        return int(total or 0), last


def as_seen(entry: Entry, *, cleared: bool, at_ms: int, site: str, capture_id: str, unit_id: str, who: str) -> Seen:
    """Return what is remembered of a judged capture that was embedded like a reference."""
    return Seen(pack(entry), cleared, at_ms, site, capture_id, unit_id, who, entry.model_version)
