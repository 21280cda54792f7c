"""The curator: products and reference pictures into the gallery, from where a change feed takes them to inspectors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from budget.store import DecisionStore
from evidence.pictures import PicturePool
from evidence.triton import Models
from evidence.views import ViewFetcher
from gallery.entry import Entry, quantise
from gallery.store import GalleryStore
from schemas.faults import Fatal, Poison
from schemas.messages import Product, Reference
from schemas.words import ViewKind
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.host import Job, main
from streams.outbox import Outbox
from streams.topics import Entity, entity_of, missing_topics, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.fetching import fetch_pictures
from workers.mailroom import Undertaker, read

PATIENCE_S: Final = 60.0  # with the storage of a reference's pictures; then it is a dead letter, to be sent again


class Curator:
    """Keeps the gallery."""

    def __init__(self, *, gallery: GalleryStore, fetcher: ViewFetcher, pictures: PicturePool, models: Models) -> None:
        """Take the gallery and what turns pictures into embeddings."""
        self._gallery = gallery
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
            if await self._gallery.withdraw(reference.reference_id):
                METRICS.gallery_changes.labels(change="reference withdrawn").inc()
            return
        views = [view for view in reference.views if view.kind is ViewKind.RGB]
        try:
            pictures = await fetch_pictures(self._fetcher, reference.views, patience_s=PATIENCE_S)
        except Poison as poison:
            raise Poison(poison.reason, f"reference {reference.reference_id}: {poison}") from poison
        prepared = await self._pictures.prepare(pictures.rgb, depth=pictures.depth, want_codes=False)
        METRICS.depth_left_out.inc(prepared.depth_faults)
        embeddings = await self._models.embed(prepared.pixels, request_id=reference.reference_id)
        entry = Entry(
            reference_id=reference.reference_id,
            product_id=reference.product_id,
            model_version=embeddings.version,
            source=reference.source,
            enrolled_ms=round(reference.enrolled_at.timestamp() * 1000),
            vectors=embeddings.vectors,
            patches=quantise(embeddings.patches),
            uris=tuple(view.uri for view in views),
        )
        if await self._gallery.put_reference(entry):
            METRICS.gallery_changes.labels(change="reference enrolled").inc()


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Open the gallery and the models and say what the curator works on."""
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
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        yield Job(
            group="curator",
            entity="reference",
            topics=[topic(entity) for entity in entities],
            handle=Curator(gallery=gallery, fetcher=fetcher, pictures=pictures, models=models).curate,
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
        )


if __name__ == "__main__":
    main("curator", opening)
