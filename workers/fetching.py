"""Fetch the views of an event, trying again while their storage is away.

No breaker guards the storage: which object is slow or missing is up to whoever wrote the event, and one sender's dead
bucket must not pause everybody's captures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import View
from telemetry.metrics import METRICS

AGAIN_AFTER_S: Final = 0.25
log = structlog.get_logger(__name__)


async def fetch_views(fetcher: ViewFetcher, views: Sequence[View], *, patience_s: float) -> list[bytes]:
    """Return the verified bytes of all views.

    Raises:
        Poison: a view is not what its event said, or its storage did not answer within `patience_s`.
    """
    return await asyncio.gather(*(_fetch(fetcher, view, patience_s) for view in views))


async def _fetch(fetcher: ViewFetcher, view: View, patience_s: float) -> bytes:
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return await fetcher.fetch(view)
        except Retryable as away:
            METRICS.fetch_retries.inc()
            if time.monotonic() > give_up_at:
                raise Poison(Reason.VIEW_MISSING, f"no answer for {patience_s:g} s: {away}") from away
            log.warning("view not fetched, trying again", error=str(away))
            await asyncio.sleep(AGAIN_AFTER_S)
