"""What a site's store waits for: diverts without a verdict, and verdicts it has not heard of. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from budget.keys import SiteKeys
from budget.link import RedisLink

_ASKED: Final = 500  # keys in one round trip


class Waiting:
    """Looks into the store at a URL; whether it is the pinned one is `DecisionStore.verify`'s to say."""

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        """Connect on first use."""
        self._link = RedisLink(url, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def open_captures(self, site: str) -> frozenset[str]:
        """Return the captures whose divert is open: judged by nobody, and not swept either. Raises Retryable."""
        stops = await self._link.command("ZRANGE", SiteKeys(site).key("open"), 0, -1)
        return frozenset(stop.decode().split(":", 2)[1] for stop in stops)

    async def unheard(self, site: str, disposition_ids: Sequence[str]) -> frozenset[str]:
        """Return those of some dispositions that have done nothing yet. Raises Retryable.

        What a disposition did is forgotten after the site's horizon: ask for younger ones.
        """
        keys = SiteKeys(site)
        missing: set[str] = set()
        for start in range(0, len(disposition_ids), _ASKED):
            some = disposition_ids[start : start + _ASKED]
            there = await self._link.commands([("EXISTS", keys.verdict(name)) for name in some])
            missing.update(name for name, found in zip(some, there, strict=True) if not found)
        return frozenset(missing)
