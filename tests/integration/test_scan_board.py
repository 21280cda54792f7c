"""Scans on the real Redis: early, late, twice, of another unit, of an earlier user of the tote, with a wrong clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
import redis.asyncio as redis

from deploy.local.endpoints import Endpoints
from evidence.scans import KEPT_PER_UNIT, ScanBoard, Sighting
from schemas.codec import encode
from schemas.faults import Poison, Reason
from schemas.messages import Scan
from streams.delivery import Delivery
from streams.topics import Entity, topic
from workers.tracker import Tracker

WINDOW_S = 30.0
UNIT = "tote-7"


@pytest.fixture
async def board(servers: Endpoints) -> AsyncIterator[ScanBoard]:
    """A board as tracker and inspectors open it."""
    board = ScanBoard(servers.redis_decisions_url, window_s=WINDOW_S)
    yield board
    await board.close()


def sighting(scan_id: str, append_ms: int, code: str = "4006381333931") -> Sighting:
    """Make a scan."""
    return Sighting(scan_id=scan_id, station="scanner-1", code=code, symbology="EAN13", append_ms=append_ms)


def now_ms() -> int:
    """Return the time."""
    return time.time_ns() // 1_000_000


async def ids(board: ScanBoard, site: str, at_ms: int) -> list[str]:
    """Return the unit's scans around a time, nearest first."""
    return [each.scan_id for each in (await board.of(site, UNIT, at_ms=at_ms)).nearest_first]


class TestWhose:
    """Which scan belongs to a capture."""

    async def test_the_nearest_comes_first(self, board: ScanBoard, unique: str) -> None:
        """Before or after makes no difference; the others follow by how near they are."""
        at = now_ms()
        for name, offset in (("former", -9_000), ("own", 200), ("next", 14_000)):
            await board.put(unique, UNIT, sighting(name, at + offset))
        assert ["own", "former", "next"] == await ids(board, unique, at)
        assert ["next", "own", "former"] == await ids(board, unique, at + 13_000)

    async def test_beyond_the_window_there_is_nothing(self, board: ScanBoard, unique: str) -> None:
        """A scan at its edge counts, one beyond it is of another unit."""
        at = now_ms()
        await board.put(unique, UNIT, sighting("edge", at - 30_000))
        assert ["edge"] == await ids(board, unique, at)
        assert [] == await ids(board, unique, at + 1)
        assert (await board.of(unique, UNIT, at_ms=at + 1)).nearest is None

    async def test_units_and_sites_are_apart(self, board: ScanBoard, unique: str) -> None:
        """A scan of another unit, or of a unit of the same name at another site, is not seen."""
        at = now_ms()
        await board.put(unique, "tote-8", sighting("neighbour", at))
        await board.put(f"{unique}b", UNIT, sighting("elsewhere", at))
        assert [] == await ids(board, unique, at)

    async def test_the_newest_are_kept(self, board: ScanBoard, unique: str) -> None:
        """A scanner gone mad fills a bounded list, and forgets the oldest."""
        at = now_ms()
        for number in range(KEPT_PER_UNIT + 3):
            await board.put(unique, UNIT, sighting(f"scan-{number}", at + number))
        found = await ids(board, unique, at + KEPT_PER_UNIT + 3)
        assert [f"scan-{number}" for number in range(KEPT_PER_UNIT + 2, 2, -1)] == found


