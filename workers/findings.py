"""What an inspector finds out about one capture: pictures, scores, identity, discrepancy, joined into evidence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from evidence.assemble import assemble, combine_views
from evidence.calibration import Calibration
from evidence.codes import Code, normalise
from evidence.discrepancy import Discrepancy, compare
from evidence.frame import inset
from evidence.identity import CodeClaim, ImageCandidate, ScanClaim, Shortlisted, identify, rank
from evidence.pictures import PicturePool, Prepared
from evidence.scans import ScanBoard, ScansOfUnit
from evidence.triton import Embeddings, Models
from evidence.views import ViewFetcher
from gallery.index import GalleryIndex
from gallery.patches import PatchCache
from schemas.faults import Poison, Reason
from schemas.messages import Capture, Identity
from schemas.words import ViewKind
from telemetry.metrics import METRICS
from workers.answers import Findings
from workers.fetching import fetch_views

SHORTLIST: Final = 8  # products by pooled vectors; vision.md: the top 10 of 31 hold the answer 86-94 % of the time
LOOK_AGAIN_S: Final = 0.08
REFERENCES_COMPARED: Final = 4


class Investigator:
    """Turns captures into findings."""

    def __init__(
        self,
        *,
        fetcher: ViewFetcher,
        pictures: PicturePool,
        models: Models,
        board: ScanBoard,
        index: GalleryIndex,
        patches: PatchCache,
        calibration: Calibration,
        scan_wait_s: float,
    ) -> None:
        """Take the parts; all of them are open."""
        self._fetcher = fetcher
        self._pictures = pictures
        self._models = models
        self._board = board
        self._index = index
        self._patches = patches
        self._scan_wait_s = scan_wait_s
        self.calibration = calibration

    async def investigate(self, capture: Capture, *, append_ms: int) -> Findings:
        """Find out what can be found out.

        Raises:
            Poison: a view is not what its event said, or no picture.
            Retryable: a dependency is away.
        """
        scanning = asyncio.create_task(self._scans(capture, append_ms))
        try:
            prepared = await self._prepare(capture)
            with METRICS.stage.labels(stage="infer").time():
                scores, embeddings = await asyncio.gather(
                    self._models.score(prepared.pixels, request_id=capture.capture_id),
                    self._models.embed(prepared.pixels, request_id=capture.capture_id),
                )
            scans = await scanning
        finally:
            scanning.cancel()
        with METRICS.stage.labels(stage="identify").time():
            identity = await self._identify(capture, scans, prepared.codes, embeddings)
        with METRICS.stage.labels(stage="compare").time():
            discrepancy = await self._compare(identity, embeddings)
        classifier = combine_views(scores.damage, scores.kinds, scores.severity, scores.heat)
        insets = [inset(width, height) for width, height in prepared.sizes]
        evidence = assemble(classifier, discrepancy, identity, insets=insets)
        return Findings(msgspec.structs.replace(evidence, view=prepared.views[evidence.view]), identity)

    async def _prepare(self, capture: Capture) -> Prepared:
        """Fetch and verify the RGB views, decode them, read codes."""
        views = [(number, view) for number, view in enumerate(capture.views) if view.kind is ViewKind.RGB]
        if not views:
            raise Poison(Reason.NO_PICTURE, "none of the views is an RGB picture")
        with METRICS.stage.labels(stage="fetch").time():
            # The capture's deadline ends the patience.
            raw = await fetch_views(self._fetcher, [view for _, view in views], patience_s=float("inf"))
        with METRICS.stage.labels(stage="pictures").time():
            return await self._pictures.prepare([(number, data) for (number, _), data in zip(views, raw, strict=True)])

    async def _scans(self, capture: Capture, append_ms: int) -> ScansOfUnit:
        """Read the unit's scans, waiting a moment for one that is on its way."""
        with METRICS.stage.labels(stage="scan").time():
            while True:
                scans = await self._board.of(capture.site, capture.unit_id, at_ms=append_ms)
                if scans.nearest is not None or time.time() > append_ms / 1000 + self._scan_wait_s:
                    return scans
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _identify(
        self, capture: Capture, scans: ScansOfUnit, codes: Sequence[Code], embeddings: Embeddings
    ) -> Identity:
        """Join scan, codes in the pixels, and looks."""
        scan = None
        if scans.nearest is not None:
            code = normalise(scans.nearest.code, scans.nearest.symbology)
            product = self._index.product_of(code) if code else None
            scan = ScanClaim(code or scans.nearest.code, product, scans.nearest.append_ms)
        claims = []
        for read in codes:
            code = normalise(read.text, read.symbology)
            product = self._index.product_of(code) if code else None
            claims.append(CodeClaim(code or read.text, product, read.confirmed))
        return identify(
            scan=scan,
            codes=claims,
            candidates=await self._candidates(capture, scan, claims, embeddings),
            expected=capture.expected_products,
            limits=self.calibration.limits,
        )

    async def _candidates(
        self, capture: Capture, scan: ScanClaim | None, codes: Sequence[CodeClaim], embeddings: Embeddings
    ) -> list[ImageCandidate]:
        """Compare the patch maps of the products it may be: the nearest by looks, and those that codes name."""
        nearest = self._index.nearest(embeddings.vectors, k=SHORTLIST, expected=capture.expected_products)
        similarity = {candidate.product_id: candidate.similarity for candidate in nearest}
        for named in (scan, *codes):
            if named is not None and named.product_id is not None:
                similarity.setdefault(named.product_id, 0.0)
        references = {product: self._index.references_of(product) for product in similarity}
        maps = await self._patches.get([each for ids in references.values() for each in ids])
        shortlist = [
            Shortlisted(product, alike, tuple(maps[each] for each in references[product] if each in maps))
            for product, alike in similarity.items()
        ]
        return await asyncio.to_thread(rank, embeddings.patches, shortlist)

    async def _compare(self, identity: Identity, embeddings: Embeddings) -> Discrepancy | None:
        """Compare with references of the product it is thought to be; None where there are none or sources disagree."""
        if identity.product_id is None or identity.conflict:
            return None
        wanted = self._index.references_of(identity.product_id)[:REFERENCES_COMPARED]
        maps = await self._patches.get(wanted)
        references = [(each, maps[each]) for each in wanted if each in maps]
        return await asyncio.to_thread(compare, embeddings.patches, references) if references else None
