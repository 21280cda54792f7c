"""Sends pictures through a running line, a few at a time, and collects the answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli.album import Photo, digest
from cli.here import Line
from cli.tape import TopicReader
from gallery.catalogue import Catalogue
from gallery.entry import ProductPut
from gallery.store import GalleryStore
from schemas.codec import cloud_headers, decode, encode, new_uuid7, read_dead_letter, rfc3339
from schemas.faults import Fatal, Poison, Retryable
from schemas.messages import Capture, DeadLetter, Decision, Message, Product, View
from schemas.words import MAX_VIEW_BYTES
from streams.outbox import Outbox
from streams.topics import Entity, topic

STATION: Final = "inspect"
IN_FLIGHT: Final = 4  # enough to keep two cores busy, few enough for every capture to meet its deadline
PATIENCE_S: Final = 60.0  # with one picture
LISTED_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a picture. Exactly one of `decision`, `refused` and `failed` is there."""

    photo: Photo
    capture_id: str
    ms: float = 0.0  # from sending to the decision
    decision: Decision | None = None
    refused: DeadLetter | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the catalogue has been given: the products that are new, every code's owner, and how many there are now."""

    fresh: tuple[Product, ...]
    owners: Mapping[str, str]
    products: int


class Inquiry:
    """Asks a line about pictures: `async with Inquiry(line, site, line_id) as inquiry`."""

    def __init__(self, line: Line, site: str, line_id: str) -> None:
        """Keep whom to ask; nothing is opened before `async with`."""
        self._line = line
        self._site = site
        self._line_id = line_id
        self._waiting: dict[str, asyncio.Future[Decision | DeadLetter]] = {}
        self._run = f"{int(time.time()):x}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Inquiry]:
        """Listen for answers while the block runs."""
        names = [topic(entity, self._site) for entity in (Entity.DECISIONS, Entity.DEAD)]
        self._outbox = Outbox(self._line.bootstrap, client_id="sideline-inspect")
        async with TopicReader(self._line.bootstrap, names, start="latest") as reader:
            await reader.rest()  # pins the ends: nothing that comes from now on is missed
            listening = asyncio.create_task(self._listen(reader))
            try:
                yield self
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
                await self._outbox.close()

    async def list_products(self, codes: Mapping[str, str]) -> Listing:
        """Put products (code -> product id) into the catalogue, those whose code it does not know.

        A code that some product has already is left alone: listed twice it would name neither.

        Raises:
            Fatal: the curator did not take them in time.
        """
        known = await self._catalogue()
        owners = {code: known.product_of(code) or product for code, product in codes.items()}
        fresh = [
            Product(product_id=product, title=f"sideline inspect: {code[:64]}", codes=[code])
            for code, product in codes.items()
            if known.product_of(code) is None
        ]
        await self._publish(fresh)
        return Listing(tuple(fresh), owners, len(await self._catalogue()))

    async def retire(self, products: Sequence[Product]) -> None:
        """Take products out of the catalogue again."""
        await self._publish([Product(product_id=one.product_id, retired=True) for one in products])

    async def ask(self, photos: Sequence[Photo], *, say: Callable[[Answer], None]) -> list[Answer]:
        """Send every picture as a capture of its own; `say` hears each answer as it comes. In the order of `photos`."""
        turn = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int, photo: Photo) -> Answer:
            async with turn:
                answer = await self._ask(number, photo)
            say(answer)
            return answer

        return await asyncio.gather(*(one(number, photo) for number, photo in enumerate(photos)))

    async def _ask(self, number: int, photo: Photo) -> Answer:
        capture_id = new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=secrets.randbits(74))
        size = photo.path.stat().st_size
        if not 0 < size <= MAX_VIEW_BYTES:
            return Answer(photo, capture_id, failed=f"{size} bytes; a view has 1 to {MAX_VIEW_BYTES}")
        copy = await asyncio.to_thread(self._copy, photo, capture_id)
        now = datetime.now(UTC)
        capture = Capture(
            capture_id=capture_id,
            site=self._site,
            line=self._line_id,
            station=STATION,
            unit_id=f"inspect-{self._run}-{number}",
            captured_at=now,
            views=[View(uri=copy.as_uri(), sha256=digest(copy.read_bytes()), size=size)],
        )
        future = self._waiting[capture_id] = asyncio.get_running_loop().create_future()
        try:
            await self._send(Entity.CAPTURES, "capture", capture, key=capture.unit_id, event_id=capture_id)
            async with asyncio.timeout(PATIENCE_S):
                outcome = await future
        except TimeoutError:
            return Answer(photo, capture_id, failed=f"no answer within {PATIENCE_S:.0f} s")
        except Retryable as error:
            return Answer(photo, capture_id, failed=str(error))
        finally:
            del self._waiting[capture_id]
        if isinstance(outcome, DeadLetter):
            return Answer(photo, capture_id, refused=outcome)
        return Answer(photo, capture_id, ms=(outcome.decided_at - now).total_seconds() * 1000, decision=outcome)

    def _copy(self, photo: Photo, capture_id: str) -> Path:
        """Copy a picture below the image root, where the line may read it and where `explain` finds it later."""
        folder = self._line.folder.images / "inspect" / self._run
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"{capture_id}{photo.path.suffix.lower()}"
        shutil.copyfile(photo.path, copy)
        os.chmod(copy, 0o644)  # noqa: PTH101 - whoever runs the workers may read it
        return copy

    async def _listen(self, reader: TopicReader) -> None:
        async for delivery in reader.follow():
            with contextlib.suppress(Poison):
                if delivery.topic == topic(Entity.DECISIONS, self._site):
                    decision = decode(Decision, delivery.value)
                    self._heard(decision.capture_id, decision)
                else:
                    letter = read_dead_letter(delivery.headers)
                    self._heard(decode(Capture, delivery.value).capture_id, letter)

    def _heard(self, capture_id: str, outcome: Decision | DeadLetter) -> None:
        future = self._waiting.get(capture_id)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def _publish(self, products: Sequence[Product]) -> None:
        """Send products and wait until the gallery has them as they are."""
        for product in products:
            await self._send(Entity.PRODUCTS, "product", product, key=product.product_id, event_id=product.product_id)
        wanted = {product.product_id: product.retired for product in products}
        deadline = time.monotonic() + LISTED_WITHIN_S
        while time.monotonic() < deadline:
            known = await self._catalogue()
            if all(product in known and known.retired(product) == gone for product, gone in wanted.items()):
                return
            await asyncio.sleep(0.5)
        raise Fatal(
            f"the curator did not list {len(products)} products within {LISTED_WITHIN_S:.0f} s: sideline logs curator"
        )

    async def _catalogue(self) -> Catalogue:
        gallery = GalleryStore(self._line.endpoints.redis_gallery_url)
        catalogue = Catalogue()
        try:
            async for changes in gallery.snapshot(""):  # no model has this version: products only
                for change in changes:
                    if isinstance(change, ProductPut):
                        catalogue.put(change.product)
        finally:
            await gallery.close()
        return catalogue

    async def _send(self, entity: Entity, event: str, message: Message, *, key: str, event_id: str) -> None:
        name = topic(entity) if entity is Entity.PRODUCTS else topic(entity, self._site)
        await self._outbox.send(
            name,
            key=key.encode(),
            value=encode(message),
            headers=cloud_headers(
                entity=event, event_id=event_id, source="/sideline/inspect", time=rfc3339(datetime.now(UTC))
            ),
        )
