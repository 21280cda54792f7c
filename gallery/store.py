"""The gallery in Redis: source of truth, and a feed of what changed.

    gallery:products                    hash   product id -> product as JSON, retired ones included
    gallery:references:<version>        hash   reference id -> product, digest and vectors, packed
    gallery:patches:<version>:<id>      bytes  int8[V, 196, 48]
    gallery:facts                       hash   reference id -> product, source, age and picture URIs as JSON
    gallery:versions                    set    model versions that have references
    gallery:feed                        stream which product or reference changed, bounded in length
    gallery:epoch                       text   made with the first change of a store; another one is another store

The feed names what changed and not how: a follower reads the newest state of it. So events may be read twice or out
of order, and a follower that was away only has to notice that it missed some. Model versions live side by side: while a
new embedding model is rolled out, inspectors of the old one keep their references.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import redis.asyncio
import structlog
from numpy.typing import NDArray
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from evidence.discrepancy import CELLS, PATCH_SIZE
from gallery.entry import Change, Entry, ProductGone, ProductPut, Reference, ReferenceGone, ReferencePut, pack
from schemas import codec
from schemas.faults import Poison, Retryable
from schemas.messages import Product

FEED_LENGTH: Final = 100_000  # events of about 100 bytes; a follower that missed more loads everything anew
BATCH: Final = 256  # changes a follower takes at once, records a snapshot asks for at once
START: Final = "0-0"  # before the first event of a feed

_PRODUCTS: Final = "gallery:products"
_REFERENCES: Final = "gallery:references:"
_PATCHES: Final = "gallery:patches:"
_FACTS: Final = "gallery:facts"
_VERSIONS: Final = "gallery:versions"
_FEED: Final = "gallery:feed"
_EPOCH: Final = "gallery:epoch"

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


class Facts(msgspec.Struct, frozen=True):
    """What people want to know of a reference."""

    product_id: str
    source: str
    enrolled_ms: int
    uris: tuple[str, ...]


class GalleryStore:
    """The gallery's Redis, for curators (who write) and inspectors (who read).

    Every method raises `Retryable` of `gallery` while Redis is away, loading or slow.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        """Connect on first use; `timeout_s` bounds each exchange with Redis."""
        self._timeout_s = timeout_s
        # Any: the client's types cover both protocols and both decodings at once, ours is protocol 2 and bytes.
        self._redis: Any = redis.asyncio.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Once more, at once: a pooled connection may be older than a restart. Every operation here can be repeated.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        folder = Path(__file__).parent
        self._put_reference = self._redis.register_script((folder / "put_reference.lua").read_text())
        self._withdraw = self._redis.register_script((folder / "withdraw.lua").read_text())
        self._put_product = self._redis.register_script((folder / "put_product.lua").read_text())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def probe(self) -> None:
        """Return if Redis answers."""
        with _as_faults():
            await self._redis.exists(_EPOCH)

    async def put_reference(self, entry: Entry) -> bool:
        """Keep a reference under its model version, in place of an older one of that id; False if the same is there."""
        version = entry.model_version
        facts = Facts(entry.product_id, entry.source, entry.enrolled_ms, entry.uris)
        keys = [_REFERENCES + version, _patch_key(version, entry.reference_id), _FACTS, _VERSIONS, _EPOCH, _FEED]
        packed = msgspec.msgpack.encode(pack(entry))
        said: list[bytes | str | int] = [
            packed,
            entry.patches.tobytes(),
            msgspec.json.encode(facts),
            version,
            _new_epoch(),
            FEED_LENGTH,
        ]
        with _as_faults():
            return bool(await self._put_reference(keys=keys, args=[entry.reference_id, *said]))

    async def withdraw(self, reference_id: str) -> bool:
        """Take a reference out for all model versions; False if it is not there."""
        keys = [_FACTS, _VERSIONS, _EPOCH, _FEED]
        said: list[bytes | str | int] = [reference_id, _REFERENCES, _PATCHES, _new_epoch(), FEED_LENGTH]
        with _as_faults():
            return bool(await self._withdraw(keys=keys, args=said))

    async def put_product(self, product: Product) -> bool:
        """Keep a product; False if the same is there.

        A retired one stays on record as retired: its references are kept but not searched, and it may come back.
        """
        said: list[bytes | str | int] = [product.product_id, codec.encode(product), _new_epoch(), FEED_LENGTH]
        with _as_faults():
            return bool(await self._put_product(keys=[_PRODUCTS, _EPOCH, _FEED], args=said))

    async def position(self) -> Position:
        """Return where the feed ends now: take it before a snapshot, follow from it afterwards."""
        with _as_faults():
            async with self._redis.pipeline(transaction=True) as both:
                both.get(_EPOCH).xrevrange(_FEED, count=1)
                epoch, last = await both.execute()
        return Position(epoch=(epoch or b"").decode(), event=last[0][0].decode() if last else START)

    async def snapshot(self, model_version: str) -> AsyncIterator[tuple[Change, ...]]:
        """Yield all products and all references of a model version, in batches; some may come twice."""
        async for fields in self._scan(_PRODUCTS):
            yield tuple(change for key, raw in fields if (change := _product(key, raw)) is not None)
        async for fields in self._scan(_REFERENCES + model_version):
            yield tuple(change for key, raw in fields if (change := _reference(key, raw)) is not None)

    async def news(self, position: Position, model_version: str, *, wait_s: float) -> News:
        """Wait for changes after a position, at most `wait_s` or half the time limit, and return their newest state.

        Events are only believed if the one at `position` is still there: then none after it can have been trimmed, and
        the store has not lost its last writes in a crash.
        """
        with _as_faults():
            block_ms = max(1, round(1000 * min(wait_s, self._timeout_s / 2)))
            read = await self._redis.xread({_FEED: position.event}, count=BATCH, block=block_ms)
            async with self._redis.pipeline(transaction=True) as both:
                both.get(_EPOCH).xrange(_FEED, min=position.event, max=position.event)
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
        with _as_faults():
            found = await self._redis.mget([_patch_key(model_version, each) for each in reference_ids])
        return {
            reference_id: np.frombuffer(raw, np.int8).reshape(-1, CELLS, PATCH_SIZE)
            for reference_id, raw in zip(reference_ids, found, strict=True)
            if raw and len(raw) % (CELLS * PATCH_SIZE) == 0
        }

    async def facts(self, reference_id: str) -> Facts | None:
        """Return what is known of a reference, None if it was withdrawn or never was."""
        with _as_faults():
            raw = await self._redis.hget(_FACTS, reference_id)
        return None if raw is None else msgspec.json.decode(raw, type=Facts)

    async def uris(self, reference_id: str) -> tuple[str, ...]:
        """Return where a reference's pictures are, () if it was withdrawn or never was."""
        facts = await self.facts(reference_id)
        return () if facts is None else facts.uris

    async def counts(self) -> dict[str, int]:
        """Return how many references each model version has."""
        with _as_faults():
            versions = sorted(version.decode() for version in await self._redis.smembers(_VERSIONS))
            return {version: await self._redis.hlen(_REFERENCES + version) for version in versions}

    async def _scan(self, key: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """Yield the fields of a hash; those that are there all the time are sure to come."""
        cursor, first = 0, True
        while cursor or first:
            with _as_faults():
                cursor, fields = await self._redis.hscan(key, cursor, count=BATCH)
            first = False
            yield list(fields.items())

    async def _newest(self, named: set[tuple[bytes, bytes]], model_version: str) -> tuple[Change, ...]:
        """Read what the feed named, as it is now."""
        products = sorted(key for kind, key in named if kind == b"product")
        references = sorted(key for kind, key in named if kind == b"reference")
        changes: list[Change | None] = []
        with _as_faults():
            if products:
                found = await self._redis.hmget(_PRODUCTS, products)
                changes += [
                    ProductGone(_text(key)) if raw is None else _product(key, raw)
                    for key, raw in zip(products, found, strict=True)
                ]
            if references:
                found = await self._redis.hmget(_REFERENCES + model_version, references)
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


def _patch_key(model_version: str, reference_id: str) -> str:
    return f"{_PATCHES}{model_version}:{reference_id}"


def _new_epoch() -> str:
    return secrets.token_hex(8)


@contextlib.contextmanager
def _as_faults() -> Iterator[None]:
    """Turn the client's errors into the one that says: wait for the gallery."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Retryable("gallery", f"gallery store: {type(error).__name__}: {error}") from error
