"""What the scanners read lately, per unit: the tracker writes it, every inspector reads it.

Times are the broker's append times of scan and capture, so that no station's clock decides which scan belongs to
which capture: tote positions are used again within minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, cast

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal, Poison, Reason, Retryable
from settings.credentials import store_arguments

_log = structlog.get_logger(__name__)
LOOK_AGAIN_S: Final = 0.08
KEPT_PER_UNIT: Final = 16  # scans of one unit id within the time they are kept


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One scan of a unit as stored. `append_ms` is the broker's append time, Unix milliseconds."""

    scan_id: str
    station: str
    code: str
    symbology: str
    append_ms: int


@dataclass(frozen=True, slots=True)
class ScansOfUnit:
    """The scans of a unit id that were made within the window around a capture."""

    at_ms: int  # the capture's append time
    nearest_first: tuple[Sighting, ...] = ()

    @property
    def nearest(self) -> Sighting | None:
        """The scan that belongs to the capture."""
        return self.nearest_first[0] if self.nearest_first else None

    def only(self, counts: Callable[[Sighting], bool]) -> ScansOfUnit:
        """Return the scans that count."""
        return replace(self, nearest_first=tuple(scan for scan in self.nearest_first if counts(scan)))

    def settled(self, now_ms: int) -> bool:
        """Tell whether no scan that is still to come can be nearer: it would be as far off as now is, or further."""
        return self.nearest is not None and abs(self.nearest.append_ms - self.at_ms) <= now_ms - self.at_ms


class ScanBoard:
    """The scans of all sites in the decision store, under `{site}:scans:<unit>`, newest kept, forgotten by time."""

    def __init__(self, url: str, *, window_s: float, timeout_s: float = 2.0) -> None:
        """Keep a scan for twice the window in which it can match a capture."""
        self._redis = redis.from_url(
            url, **store_arguments(url), socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
        self._window_ms = round(window_s * 1000)
        self._decoder = msgspec.json.Decoder(Sighting)

    async def put(self, site: str, unit_id: str, sighting: Sighting) -> None:
        """Store a scan; the same one again, from the broker or the scanner, changes nothing: its first time counts.

        Raises:
            Poison: `id_reused`, its id is that of a scan of this unit with another code.
            Retryable: `redis`.
        """
        key = _key(site, unit_id)
        try:
            held = self._read(cast("list[bytes]", await self._redis.zrange(key, 0, -1)))
            if (known := held.get(sighting.scan_id)) is not None:
                if (known.code, known.symbology) == (sighting.code, sighting.symbology):
                    return
                raise Poison(
                    Reason.ID_REUSED,
                    f"scan {sighting.scan_id} of unit {unit_id} was another code before: new scan, new id",
                )
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(key, {msgspec.json.encode(sighting): sighting.append_ms})
                pipe.zremrangebyrank(key, 0, -KEPT_PER_UNIT - 1)
                pipe.pexpire(key, 2 * self._window_ms)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise _fault(error, "scan not stored") from error

    async def of(self, site: str, unit_id: str, *, at_ms: int) -> ScansOfUnit:
        """Return the unit's scans within the window around a time.

        Raises:
            Retryable: `redis`.
        """
        try:
            raw = cast(
                "list[bytes]",
                await self._redis.zrangebyscore(_key(site, unit_id), at_ms - self._window_ms, at_ms + self._window_ms),
            )
        except (RedisError, OSError, TimeoutError) as error:
            raise _fault(error, "scans not read") from error
        near = sorted(self._read(raw).values(), key=lambda scan: (abs(scan.append_ms - at_ms), scan.scan_id))
        return ScansOfUnit(at_ms, tuple(near))

    def _read(self, raw: list[bytes]) -> dict[str, Sighting]:
        """Return scans by id, oldest first; of two with one id, put by two trackers at once, the first counts.

        One that cannot be read costs only itself: the unit's captures do without it.
        """
        scans: dict[str, Sighting] = {}
        for item in raw:
            try:
                scan = self._decoder.decode(item)
            except NO_DOCUMENT as error:
                _log.error("the store holds a scan that cannot be read", error=str(error))
                continue
            scans.setdefault(scan.scan_id, scan)
        return scans

    async def wait_for(
        self,
        site: str,
        unit_id: str,
        *,
        at_ms: int,
        patience_s: float,
        counts: Callable[[Sighting], bool] = lambda _: True,
    ) -> ScansOfUnit:
        """Return the unit's scans as soon as none that is on its way can be nearer, at the latest after some time.

        So a tote that was scanned with its former unit a while ago is given the time to be scanned with this one.

        Args:
            site: of the unit.
            unit_id: the capture's.
            at_ms: the capture's append time.
            patience_s: counted from `at_ms`.
            counts: whether a scan is worth having waited for; those that are not are returned, but end no wait.

        Raises:
            Retryable: `redis`.
        """
        while True:
            scans = await self.of(site, unit_id, at_ms=at_ms)
            now_ms = round(time.time() * 1000)
            if scans.only(counts).settled(now_ms) or now_ms > at_ms + 1000 * patience_s:
                return scans
            await asyncio.sleep(LOOK_AGAIN_S)

    async def probe(self) -> None:
        """Return when the store answers; raise otherwise."""
        await self._redis.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _fault(error: Exception, what: str) -> Retryable | Fatal:
    """Waiting mends an outage, not a missing right."""
    if isinstance(error, AuthenticationError | NoPermissionError):
        return Fatal(f"{what}: redis refuses our credentials: {error}. Who may do what: sideline acls show")
    return Retryable("redis", f"{what}: {error}")


def _key(site: str, unit_id: str) -> str:
    return f"{{{site}}}:scans:{unit_id}"
