"""The tracker: scans from Kafka to Redis, where every inspector finds them.

A worker of its own, because one drain loop serves all topics of a Faust app: a window full of captures waiting for
their scans would keep out those very scans.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from budget.store import DecisionStore
from evidence.scans import ScanBoard, Sighting
from schemas.messages import Scan
from settings.line import Settings
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.host import Job, main
from streams.outbox import Outbox
from streams.topics import Entity, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.mailroom import Sites, Undertaker, check_line, check_site, read
from workers.sites import registered_sites, sites_changed


class Tracker:
    """Stores scans."""

    def __init__(self, board: ScanBoard, sites: Sites) -> None:
        """Take where scans are kept and who may send them."""
        self._board = board
        self._sites = sites

    async def track(self, delivery: Delivery) -> None:
        """Handle one scan."""
        scan = read(Scan, delivery)
        check_site(scan, delivery, self._sites)
        check_line(scan.line, scan.site, self._sites)
        await self._board.put(
            scan.site,
            scan.unit_id,
            Sighting(
                scan_id=scan.scan_id,
                station=scan.station,
                code=scan.code,
                symbology=scan.symbology,
                append_ms=delivery.append_ms,
            ),
        )
        reach(FaultPoint.SCAN_KEPT)
        METRICS.scans.labels(site=scan.site).inc()


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Open the stores and say what the tracker works on."""
    async with contextlib.AsyncExitStack() as stack:
        store = DecisionStore(settings.redis_decisions_url, store_id=settings.store_id)
        stack.push_async_callback(store.close)
        sites = await registered_sites(settings, store, Entity.SCANS)
        board = ScanBoard(settings.redis_decisions_url, window_s=settings.scan_window_s)
        stack.push_async_callback(board.close)
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        yield Job(
            group="tracker",
            entity="scan",
            topics=[topic(Entity.SCANS, site) for site in sites],
            handle=Tracker(board, sites).track,
            bury=Undertaker(outbox, entity="scan", worker=settings.worker_name).bury,
            breakers=Breakers({"redis": board.probe, "kafka": outbox.probe}),
            limits=Limits(window=256, partition_window=64, run_past_head=512),
            head_limit_s=30.0,
            outdated=sites_changed(store, sites),
        )


if __name__ == "__main__":
    main("tracker", opening)
