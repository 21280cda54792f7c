"""The herald: tells partners, in EPCIS 2.0, which units were sidelined and what people found. Optional.

It reads two topics in one app, which no other worker may: neither of its inputs ever waits for the other, so a full
window of one cannot starve the other (decision 0050).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from budget.store import DecisionStore
from schemas.codec import cloud_headers, decode, encode, rfc3339
from schemas.epcis import ObjectEvent
from schemas.faults import Poison, Reason
from schemas.messages import DecisionHead, Disposition, Sidelined
from settings.line import Settings
from settings.sites import site_book
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.host import Job, main
from streams.outbox import Outbox
from streams.topics import Entity, entity_of, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.epcis import SiteNames, of_disposition, of_sidelined, site_names
from workers.mailroom import Sites, Undertaker, check_site, read
from workers.sites import registered_sites, sites_changed


class Herald:
    """Tells what happened to units."""

    def __init__(self, *, store: DecisionStore, sites: Sites, names: Mapping[str, SiteNames], outbox: Outbox) -> None:
        """Take what knows a capture's unit, who may speak, what things are called, and what sends."""
        self._store = store
        self._sites = sites
        self._names = names
        self._outbox = outbox

    async def tell(self, delivery: Delivery) -> None:
        """Handle one sideline or verdict; return when Kafka has acknowledged its event."""
        if entity_of(delivery.topic) is Entity.SIDELINED:
            sidelined = read(Sidelined, delivery)
            check_site(sidelined, delivery, self._sites)
            event = of_sidelined(sidelined, self._names[sidelined.site])
        else:
            disposition = read(Disposition, delivery)
            check_site(disposition, delivery, self._sites)
            unit_id = disposition.unit_id or await self._unit_of(disposition)
            event = of_disposition(disposition, unit_id, self._names[disposition.site])
        await self._send(event)

    async def _unit_of(self, disposition: Disposition) -> str:
        """Look up the unit of a verdict that names only a capture.

        Raises:
            Poison: `no_subject`, or `unknown_capture` where no outcome is on record.
            Retryable: `redis`.
        """
        if disposition.capture_id is None:
            raise Poison(Reason.NO_SUBJECT, "the verdict names neither a capture nor a unit")
        record = await self._store.look(disposition.site, disposition.capture_id)
        if record is None:
            raise Poison(
                Reason.UNKNOWN_CAPTURE,
                f"capture {disposition.capture_id} has no outcome here (any more): name the unit in the verdict",
            )
        return decode(DecisionHead, record.decision).unit_id

    async def _send(self, event: ObjectEvent) -> None:
        await self._outbox.send(
            topic(Entity.EPCIS, event.site),
            key=event.unit.encode(),
            value=encode(event),
            headers=cloud_headers(
                entity="epcis",
                event_id=event.event_id,
                source=f"/sideline/{event.site}/epcis",
                time=rfc3339(event.event_time),
            ),
        )
        METRICS.epcis_events.labels(site=event.site, disposition=event.disposition.value).inc()


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Read the file of sites, open the store, and say what the herald works on."""
    book = site_book(settings.sites_file)
    async with contextlib.AsyncExitStack() as stack:
        store = DecisionStore(settings.redis_decisions_url, store_id=settings.store_id)
        stack.push_async_callback(store.close)
        sites = await registered_sites(settings, store, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.EPCIS)
        names = site_names(book, sites)
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        yield Job(
            group="herald",
            entity="epcis",
            topics=[topic(entity, site) for site in sites for entity in (Entity.SIDELINED, Entity.DISPOSITIONS)],
            handle=Herald(store=store, sites=sites, names=names, outbox=outbox).tell,
            bury=Undertaker(outbox, entity="epcis", worker=settings.worker_name).bury,
            breakers=Breakers({"redis": store.verify, "kafka": outbox.probe}),
            limits=Limits(window=64, partition_window=16, run_past_head=128),
            head_limit_s=30.0,
            outdated=sites_changed(store, sites),
        )


if __name__ == "__main__":
    main("herald", opening)
