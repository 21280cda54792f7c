"""The gallery in Redis: source of truth, and a feed of what changed.

    gallery:products                    hash   product id -> product as JSON, retired ones included
    gallery:references:<version>        hash   reference id -> product, digest and vectors, packed
    gallery:patches:<version>:<id>      bytes  int8[V, 196, 48]
    gallery:prints:<id>                 bytes  of each view, see evidence.prints; whatever the model version
    gallery:facts                       hash   reference id -> where it stands in its life and why, as JSON (`Facts`)
    gallery:of:<product>                set    ids of all its references, candidates and retired ones included
    gallery:turn:<product>              number changes with everything of the product's references
    gallery:versions                    set    model versions that have references
    gallery:feed                        stream which product or reference changed, bounded in length
    gallery:epoch                       text   made with the first change of a store; another one is another store

The feed names what changed and not how: a follower reads the newest state of it. So events may be read twice or out
of order, and a follower that was away only has to notice that it missed some. Model versions live side by side: while a
new embedding model is rolled out, inspectors of the old one keep their references.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from evidence import prints
from evidence.discrepancy import CELLS, PATCH_SIZE
from evidence.prints import Print
from gallery.entry import Change, Entry, ProductGone, ProductPut, Reference, ReferenceGone, ReferencePut, pack
from gallery.facts import Facts, State
from gallery.link import (
    EPOCH,
    FACTS,
    FEED,
    FEED_LENGTH,
    OF,
    PATCHES,
    PRINTS,
    PRODUCTS,
    REFERENCES,
    SEEN,
    TURN,
    VERSIONS,
    GalleryLink,
    as_faults,
    new_epoch,
    patch_key,
)
from schemas import codec
from schemas.faults import Poison
from schemas.messages import Product

BATCH: Final = 256  # changes a follower takes at once, records a snapshot asks for at once
START: Final = "0-0"  # before the first event of a feed

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a follower has read, in which store."""

    epoch: str  # empty while nothing was ever written
    event: str  # id of the last event


@dataclass(frozen=True, slots=True)
class News:
    """What the feed says after a position: None for `changes` if events are missing and a fresh start is needed."""

    position: Position
    changes: tuple[Change, ...] | None


