"""The curator: products and reference pictures into the gallery, from where a change feed takes them to inspectors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Final

import cv2
import numpy as np
import structlog

from budget.store import DecisionStore
from evidence.frame import CHANNELS, SIDE
from evidence.pictures import PicturePool
from evidence.prints import Print, Squares, print_of
from evidence.triton import Models
from evidence.views import ViewFetcher
from gallery.aging import Patience
from gallery.entry import Entry, quantise
from gallery.facts import Facts, State
from gallery.follow import Follower
from gallery.index import GalleryIndex
from gallery.lives import Effect, Lives, as_seen
from gallery.promoter import Promoter
from gallery.rules import Rules
from gallery.store import GalleryStore
from schemas.faults import Fatal, Poison, Retryable
from schemas.messages import Judged, Product, Reference
from schemas.words import Verdict, ViewKind
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.host import Job, main
from streams.outbox import Outbox
from streams.topics import Entity, entity_of, missing_topics, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.fetching import fetch_pictures
from workers.mailroom import Undertaker, read

PATIENCE_S: Final = 60.0  # with the storage of a reference's pictures; then it is a dead letter, to be sent again
AGE_EVERY_S: Final = 5.0
log = structlog.get_logger(__name__)


class Curator:
    """Keeps the gallery."""

    def __init__(
        self,
        *,
        gallery: GalleryStore,
        lives: Lives,
        promoter: Promoter,
        rules: Rules,
        fetcher: ViewFetcher,
        pictures: PicturePool,
        models: Models,
    ) -> None:
        """Take the gallery, what moves references through their lives, and what turns pictures into embeddings."""
        self._gallery = gallery
        self._lives = lives
        self._promoter = promoter
        self._rules = rules
        self._fetcher = fetcher
        self._pictures = pictures
        self._models = models

    async def curate(self, delivery: Delivery) -> None:
        """Handle one product or reference. Handling it twice changes nothing: the store compares before it writes."""
        if entity_of(delivery.topic) is Entity.PRODUCTS:
            await self._list(read(Product, delivery))
        else:
            await self._enrol(read(Reference, delivery))

    async def _list(self, product: Product) -> None:
        changed = await self._gallery.put_product(product)
        if changed:
            METRICS.gallery_changes.labels(change="product retired" if product.retired else "product listed").inc()

    async def _enrol(self, reference: Reference) -> None:
        if reference.withdrawn:
            if await self._gallery.withdraw(
                reference.reference_id, why=reference.source, at_ms=_ms(reference.enrolled_at)
            ):
                METRICS.gallery_changes.labels(change="reference withdrawn").inc()
            return
        entry = await self._embedded(reference)
        reach(FaultPoint.EMBEDDED)
        if reference.judged is not None:
            await self._hear(entry, reference.judged)
        elif await self._gallery.put_reference(entry):
            reach(FaultPoint.ENROLLED)
            METRICS.gallery_changes.labels(change="reference enrolled").inc()
            for _ in await self._promoter.tidy(entry.product_id):
                METRICS.gallery_changes.labels(change="reference retired").inc()

    async def _hear(self, entry: Entry, judged: Judged) -> None:
        """Take in what a person said of a capture, and see whether the product's candidates may enter now."""
        at_ms = _ms(judged.judged_at)
        cleared = judged.verdict is Verdict.SELLABLE
        if not cleared and judged.verdict not in {Verdict.DAMAGED, Verdict.WRONG_ITEM}:
            return  # says nothing about what the product looks like
        seen = as_seen(
            entry,
            cleared=cleared,
            at_ms=at_ms,
            site=judged.site,
            capture_id=judged.capture_id,
            unit_id=judged.unit_id,
            who=judged.associate_id,
        )
        facts = Facts(
            product_id=entry.product_id,
            source=entry.source,
            enrolled_ms=entry.enrolled_ms,
            uris=entry.uris if cleared else (),
            model_version=entry.model_version,
            digest=seen.reference.digest.hex(),
            site=judged.site,
            capture_id=judged.capture_id,
            unit_id=judged.unit_id,
            associate_id=judged.associate_id,
        ).moved(
            State.CANDIDATE if cleared else State.WITHDRAWN,
            at_ms=at_ms,
            why=f"{judged.verdict.value} by {judged.associate_id}",
        )
        effect = await self._lives.see(
            entry,
            seen,
            facts,
            keep_ms=round(1000 * self._rules.window_s),
            hold_ms=round(1000 * self._rules.hold_s),
        )
        reach(FaultPoint.HEARD)
        METRICS.gallery_candidates.labels(effect=effect.value).inc()
        if effect is Effect.CONTRADICTS:
            METRICS.gallery_changes.labels(change="reference withdrawn").inc()
        if effect is Effect.CANDIDATE:
            for _ in (await self._promoter.consider(entry.product_id)).enrol:
                METRICS.gallery_changes.labels(change="reference promoted").inc()

    async def _embedded(self, reference: Reference) -> Entry:
        """Fetch and verify a reference's views and embed them."""
        views = [view for view in reference.views if view.kind is ViewKind.RGB]
        try:
            pictures = await fetch_pictures(self._fetcher, reference.views, patience_s=PATIENCE_S)
        except Poison as poison:
            raise Poison(poison.reason, f"reference {reference.reference_id}: {poison}") from poison
        prepared = await self._pictures.prepare(pictures.rgb, depth=pictures.depth, want_codes=False)
        METRICS.depth_left_out.inc(prepared.depth_faults)
        embeddings = await self._models.embed(prepared.pixels, request_id=reference.reference_id)
        return Entry(
            reference_id=reference.reference_id,
            product_id=reference.product_id,
            model_version=embeddings.version,
            source=reference.source,
            enrolled_ms=_ms(reference.enrolled_at),
            vectors=embeddings.vectors,
            patches=quantise(embeddings.patches),
            uris=tuple(view.uri for view in views),
            prints=await asyncio.to_thread(_prints, prepared.pixels[..., :3]),
        )


