"""What is measured is what is served: the same captures through the running line and through a trial, score by score.

SIDELINE_SKEW_CAPTURES asks for more captures than the 60 that every run compares.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.triton import model_repository
from evidence.scans import ScanBoard
from gallery.entry import ProductPut, ReferencePut
from gallery.store import GalleryStore
from schemas.messages import Capture, Decision, Reference, Scan, View
from schemas.words import Outcome, ViewKind
from settings.line import Settings
from streams.topics import Entity
from tests.integration.conftest import environment
from tests.integration.line.running import LINE, SITE, RunningLine
from training.evaluation.booth_source import Booth
from training.evaluation.kept_source import Kept
from training.evaluation.models import digests
from training.evaluation.rows import Row, read
from training.evaluation.source import RawCapture, RawView, Source
from training.evaluation.trial import run

CAPTURES = int(os.environ.get("SIDELINE_SKEW_CAPTURES", "60"))
AT_ONCE = 4  # as many as two busy cores answer within the deadline
TRIES = 3  # a capture that was late is sent again: a busy machine is no skew
LIMIT_S = 60.0

pytestmark = pytest.mark.timeout(120 + 4 * CAPTURES)


class TestNoSkew:
    """The line and a trial."""

    async def test_scores_agree_capture_by_capture(self, line: RunningLine, tmp_path: Path) -> None:
        """Damage, decoys, depth, missing and wrong scans, codes in the pixels: every score, to a millionth."""
        kept = await asyncio.to_thread(Kept.of, Booth(4711, CAPTURES, products=12, split="run", damage_rate=0.4))
        repository = model_repository(environment())
        assert set(digests(repository)), "models are there"
        await enrol(line, kept)
        decisions = await answered(line, [shot.take() for shot in kept.shots()])
        path = await asyncio.to_thread(
            run, kept, repository, tmp_path, processes=1, looks_of=0, say=lambda _progress: None
        )
        rows = {row.pictures: row for row in read(path)[1]}

        assert CAPTURES == len(rows)
        off = {
            pictures: words
            for pictures, decision in decisions.items()
            if (words := difference(decision, rows[pictures]))
        }
        assert not off, "\n".join(f"{pictures}: {words}" for pictures, words in off.items())
        assert decisions.keys() == rows.keys()
        methods = {decision.identity.method for decision in decisions.values() if decision.identity is not None}
        assert len(methods) > 1, "the captures do not test how products are known"


def difference(decision: Decision, row: Row) -> str:
    """Say in words how an answer of the line differs from a trial's, if it does."""
    answer, evidence, identity = row.arrived, decision.evidence, decision.identity
    if decision.score is None or evidence is None or identity is None or answer is None:
        return f"{decision.outcome} {decision.reason}; {row.refused}"
    if decision.score == answer.score:
        return ""
    theirs = (evidence.pattern, identity.method, identity.confidence_ppm, identity.conflict, evidence.discrepancy)
    ours = (answer.pattern, answer.method, answer.confidence_ppm, answer.conflict, answer.discrepancy)
    named = f"{identity.product_id} and {answer.product_id}, {identity.claims}"
    return f"score {decision.score} and {answer.score}: {theirs} and {ours}; {named}"


async def enrol(line: RunningLine, source: Source) -> None:
    """Put products and references into the line's gallery, and wait until they are there."""
    for product in source.catalogue():
        await line.send(Entity.PRODUCTS, product, site=None)
    wanted = {f"p {product.product_id}" for product in source.catalogue()}
    for pose in source.poses():
        raw = pose.take()
        wanted.add(f"r {raw.reference_id}")
        reference = Reference(
            reference_id=raw.reference_id,
            product_id=raw.product_id,
            views=stored(line, raw.views),
            enrolled_at=datetime.now(UTC),
        )
        await line.send(Entity.REFERENCES, reference, site=None)
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    try:
        deadline = time.monotonic() + LIMIT_S
        while missing := wanted - await held(gallery):
            assert time.monotonic() < deadline, f"{len(missing)} products and references were not taken up"
            await asyncio.sleep(0.3)
    finally:
        await gallery.close()
    await asyncio.sleep(1.0)  # the change feed reaches inspectors within milliseconds


async def held(gallery: GalleryStore) -> set[str]:
    """Return what the gallery holds: products and references by name."""
    found = set()
    async for changes in gallery.snapshot("gallery_embedding:1"):
        for change in changes:
            if isinstance(change, ProductPut):
                found.add(f"p {change.product.product_id}")
            elif isinstance(change, ReferencePut):
                found.add(f"r {change.reference_id}")
    return found


async def answered(line: RunningLine, captures: Sequence[RawCapture]) -> dict[tuple[str, ...], Decision]:
    """Send captures, each behind its scan, a few at a time; return decisions by the pictures' digests."""
    found: dict[tuple[str, ...], Decision] = {}
    async with scans(line) as board:
        for start in range(0, len(captures), AT_ONCE):
            left = list(captures[start : start + AT_ONCE])
            for _ in range(TRIES):
                sent = [await prepared(line, raw, board) for raw in left]
                for capture in sent:
                    await line.send(Entity.CAPTURES, capture)
                answers = await line.decisions(sent)
                late = []
                for raw, capture in zip(left, sent, strict=True):
                    decision = answers[capture.capture_id][0]
                    found[tuple(view.sha256 for view in capture.views if view.kind is ViewKind.RGB)] = decision
                    if decision.outcome is Outcome.UNDETERMINED:
                        late.append(raw)
                left = late
                if not left:
                    break
    return found


async def prepared(line: RunningLine, raw: RawCapture, board: ScanBoard) -> Capture:
    """Store a capture's pictures and have its scan on the board before it."""
    unit = f"skew-{secrets.token_hex(8)}"
    if raw.scan is not None:
        code, symbology = raw.scan
        scan = Scan(
            scan_id=f"scan-{unit}",
            site=SITE,
            line=LINE,
            station="scanner-1",
            unit_id=unit,
            scanned_at=datetime.now(UTC),
            code=code,
            symbology=symbology,
        )
        await line.send(Entity.SCANS, scan)
        deadline = time.monotonic() + LIMIT_S
        while (await board.of(SITE, unit, at_ms=time.time_ns() // 1_000_000)).nearest is None:
            assert time.monotonic() < deadline, "the tracker did not take up a scan"
            await asyncio.sleep(0.05)
    return line.capture(*stored(line, raw.views), unit_id=unit)


@asynccontextmanager
async def scans(line: RunningLine) -> AsyncIterator[ScanBoard]:
    """Open the board that the tracker writes to."""
    board = ScanBoard(line.endpoints.redis_decisions_url, window_s=Settings().scan_window_s)
    try:
        yield board
    finally:
        await board.close()


def stored(line: RunningLine, views: Sequence[RawView]) -> list[View]:
    """Store pictures and depth below the image root; the depth views follow the pictures, as stations send them."""
    rgb = [replaced(line.store_picture(view.rgb), camera_id=view.camera_id) for view in views]
    depth = [
        replaced(line.store_picture(view.depth, ".png"), camera_id=view.camera_id, kind=ViewKind.DEPTH)
        for view in views
        if view.depth is not None
    ]
    return [*rgb, *depth]


def replaced(view: View, *, camera_id: str, kind: ViewKind = ViewKind.RGB) -> View:
    """Return a view with the camera and kind it really has."""
    return View(uri=view.uri, sha256=view.sha256, size=view.size, kind=kind, camera_id=camera_id)
