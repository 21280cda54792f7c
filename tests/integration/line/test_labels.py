"""Scans of units' labels on the running line: the plate of a unit is no code of a product."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime

from evidence.scans import ScanBoard
from schemas.messages import Decision, Product, Scan
from schemas.words import IdentityMethod
from streams.topics import Entity
from tests.integration.line.running import LIMIT_S, LINE, SITE, RunningLine

CODE = f"X0{uuid.uuid4().hex[:8].upper()}"  # of no product of the other tests


def plate() -> str:
    """Return a licence plate nobody has yet."""
    return f"LPN-{uuid.uuid4().hex[:12].upper()}"


async def scanned(line: RunningLine, unit_id: str, *codes: str) -> None:
    """Let a scanner read codes on a unit, and wait until the inspectors can see it."""
    for code in codes:
        scan = Scan(
            scan_id=uuid.uuid4().hex,
            site=SITE,
            line=LINE,
            station="scanner-1",
            unit_id=unit_id,
            scanned_at=datetime.now(UTC),
            code=code,
        )
        await line.send(Entity.SCANS, scan)
    board = ScanBoard(line.endpoints.redis_decisions_url, window_s=30.0)
    try:
        async with asyncio.timeout(LIMIT_S):
            while len((await board.of(SITE, unit_id, at_ms=time.time_ns() // 1_000_000)).nearest_first) < len(codes):
                await asyncio.sleep(0.05)
    finally:
        await board.close()


async def decided(line: RunningLine, *units: str) -> list[Decision]:
    """Send a capture of each unit and return the answers."""
    captures = [line.capture(unit_id=unit) for unit in units]
    for capture in captures:
        await line.send(Entity.CAPTURES, capture)
    answers = await line.decisions(captures)
    return [answers[capture.capture_id][0] for capture in captures]


async def known_product(line: RunningLine) -> str:
    """Put a product in the catalogue and wait until every inspector has it; return its id."""
    product = f"P-{uuid.uuid4().hex[:8]}"
    await line.send(Entity.PRODUCTS, Product(product_id=product, codes=[CODE]), site=None)
    deadline = time.monotonic() + LIMIT_S
    while True:
        units = [plate() for _ in range(6)]
        for unit in units:
            await scanned(line, unit, CODE)
        names = {answer.identity.product_id for answer in await decided(line, *units) if answer.identity is not None}
        if names == {product}:
            return product
        assert time.monotonic() < deadline, names


class TestLabels:
    """What a decision makes of them."""

    async def test_plates_hide_no_product(self, line: RunningLine) -> None:
        """The unit's own plate is as if it had not been scanned; another's is recorded and changes nothing."""
        product = await known_product(line)
        own, lost, alone, other = plate(), plate(), plate(), plate()
        await scanned(line, own, CODE, own.lower())
        await scanned(line, lost, CODE, other)
        await scanned(line, alone, other)
        first, second, third = [answer.identity for answer in await decided(line, own, lost, alone)]
        assert first is not None
        assert second is not None
        assert third is not None
        for identity in (first, second):
            assert (product, IdentityMethod.SCAN, False) == (identity.product_id, identity.method, identity.conflict)
        assert [f"scan:{product}"] == [claim for claim in first.claims if claim.startswith("scan")]
        assert [f"scan:{product}", f"scan!:?{other}"] == [claim for claim in second.claims if claim.startswith("scan")]
        assert [f"scan!:?{other}"] == [claim for claim in third.claims if claim.startswith("scan")]
        assert IdentityMethod.SCAN is not third.method
