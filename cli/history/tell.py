"""Tells a capture's history: what `sideline explain --history` prints, and what a failing chaos run keeps."""

from __future__ import annotations

import asyncio
import time

from cli.history.gather import Traces, gather
from cli.history.logs import Wanted, log_moments
from cli.history.moments import log_keys, moments_of, span_ms
from cli.history.render import plain
from cli.history.standing import stand
from cli.history.timeline import History, Mark
from cli.history.where import Where

LOOKED_AT_MS = 120_000  # after the last sign of a capture that has no outcome: whoever lost it may have said so


async def tell_history(where: Where, capture_id: str, site: str | None = None) -> History:
    """Gather and order everything that is known of a capture.

    Raises:
        Fatal: that is no capture id, or nobody has heard of it.
        Retryable: `kafka`. A store that is away is told instead.
    """
    traces = await gather(where, capture_id, site)
    return await asyncio.to_thread(history_of, traces, where)


async def history_text(where: Where, capture_id: str, site: str | None = None) -> str:
    """Return the history as text without colours. Raises like `tell_history`."""
    return plain(await tell_history(where, capture_id, site))


def history_of(traces: Traces, where: Where) -> History:
    """Put traces in order and add what the logs say."""
    standings, moments, left_out = stand(traces), moments_of(traces), 0
    if where.logs is not None:
        from_ms, to_ms = span_ms(moments)
        if any(one.mark is not Mark.PLAIN for one in standings):
            to_ms = min(to_ms + LOOKED_AT_MS, time.time() * 1000)
        texts, places = log_keys(traces)
        said, left_out = log_moments(where.logs, Wanted(texts, places, from_ms, to_ms))
        moments = sorted([*moments, *said], key=lambda one: one.at_ms)
    return History(traces.capture_id, traces.site, standings, tuple(moments), left_out)