class TestTwice:
    """One scan id more than once."""

    async def test_the_first_time_counts(self, board: ScanBoard, unique: str) -> None:
        """Sent again by the scanner a second later, it is still the scan of the unit that passed then."""
        at = now_ms()
        await board.put(unique, UNIT, sighting("scan-1", at))
        await board.put(unique, UNIT, sighting("scan-1", at + 1_000))
        scans = await board.of(unique, UNIT, at_ms=at + 1_000)
        assert [at] == [each.append_ms for each in scans.nearest_first]

    async def test_another_code_under_the_same_id_is_refused(self, board: ScanBoard, unique: str) -> None:
        """It becomes a dead letter, and the first one stands."""
        at = now_ms()
        await board.put(unique, UNIT, sighting("scan-1", at))
        with pytest.raises(Poison, match="scan-1 of unit tote-7") as refused:
            await board.put(unique, UNIT, sighting("scan-1", at, code="X0014KQZ7T"))
        assert Reason.ID_REUSED is refused.value.reason
        assert ["4006381333931"] == [each.code for each in (await board.of(unique, UNIT, at_ms=at)).nearest_first]

    async def test_two_codes_in_one_pass_are_two_scans(self, board: ScanBoard, unique: str) -> None:
        """Two labels read by one scanner have ids of their own; what they mean is for `identify` to say."""
        at = now_ms()
        await board.put(unique, UNIT, sighting("scan-1", at))
        await board.put(unique, UNIT, sighting("scan-2", at + 120, code="X0014KQZ7T"))
        assert ["scan-1", "scan-2"] == await ids(board, unique, at)

    async def test_what_two_trackers_wrote_at_once_is_one_scan(
        self, board: ScanBoard, servers: Endpoints, unique: str
    ) -> None:
        """While a partition changes hands both may write, neither seeing the other's: readers see the first only."""
        at = now_ms()
        store = redis.from_url(servers.redis_decisions_url)
        for each in (sighting("scan-1", at + 5, code="X0014KQZ7T"), sighting("scan-1", at)):
            await store.zadd(f"{{{unique}}}:scans:{UNIT}", {msgspec.json.encode(each): each.append_ms})
        await store.aclose()
        assert ["4006381333931"] == [each.code for each in (await board.of(unique, UNIT, at_ms=at)).nearest_first]


class TestWaiting:
    """A scan that is on its way."""

    async def test_one_that_comes_meanwhile_is_taken(self, board: ScanBoard, unique: str) -> None:
        """The capture is there first, and does not wait longer than it has to."""
        at, began = now_ms(), time.monotonic()

        async def arrive() -> None:
            await asyncio.sleep(0.2)
            await board.put(unique, UNIT, sighting("own", now_ms()))

        scans, _ = await asyncio.gather(board.wait_for(unique, UNIT, at_ms=at, patience_s=5.0), arrive())
        assert scans.nearest is not None
        assert "own" == scans.nearest.scan_id
        assert time.monotonic() - began < 3.0

    async def test_patience_ends(self, board: ScanBoard, unique: str) -> None:
        """Without a scan the capture goes on, and what comes later is too late for it."""
        at = now_ms()
        scans = await board.wait_for(unique, UNIT, at_ms=at, patience_s=0.3)
        await board.put(unique, UNIT, sighting("late", now_ms()))
        assert scans.nearest is None
        assert now_ms() - at >= 300
        assert ["late"] == await ids(board, unique, at)  # for the next capture of the unit

    async def test_a_near_scan_needs_no_waiting(self, board: ScanBoard, unique: str) -> None:
        """Nothing that is still to come could be nearer than a scan 50 ms before a capture that is 60 ms old."""
        at = now_ms() - 60
        await board.put(unique, UNIT, sighting("own", at - 50))
        began = time.monotonic()
        scans = await board.wait_for(unique, UNIT, at_ms=at, patience_s=5.0)
        assert scans.nearest is not None
        assert time.monotonic() - began < 1.0

    async def test_a_used_tote_waits_for_its_new_scan(self, board: ScanBoard, unique: str) -> None:
        """The scan of the unit that was in the tote before is there at once; the own one comes, and is nearer."""
        at = now_ms()
        await board.put(unique, UNIT, sighting("former", at - 20_000))

        async def arrive() -> None:
            await asyncio.sleep(0.2)
            await board.put(unique, UNIT, sighting("own", now_ms()))

        scans, _ = await asyncio.gather(board.wait_for(unique, UNIT, at_ms=at, patience_s=5.0), arrive())
        assert ["own", "former"] == [each.scan_id for each in scans.nearest_first]


class TestTracker:
    """What the tracker makes of an event."""

    async def test_a_scanners_clock_does_not_matter(self, board: ScanBoard, unique: str) -> None:
        """Its day may be of another century: the broker's time says to which capture a scan belongs."""
        at = now_ms()
        tracker = Tracker(board, {unique: frozenset({"line-1"})})
        for number, year in enumerate((1970, 2026, 2199)):
            scan = Scan(
                scan_id=f"scan-{number}",
                site=unique,
                line="line-1",
                station="scanner-1",
                unit_id=UNIT,
                scanned_at=datetime(year, 1, 1, tzinfo=UTC),
                code="4006381333931",
            )
            delivery = Delivery(topic(Entity.SCANS, unique), 0, number, b"k", encode(scan), (), at + number)
            await tracker.track(delivery)
        assert ["scan-0", "scan-1", "scan-2"] == await ids(board, unique, at)
