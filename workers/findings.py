"""What an inspector finds out about one capture: pictures, scores, identity, discrepancy, joined into evidence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import msgspec

from evidence.calibration import Calibration
from evidence.frame import inset
from evidence.ids import IdForms
from evidence.pictures import PicturePool, Prepared
from evidence.scans import ScanBoard, ScansOfUnit
from evidence.triton import Models
from evidence.views import ViewFetcher
from gallery.examine import Examiner
from gallery.index import GalleryIndex
from gallery.nearest import Tally
from gallery.patches import PatchCache
from schemas.messages import Capture
from streams.fault_points import FaultPoint, reach
from telemetry.metrics import METRICS
from workers.answers import Findings
from workers.fetching import Pictures, fetch_pictures
from workers.labels import Labels, with_strays
from workers.room import Room
from workers.turns import Turns

TURNS_PER_PROCESS: Final = 2  # while the models look at one capture, the pictures of the next are decoded


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
        room: int,
        tally: Tally,
        forms: Mapping[str, IdForms],
    ) -> None:
        """Take the parts; all of them are open. `room` is how many bytes of pictures may be in memory at once.

        `tally` counts which references captures are nearest to; `forms` says what ids look like at each site.
        """
        self._fetcher = fetcher
        self._pictures = pictures
        self._room = Room(room)
        self._turns = Turns(TURNS_PER_PROCESS * pictures.processes, is_suspect=pictures.is_suspect)
        # Laying a capture over references takes a tenth of a second; those with a code must find a thread meanwhile.
        self._laying = Turns(max(1, len(os.sched_getaffinity(0)) // 2), is_suspect=pictures.is_suspect)
        self._models = models
        self._board = board
        self._examiner = Examiner(index=index, patches=patches, calibration=calibration, stage=_timed)
        self._labels = Labels(forms, self._examiner.knows)
        self._scan_wait_s = scan_wait_s
        self._tally = tally
        self.calibration = calibration

    async def investigate(self, capture: Capture, *, append_ms: int) -> Findings:
        """Find out what can be found out.

        Raises:
            Poison: a view is not what its event said, or no picture.
            Retryable: a dependency is away.
        """
        scanning = asyncio.create_task(self._scans(capture, append_ms))
        try:
            source = f"{capture.site}/{capture.line}"
            async with self._room.take(source, sum(view.size for view in capture.views)):
                with METRICS.stage.labels(stage="fetch").time():
                    # The capture's deadline ends the patience.
                    pictures = await fetch_pictures(self._fetcher, capture.views, patience_s=float("inf"))
                reach(FaultPoint.FETCHED)
                async with self._turn(source, append_ms):
                    prepared = await self._prepare(pictures, source)
                    with METRICS.stage.labels(stage="infer").time():
                        scores, embeddings = await asyncio.gather(
                            self._models.score(prepared.pixels, request_id=capture.capture_id),
                            self._models.embed(prepared.pixels, request_id=capture.capture_id),
                        )
            reach(FaultPoint.INFERRED)
            scans = await scanning
        finally:
            scanning.cancel()
        sifted = self._labels.sift(capture, scans)
        METRICS.stray_scans.labels(site=capture.site).inc(len(sifted.strays))
        read = [
            self._examiner.claim(each.code, each.symbology, at_ms=each.append_ms) for each in sifted.scans.nearest_first
        ]
        evidence, identity = await self._examiner.examine(
            scores,
            embeddings,
            scan=read[0] if read else None,
            other_scans=read[1:],
            codes=self._labels.without_own(capture, prepared.codes),
            expected=capture.expected_products,
            insets=[inset(width, height) for width, height in prepared.sizes],
            squares=prepared.pixels[..., :3],
            turn=partial(self._turn_to_lay, source, append_ms),
        )
        if identity.product_id is not None and evidence.references:
            self._tally.count(identity.product_id, evidence.references[0])
        return Findings(
            msgspec.structs.replace(evidence, view=prepared.views[evidence.view]), with_strays(identity, sifted.strays)
        )

    @contextlib.asynccontextmanager
    async def _turn(self, source: str, append_ms: int) -> AsyncIterator[None]:
        """Wait until it is this capture's turn to be worked on, and hold it meanwhile."""
        began = time.monotonic()
        async with self._turns.turn(source, made_at_ms=append_ms):
            METRICS.stage.labels(stage="turn").observe(time.monotonic() - began)
            yield

    @contextlib.asynccontextmanager
    async def _turn_to_lay(self, source: str, append_ms: int) -> AsyncIterator[None]:
        """Wait for a second turn, and in it for a thread that lays over.

        While all of those are busy no more captures are decoded and shown to the models than they can take.
        """
        async with (
            self._turns.turn(source, made_at_ms=append_ms, begun=True),
            self._laying.turn(source, made_at_ms=append_ms),
        ):
            yield

    async def _prepare(self, pictures: Pictures, source: str) -> Prepared:
        """Decode the pictures and read codes."""
        with METRICS.stage.labels(stage="pictures").time():
            prepared = await self._pictures.prepare(pictures.rgb, depth=pictures.depth, source=source)
        METRICS.depth_left_out.inc(prepared.depth_faults)
        return prepared

    async def _scans(self, capture: Capture, append_ms: int) -> ScansOfUnit:
        """Read the unit's scans, waiting a moment for one that is on its way."""
        with METRICS.stage.labels(stage="scan").time():
            return await self._board.wait_for(
                capture.site,
                capture.unit_id,
                at_ms=append_ms,
                patience_s=self._scan_wait_s,
                counts=self._labels.names_a_product(capture),
            )


def _timed(stage: str) -> AbstractContextManager[object]:
    return METRICS.stage.labels(stage=stage).time()
