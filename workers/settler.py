"""The settler: people's verdicts settle the tokens of sidelined units, once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog

from budget.associates import outliers
from budget.store import DecisionStore
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import Disposition
from schemas.words import Verdict
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.host import Job, main
from streams.outbox import Outbox
from streams.topics import Entity, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.mailroom import Sites, Undertaker, check_site, read
from workers.proposals import Proposer
from workers.sites import registered_sites, sites_changed

LOOK_EVERY_S: Final = 30.0  # at whose verdicts differ from the others'
log = structlog.get_logger(__name__)


class Settler:
    """Settles verdicts."""

    def __init__(self, store: DecisionStore, sites: Sites, proposer: Proposer) -> None:
        """Take the decision store, who may send verdicts, and what tells the gallery."""
        self._store = store
        self._sites = sites
        self._proposer = proposer
        for site in sites:  # from 0 on, so that the first damage found among what passed is seen
            METRICS.verdicts.labels(site=site, verdict=Verdict.DAMAGED.value, effect="label")

    async def settle(self, delivery: Delivery) -> None:
        """Handle one verdict. Delivered twice it settles once: the store keeps which token went where."""
        disposition = read(Disposition, delivery)
        check_site(disposition, delivery, self._sites)
        if disposition.verdict is Verdict.UNKNOWN:
            raise Poison(Reason.UNKNOWN_VERDICT, "the verdict is none of damaged, sellable, wrong_item, unsure")
        if disposition.capture_id is None and disposition.unit_id is None:
            raise Poison(Reason.NO_SUBJECT, "the verdict names neither a capture nor a unit")
        settlement = await self._store.settle(disposition)
        METRICS.verdicts.labels(site=disposition.site, verdict=disposition.verdict.value, effect=settlement.state).inc()
        reach(FaultPoint.SETTLED)
        await self._proposer.propose(disposition, settlement)


class Watch:
    """Looks at whose verdicts differ from the others'."""

    def __init__(self, store: DecisionStore, sites: Sites) -> None:
        """Take the decision store and its sites."""
        self._store = store
        self._sites = sites
        self._named: dict[str, frozenset[str]] = {}

    async def look(self) -> None:
        """Count the outliers of every site, and say whom it is about when that changes."""
        for site in self._sites:
            found = outliers(await self._store.associates(site))
            METRICS.associate_outliers.labels(site=site).set(len({one.associate_id for one in found}))
            named = frozenset(one.associate_id for one in found)
            for one in found:
                if one.associate_id not in self._named.get(site, frozenset()):
                    log.warning("verdicts unlike the others'", site=site, associate=one.associate_id, told=str(one))
            self._named[site] = named

    async def keep_looking(self) -> None:
        """Look again and again; what cannot be looked at while the store is away is looked at later."""
        while True:
            with contextlib.suppress(Retryable):
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Open the store and say what the settler works on."""
    async with contextlib.AsyncExitStack() as stack:
        store = DecisionStore(settings.redis_decisions_url, store_id=settings.store_id)
        stack.push_async_callback(store.close)
        sites = await registered_sites(settings, store, Entity.DISPOSITIONS)
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        yield Job(
            group="settler",
            entity="disposition",
            topics=[topic(Entity.DISPOSITIONS, site) for site in sites],
            handle=Settler(store, sites, Proposer(store, outbox, source=settings.worker_name)).settle,
            bury=Undertaker(outbox, entity="disposition", worker=settings.worker_name).bury,
            breakers=Breakers({"redis": store.verify, "kafka": outbox.probe}),
            # One at a time per partition: the first verdict on a unit settles, so order within a key matters.
            limits=Limits(window=64, partition_window=1, run_past_head=64),
            head_limit_s=30.0,
            outdated=sites_changed(store, sites),
            background=[Watch(store, sites).keep_looking],
        )


if __name__ == "__main__":
    main("settler", opening)
