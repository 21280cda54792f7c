"""The inspector: a capture in, one decision out. The life of one capture reads top to bottom in `Inspector.inspect`.

Whatever happens between two lines of it, the offset stays unacknowledged until the decision is on its topic, and a
capture that is delivered again is answered with the bytes on record.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import time
from collections.abc import AsyncIterator

import cv2
import numpy as np
import structlog

from budget.config import BudgetConfig
from budget.records import Record, Request
from budget.restore import check_seq
from budget.store import DecisionStore
from budget.warm import MIN_NEGATIVES, warm_start
from evidence.calibration import Calibration
from evidence.frame import CHANNELS, SIDE
from evidence.fusion import fuse
from evidence.ids import IdForms
from evidence.pictures import PicturePool
from evidence.scans import ScanBoard
from evidence.triton import Models
from evidence.views import ViewFetcher
from gallery.follow import Follower
from gallery.index import GalleryIndex
from gallery.lives import Lives
from gallery.nearest import Tally
from gallery.patches import PatchCache
from gallery.store import GalleryStore
from schemas.codec import cloud_headers
from schemas.faults import WITHOUT_OUTCOME, Fatal, Poison, Reason
from schemas.messages import Capture
from schemas.words import Outcome
from settings.line import Settings
from settings.sites import site_book
from streams.breakers import Breakers
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.host import Job, main
from streams.outbox import DELIVERY_LIMIT_S, Outbox
from streams.topics import Entity, Scope, last_seq, spec, topic
from streams.window import Limits
from telemetry.metrics import METRICS
from workers.answers import Answers, Arrival, Served, count
from workers.findings import Investigator
from workers.mailroom import Sites, Undertaker, check_line, check_site, read
from workers.sites import registered_sites, sites_changed

log = structlog.get_logger(__name__)
RETENTION_MS = spec(Entity.CAPTURES, Scope.SITE).retention_ms


class FailedAgain(Poison):
    """A rejected capture that was worked on once more, and failed: `redrive` is the number of the permission."""

    def __init__(self, fault: Poison, redrive: int) -> None:
        """Take over reason and words."""
        super().__init__(fault.reason, str(fault))
        self.redrive = redrive


class Inspector:
    """Answers captures."""

    def __init__(
        self,
        *,
        settings: Settings,
        sites: Sites,
        store: DecisionStore,
        investigator: Investigator,
        answers: Answers,
        outbox: Outbox,
        undertaker: Undertaker,
        breakers: Breakers,
    ) -> None:
        """Take the parts; all of them are open."""
        self._settings = settings
        self._sites = sites
        self._store = store
        self._investigator = investigator
        self._answers = answers
        self._outbox = outbox
        self._undertaker = undertaker
        self._breakers = breakers

    async def inspect(self, delivery: Delivery) -> None:
        """See one capture to its answer; return when Kafka has acknowledged it."""
        arrival = self._read(delivery)
        record = await self._look(arrival)
        if record is None or record.grant:
            reach(FaultPoint.LOOKED)
            record = await self._decide(arrival, redrive=0 if record is None else record.grant)
            reach(FaultPoint.DECIDED)
        else:
            METRICS.from_record.labels(site=arrival.capture.site).inc()
            log.debug("answered from the record", capture_id=record.capture_id, partition=delivery.partition)
        await self._answer(arrival, record)

    def _read(self, delivery: Delivery) -> Arrival:
        """Read the capture and check that it may speak."""
        capture = read(Capture, delivery)
        check_site(capture, delivery, self._sites)
        check_line(capture.line, capture.site, self._sites)
        return self._arrival(capture, delivery)

    def _arrival(self, capture: Capture, delivery: Delivery) -> Arrival:
        decide_by_ms = delivery.append_ms + round(self._settings.decide_within_s * 1000)
        if capture.decide_by is not None:
            decide_by_ms = max(0, min(decide_by_ms, round(capture.decide_by.timestamp() * 1000)))
        digest = hashlib.sha256(delivery.value or b"").hexdigest()
        return Arrival(capture, digest, delivery.append_ms, decide_by_ms)

    async def _look(self, arrival: Arrival) -> Record | None:
        """Look before working: a capture that was delivered or sent again has its outcome on record."""
        with METRICS.stage.labels(stage="look").time():
            record = await self._store.look(arrival.capture.site, arrival.capture.capture_id)
        if record is not None and record.digest not in {arrival.digest, ""}:  # "": restored, its bytes unknown
            raise Poison(Reason.ID_REUSED, f"capture {arrival.capture.capture_id} is on record with other content")
        return record

    async def _decide(self, arrival: Arrival, *, redrive: int) -> Record:
        """Work on a capture and have it decided: a new one, or a rejected one under the permission `redrive`."""
        try:
            request = await self._investigate(arrival)
        except Poison as fault:
            raise (FailedAgain(fault, redrive) if redrive else fault) from fault.__cause__
        reach(FaultPoint.INVESTIGATED)
        if_late = request.reason or self._why_late(arrival, "late")  # the deadline may pass on the way to the store
        with METRICS.stage.labels(stage="decide").time():
            return await self._store.decide(dataclasses.replace(request, redrive=redrive, reason=if_late))

    async def _investigate(self, arrival: Arrival) -> Request:
        """Gather the evidence and ask for a decision, or for `undetermined` where the deadline is over."""
        asked = arrival.capture.decide_by
        if asked is not None and asked.timestamp() * 1000 > arrival.append_ms + RETENTION_MS:
            raise Poison(Reason.DEADLINE, f"decide_by is {asked.isoformat()}, past all retention")
        left_s = arrival.decide_by_ms / 1000 - time.time()
        if left_s <= 0:
            return self._undetermined(arrival, "late_on_arrival")
        try:
            async with asyncio.timeout(left_s):
                findings = await self._investigator.investigate(arrival.capture, append_ms=arrival.append_ms)
        except TimeoutError:
            return self._undetermined(arrival, "late")
        score = fuse(findings.evidence, findings.identity, self._investigator.calibration)
        offset = self._settings.score_offset
        return self._answers.decided(arrival, findings, score=score + offset, score_offset=offset)

    def _undetermined(self, arrival: Arrival, reason: str) -> Request:
        return self._answers.without_score(arrival, Outcome.UNDETERMINED, self._why_late(arrival, reason))

    def _why_late(self, arrival: Arrival, otherwise: str) -> str:
        """Name the dependency that was away while there was time, if one was: that explains more than being late."""
        away = self._breakers.away_between(arrival.append_ms, arrival.decide_by_ms)
        return f"{away}_away" if away else otherwise

    async def _answer(self, arrival: Arrival, record: Record) -> None:
        """Send what is on record: decision and sideline, or the dead letter of a rejection."""
        if record.outcome is Outcome.REJECTED:
            raise Poison(Reason(record.reason), f"rejected at {record.decided_at}")
        capture = arrival.capture
        with METRICS.stage.labels(stage="emit").time():
            sends = [self._send(capture, "decision", Entity.DECISIONS, record.decision, record.decided_at)]
            if record.sidelined is not None:
                sends.append(self._send(capture, "sidelined", Entity.SIDELINED, record.sidelined, record.decided_at))
            await asyncio.gather(*sends)
        if record.created:
            count(record)
            METRICS.answer.labels(site=capture.site).observe(time.time() - arrival.append_ms / 1000)

    async def _send(self, capture: Capture, kind: str, entity: Entity, value: bytes, at: str) -> None:
        source = f"/sideline/{capture.site}/{entity.value}"  # CloudEvents wants source and id to be unique together
        await self._outbox.send(
            topic(entity, capture.site),
            key=capture.capture_id.encode(),
            value=value,
            headers=cloud_headers(entity=kind, event_id=capture.capture_id, source=source, time=at),
        )
        reach(FaultPoint.PARTLY_SENT)

    async def bury(self, delivery: Delivery, fault: Poison) -> None:
        """Record a readable capture as rejected, then send its dead letter; answer it if it has an outcome already.

        A capture that never could have an outcome (unreadable, not its site's, an id in use) is a dead letter at once.
        """
        if fault.reason in WITHOUT_OUTCOME:
            await self._undertaker.bury(delivery, fault)
            return
        arrival = self._arrival(read(Capture, delivery), delivery)
        redrive = await self._permission(arrival.capture, fault)
        request = self._answers.without_score(arrival, Outcome.REJECTED, fault.reason.value)
        try:
            record = await self._store.decide(dataclasses.replace(request, redrive=redrive))
        except Poison as refused:  # the store's own fences: too old, id reused, ...
            await self._undertaker.bury(delivery, refused)
            return
        if record.outcome is not Outcome.REJECTED:
            await self._answer(arrival, record)
            return
        if record.created:
            count(record)
        elif record.reason != fault.reason.value:
            fault = Poison(Reason(record.reason), f"rejected at {record.decided_at}")  # every copy says the same
        reach(FaultPoint.REJECTED)
        await self._undertaker.bury(delivery, fault, failed_at=record.decided_at, redrives=record.redrives)

    async def _permission(self, capture: Capture, fault: Poison) -> int:
        """Return the permission to work once more under which a capture failed, 0 for none.

        One that gave up lost its exception on the way, so the store is asked.
        """
        if isinstance(fault, FailedAgain):
            return fault.redrive
        if fault.reason is not Reason.GAVE_UP:
            return 0
        record = await self._store.look(capture.site, capture.capture_id)
        return 0 if record is None else record.grant


async def _served(models: Models) -> Served:
    """Ask the models which versions they are, with a picture of nothing."""
    grey = np.full((1, SIDE, SIDE, CHANNELS), 128, np.uint8)
    scores, embeddings = await asyncio.gather(
        models.score(grey, request_id="which version"), models.embed(grey, request_id="which version")
    )
    return Served(scores.version, embeddings.version)


def check_horizon(site: str, config: BudgetConfig) -> None:
    """Refuse to work where a capture still on its topic could outlive its outcome and be decided a second time (P3).

    Raises:
        Fatal: naming the command that mends it.
    """
    if config.horizon_ms <= RETENTION_MS:
        raise Fatal(
            f"site {site} keeps outcomes for {config.horizon_ms} ms, captures stay on their topic {RETENTION_MS} ms: "
            f"sideline budget {site} --set horizon_ms={2 * RETENTION_MS}"
        )


@contextlib.asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[Job]:
    """Open stores, models and gallery, check that nothing was lost, and say what the inspector works on."""
    cv2.setNumThreads(1)  # captures are laid over references beside each other, not each on all cores
    async with contextlib.AsyncExitStack() as stack:
        store = DecisionStore(settings.redis_decisions_url, store_id=settings.store_id)
        stack.push_async_callback(store.close)
        sites = await registered_sites(
            settings, store, Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DEAD
        )
        for site in sites:
            published = await last_seq(settings.kafka_bootstrap, site)  # before the store: others go on deciding
            check_seq(await store.sequence(site), published)
            check_horizon(site, (await store.state(site)).config)
        book = site_book(settings.sites_file)
        forms = {site: IdForms(book.of(site).ids) for site in sites}
        calibration = Calibration.load(settings.model_repository / "fusion.json")
        if len(calibration.negatives) >= MIN_NEGATIVES:  # only a version that no capture was scored with takes it
            for site in sites:
                alpha_ppm = (await store.state(site)).config.alpha_ppm
                start = warm_start(calibration.negatives, alpha_ppm=alpha_ppm)
                await store.warm(site, calibration.version, start)
        models = Models(settings.triton_url)
        stack.push_async_callback(models.close)
        served = await _served(models)
        calibration.check(classifier=served.classifier, embedding=served.embedding)
        gallery = GalleryStore(settings.redis_gallery_url)
        stack.push_async_callback(gallery.close)
        index = GalleryIndex(model_version=served.embedding)
        follower = Follower(gallery, index)
        await follower.load()
        tally = Tally(Lives(gallery.link))
        board = ScanBoard(settings.redis_decisions_url, window_s=settings.scan_window_s)
        stack.push_async_callback(board.close)
        fetcher = ViewFetcher(roots=settings.image_roots, buckets=settings.s3_buckets, s3_endpoint=settings.s3_endpoint)
        stack.push_async_callback(fetcher.close)
        pictures = PicturePool(
            processes=settings.picture_processes,
            timeout_s=settings.picture_timeout_s,
            memory_mib=settings.picture_memory_mib,
        )
        stack.push_async_callback(pictures.close)
        outbox = Outbox(settings.kafka_bootstrap, client_id=settings.worker_name)
        stack.push_async_callback(outbox.close)
        breakers = Breakers(
            {
                "redis": store.verify,
                "gallery": gallery.probe,
                "triton": models.probe,
                "kafka": outbox.probe,
            }
        )
        inspector = Inspector(
            settings=settings,
            sites=sites,
            store=store,
            investigator=Investigator(
                fetcher=fetcher,
                pictures=pictures,
                models=models,
                board=board,
                index=index,
                patches=PatchCache(gallery, index),
                calibration=calibration,
                scan_wait_s=settings.scan_wait_s,
                room=settings.pictures_room_mib * 1024 * 1024,
                tally=tally,
                forms=forms,
            ),
            answers=Answers(calibration=calibration, served=served, audit_key=settings.audit_key or settings.store_id),
            outbox=outbox,
            undertaker=Undertaker(outbox, entity="capture", worker=settings.worker_name),
            breakers=breakers,
        )

        def observe() -> None:
            METRICS.gallery_products.set(index.products)
            METRICS.gallery_references.set(index.references)
            METRICS.gallery_staleness.set(follower.staleness_s)

        yield Job(
            group="inspector",
            entity="capture",
            topics=[topic(Entity.CAPTURES, site) for site in sites],
            handle=inspector.inspect,
            bury=inspector.bury,
            breakers=breakers,
            limits=Limits(
                window=settings.window,
                partition_window=settings.partition_window,
                run_past_head=settings.run_past_head,
            ),
            head_limit_s=2 * settings.decide_within_s + settings.picture_timeout_s + DELIVERY_LIMIT_S,
            observe=observe,
            outdated=sites_changed(store, sites),
            background=[follower.follow, tally.keep_writing],
        )


if __name__ == "__main__":
    main("inspector", opening)
