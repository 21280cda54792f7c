"""What the scanners read lately, per unit: the tracker writes it, every inspector reads it.

Times are the broker's append times of scan and capture, so that no station's clock decides which scan belongs to
which capture: tote positions are used again within minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError

from schemas.faults import Retryable

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
    """The scan that belongs to a capture, and those of the same unit id that do not or only less so."""

    nearest: Sighting | None
    others: tuple[Sighting, ...] = ()


class ScanBoard:
    """The scans of all sites in the decision store, under `{site}:scans:<unit>`, newest kept, forgotten by time."""

    def __init__(self, url: str, *, window_s: float, timeout_s: float = 2.0) -> None:
        """Keep a scan for twice the window in which it can match a capture."""
        self._redis = redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._window_ms = round(window_s * 1000)
        self._decoder = msgspec.json.Decoder(Sighting)

    async def put(self, site: str, unit_id: str, sighting: Sighting) -> None:
        """Store a scan; storing it twice changes nothing.

        Raises:
            Retryable: `redis`.
        """
        key = _key(site, unit_id)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(key, {msgspec.json.encode(sighting): sighting.append_ms})
                pipe.zremrangebyrank(key, 0, -KEPT_PER_UNIT - 1)
                pipe.pexpire(key, 2 * self._window_ms)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise Retryable("redis", f"scan not stored: {error}") from error

    async def of(self, site: str, unit_id: str, *, at_ms: int) -> ScansOfUnit:
        """Return the unit's scan nearest to a time and the others within the window.

        Raises:
            Retryable: `redis`.
        """
        try:
            raw = cast(
                "list[bytes]",
                await self._redis.zrangebyscore(_key(site, unit_id), at_ms - self._window_ms, at_ms + self._window_ms),
            )
        except (RedisError, OSError, TimeoutError) as error:
            raise Retryable("redis", f"scans not read: {error}") from error
        near = sorted((self._decoder.decode(item) for item in raw), key=lambda scan: abs(scan.append_ms - at_ms))
        return ScansOfUnit(near[0], tuple(near[1:])) if near else ScansOfUnit(None)

    async def probe(self) -> None:
        """Return when the store answers; raise otherwise."""
        await self._redis.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _key(site: str, unit_id: str) -> str:
    return f"{{{site}}}:scans:{unit_id}"