class GalleryStore:
    """The gallery's Redis, for curators (who write) and inspectors (who read).

    Every method raises `Retryable` of `gallery` while Redis is away, loading or slow.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        """Connect on first use; `timeout_s` bounds each exchange with Redis."""
        self.link = GalleryLink(url, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._redis = self.link.redis
        self._put_reference = self.link.script("put_reference")
        self._withdraw = self.link.script("withdraw")
        self._put_product = self.link.script("put_product")

    async def close(self) -> None:
        """Close the connections."""
        await self.link.close()

    async def probe(self) -> None:
        """Return if Redis answers."""
        with as_faults():
            await self._redis.exists(EPOCH)

    async def put_reference(self, entry: Entry) -> bool:
        """Keep a reference under its model version, in place of an older one of that id; False if the same is there."""
        version = entry.model_version
        packed = pack(entry)
        facts = Facts(
            entry.product_id,
            entry.source,
            entry.enrolled_ms,
            entry.uris,
            model_version=version,
            digest=packed.digest.hex(),
        ).moved(State.TRUSTED, at_ms=entry.enrolled_ms, why=f"enrolled by {entry.source or 'nobody named'}")
        keys = [REFERENCES + version, patch_key(version, entry.reference_id), FACTS, VERSIONS, EPOCH, FEED]
        keys += [OF + entry.product_id, TURN + entry.product_id, PRINTS + entry.reference_id]
        said: list[bytes | str | int] = [
            msgspec.msgpack.encode(packed),
            entry.patches.tobytes(),
            msgspec.json.encode(facts),
            version,
            new_epoch(),
            FEED_LENGTH,
            prints.pack(entry.prints),
        ]
        with as_faults():
            return bool(await self._put_reference(keys=keys, args=[entry.reference_id, *said]))

    async def withdraw(self, reference_id: str, *, why: str = "", at_ms: int = 0) -> bool:
        """Take a reference out for all model versions; False if it is not there. Why stays on record."""
        known = await self.facts(reference_id) or Facts("", "", at_ms, ())
        facts = msgspec.structs.replace(known.moved(State.WITHDRAWN, at_ms=at_ms, why=why), uris=())
        keys = [FACTS, VERSIONS, EPOCH, FEED, PRINTS + reference_id]
        said: list[bytes | str | int] = [reference_id, REFERENCES, PATCHES, new_epoch(), FEED_LENGTH]
        said += [msgspec.json.encode(facts), SEEN, TURN, known.product_id]
        with as_faults():
            return bool(await self._withdraw(keys=keys, args=said))

    async def put_product(self, product: Product) -> bool:
        """Keep a product; False if the same is there.

        A retired one stays on record as retired: its references are kept but not searched, and it may come back.
        """
        said: list[bytes | str | int] = [product.product_id, codec.encode(product), new_epoch(), FEED_LENGTH]
        with as_faults():
            return bool(await self._put_product(keys=[PRODUCTS, EPOCH, FEED], args=said))

    async def position(self) -> Position:
        """Return where the feed ends now: take it before a snapshot, follow from it afterwards."""
        with as_faults():
            async with self._redis.pipeline(transaction=True) as both:
                both.get(EPOCH).xrevrange(FEED, count=1)
                epoch, last = await both.execute()
        return Position(epoch=(epoch or b"").decode(), event=last[0][0].decode() if last else START)

    async def snapshot(self, model_version: str) -> AsyncIterator[tuple[Change, ...]]:
        """Yield all products and all references of a model version, in batches; some may come twice."""
        async for fields in self._scan(PRODUCTS):
            yield tuple(change for key, raw in fields if (change := _product(key, raw)) is not None)
        async for fields in self._scan(REFERENCES + model_version):
            yield tuple(change for key, raw in fields if (change := _reference(key, raw)) is not None)

    async def news(self, position: Position, model_version: str, *, wait_s: float) -> News:
        """Wait for changes after a position, at most `wait_s` or half the time limit, and return their newest state.

        Events are only believed if the one at `position` is still there: then none after it can have been trimmed, and
        the store has not lost its last writes in a crash.
        """
        with as_faults():
            block_ms = max(1, round(1000 * min(wait_s, self._timeout_s / 2)))
            read = await self._redis.xread({FEED: position.event}, count=BATCH, block=block_ms)
            async with self._redis.pipeline(transaction=True) as both:
                both.get(EPOCH).xrange(FEED, min=position.event, max=position.event)
                epoch, here = await both.execute()
        events = read[0][1] if read else []
        whole = bool(here) or (position.event == START and not events)
        if (epoch or b"").decode() != position.epoch or not whole:
            return News(position, None)
        if not events:
            return News(position, ())
        changes = await self._newest(
            {(body.get(b"kind", b""), body.get(b"id", b"")) for _, body in events}, model_version
        )
        return News(Position(position.epoch, events[-1][0].decode()), changes)

    async def patches(self, reference_ids: Sequence[str], *, model_version: str) -> dict[str, NDArray[np.int8]]:
        """Return int8[V, 196, 48] of each reference that is there for this model version, as read-only arrays."""
        if not reference_ids:
            return {}
        with as_faults():
            found = await self._redis.mget([patch_key(model_version, each) for each in reference_ids])
        return {
            reference_id: np.frombuffer(raw, np.int8).reshape(-1, CELLS, PATCH_SIZE)
            for reference_id, raw in zip(reference_ids, found, strict=True)
            if raw and len(raw) % (CELLS * PATCH_SIZE) == 0
        }

    async def prints(self, reference_ids: Sequence[str]) -> dict[str, tuple[Print, ...]]:
        """Return the prints of each reference that has some; what is none is logged and left out."""
        if not reference_ids:
            return {}
        with as_faults():
            found = await self._redis.mget([PRINTS + each for each in reference_ids])
        here = {}
        for reference_id, raw in zip(reference_ids, found, strict=True):
            try:
                if raw is not None:
                    here[reference_id] = prints.unpack(raw)
            except (msgspec.DecodeError, ValueError) as error:
                _log.error("gallery holds prints that cannot be read", reference_id=reference_id, error=str(error))
        return here

    async def facts(self, reference_id: str) -> Facts | None:
        """Return what is known of a reference, None if it never was."""
        with as_faults():
            raw = await self._redis.hget(FACTS, reference_id)
        return None if raw is None else msgspec.json.decode(raw, type=Facts)

    async def all_facts(self) -> AsyncIterator[tuple[str, Facts]]:
        """Yield every reference's id and facts, withdrawn ones and candidates included; some may come twice."""
        async for fields in self._scan(FACTS):
            for key, raw in fields:
                yield _text(key), msgspec.json.decode(raw, type=Facts)

    async def uris(self, reference_id: str) -> tuple[str, ...]:
        """Return where a reference's pictures are, () if it was withdrawn or never was."""
        facts = await self.facts(reference_id)
        return () if facts is None else facts.uris

    async def counts(self) -> dict[str, int]:
        """Return how many references each model version has."""
        with as_faults():
            versions = sorted(version.decode() for version in await self._redis.smembers(VERSIONS))
            return {version: await self._redis.hlen(REFERENCES + version) for version in versions}

    async def _scan(self, key: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """Yield the fields of a hash; those that are there all the time are sure to come."""
        cursor, first = 0, True
        while cursor or first:
            with as_faults():
                cursor, fields = await self._redis.hscan(key, cursor, count=BATCH)
            first = False
            yield list(fields.items())

    async def _newest(self, named: set[tuple[bytes, bytes]], model_version: str) -> tuple[Change, ...]:
        """Read what the feed named, as it is now."""
        products = sorted(key for kind, key in named if kind == b"product")
        references = sorted(key for kind, key in named if kind == b"reference")
        changes: list[Change | None] = []
        with as_faults():
            if products:
                found = await self._redis.hmget(PRODUCTS, products)
                changes += [
                    ProductGone(_text(key)) if raw is None else _product(key, raw)
                    for key, raw in zip(products, found, strict=True)
                ]
            if references:
                found = await self._redis.hmget(REFERENCES + model_version, references)
                changes += [
                    ReferenceGone(_text(key)) if raw is None else _reference(key, raw)
                    for key, raw in zip(references, found, strict=True)
                ]
        return tuple(change for change in changes if change is not None)


def _product(key: bytes, raw: bytes) -> Change | None:
    try:
        return ProductPut(codec.decode(Product, raw))
    except Poison as error:
        _log.error("gallery holds a product that cannot be read", product_id=_text(key), error=str(error))
        return None


def _reference(key: bytes, raw: bytes) -> Change | None:
    try:
        reference = msgspec.msgpack.decode(raw, type=Reference)
        reference.unpack()
    except (msgspec.DecodeError, ValueError) as error:
        _log.error("gallery holds a reference that cannot be read", reference_id=_text(key), error=str(error))
        return None
    return ReferencePut(_text(key), reference)


def _text(key: bytes) -> str:
    """Return an id as text; one that is none, written by who knows whom, stays apart from all others."""
    return key.decode(errors="backslashreplace")