async def keep_aging(promoter: Promoter) -> None:
    """Let references fade and candidates expire, until cancelled."""
    while True:
        await asyncio.sleep(AGE_EVERY_S)
        try:
            for state in (await promoter.age()).values():
                METRICS.gallery_changes.labels(change=f"reference {state.value}").inc()
        except Retryable as away:
            log.warning("aging waits", error=str(away))


def _prints(squares: Squares) -> tuple[Print, ...]:
    return tuple(print_of(square) for square in squares)


def rules_of(settings: Settings) -> Rules:
    """Return the rules of promotion that an installation has set."""
    return Rules(
        units=settings.gallery_units,
        associates=settings.gallery_associates,
        spread_s=settings.gallery_spread_s,
        window_s=settings.gallery_window_s,
        hold_s=settings.gallery_hold_s,
        max_references=settings.gallery_max_references,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Open the gallery and the models and say what the curator works on."""
    cv2.setNumThreads(1)  # prints are made beside the line, not on all its cores
    async with contextlib.AsyncExitStack() as stack:
        store = DecisionStore(settings.redis_decisions_url, store_id=settings.store_id)
        stack.push_async_callback(store.close)
        await store.verify()
        entities = (Entity.PRODUCTS, Entity.REFERENCES)
        if missing := await missing_topics(settings.kafka_bootstrap, [], entities):
            raise Fatal(f"topics are missing: {', '.join(sorted(missing))}; make them with: sideline init")
        gallery = GalleryStore(settings.redis_gallery_url)
        stack.push_async_callback(gallery.close)
        fetcher = ViewFetcher(roots=settings.image_roots, buckets=settings.s3_buckets, s3_endpoint=settings.s3_endpoint)
        stack.push_async_callback(fetcher.close)
        pictures = PicturePool(
            processes=1, timeout_s=settings.picture_timeout_s, memory_mib=settings.picture_memory_mib
        )
        stack.push_async_callback(pictures.close)
        models = Models(settings.triton_url)
        stack.push_async_callback(models.close)
        grey = np.full((1, SIDE, SIDE, CHANNELS), 128, np.uint8)
        index = GalleryIndex(model_version=(await models.embed(grey, request_id="which version")).version)
        follower = Follower(gallery, index)
        await follower.load()
        lives, rules = Lives(gallery.link), rules_of(settings)
        patience = Patience(captures=settings.gallery_fade_captures, seconds=settings.gallery_fade_s)
        promoter = Promoter(gallery, lives, index, rules=rules, patience=patience)
        curator = Curator(
            gallery=gallery,
            lives=lives,
            promoter=promoter,
            rules=rules,
            fetcher=fetcher,
            pictures=pictures,
            models=models,
        )
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        yield Job(
            group="curator",
            entity="reference",
            topics=[topic(entity) for entity in entities],
            handle=curator.curate,
            bury=Undertaker(outbox, entity="reference", worker=settings.worker_name).bury,
            breakers=Breakers(
                {
                    "gallery": gallery.probe,
                    "redis": store.verify,
                    "triton": models.probe,
                    "kafka": outbox.probe,
                }
            ),
            # One at a time per partition: of two messages on one product or reference the newer must win.
            limits=Limits(window=8, partition_window=1, run_past_head=16),
            head_limit_s=120.0,
            background=[follower.follow, partial(keep_aging, promoter)],
        )


if __name__ == "__main__":
    main("curator", opening)
