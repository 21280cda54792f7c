"""Fetch the views of an event, trying again while their storage is away.

No breaker guards the storage: which object is slow or missing is up to whoever wrote the event, and one sender's dead
bucket must not pause everybody's captures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import View
from schemas.words import ViewKind
from telemetry.metrics import METRICS

AGAIN_AFTER_S: Final = 0.25
DEPTH_PATIENCE_S: Final = 0.5  # depth is used when present and never required
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The verified bytes of RGB views, each with its index among the event's views, and their depth by that index."""

    rgb: tuple[tuple[int, bytes], ...]
    depth: Mapping[int, bytes]


async def fetch_pictures(fetcher: ViewFetcher, views: Sequence[View], *, patience_s: float) -> Pictures:
    """Fetch the RGB views of an event, and the depth views of the same cameras.

    A depth view that is missing, late or not what its event said is left out and counted: it must not cost an answer.

    Raises:
        Poison: there is no RGB view, one is not what its event said, or its storage did not answer in time.
    """
    rgb = [(number, view) for number, view in enumerate(views) if view.kind is ViewKind.RGB]
    if not rgb:
        raise Poison(Reason.NO_PICTURE, "none of the views is an RGB picture")
    cameras = {view.camera_id: number for number, view in reversed(rgb)}  # of several views of a camera the first
    depth = {
        cameras[view.camera_id]: view for view in views if view.kind is ViewKind.DEPTH and view.camera_id in cameras
    }
    raw, heights = await asyncio.gather(
        fetch_views(fetcher, [view for _, view in rgb], patience_s=patience_s),
        asyncio.gather(*(_fetch_depth(fetcher, view) for view in depth.values())),
    )
    return Pictures(
        rgb=tuple((number, data) for (number, _), data in zip(rgb, raw, strict=True)),
        depth={number: data for number, data in zip(depth, heights, strict=True) if data is not None},
    )


async def _fetch_depth(fetcher: ViewFetcher, view: View) -> bytes | None:
    try:
        return await _fetch(fetcher, view, DEPTH_PATIENCE_S)
    except Poison as poison:
        METRICS.depth_left_out.inc()
        log.warning("depth left out", error=str(poison))
        return None


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
