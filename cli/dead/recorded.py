"""Rejections as the dead letters of a site tell them, for a store that has lost them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from budget.rejections import RejectedCapture
from cli.dead.letters import Wanted, capture_of, digest_of, read
from schemas.faults import WITHOUT_OUTCOME
from schemas.messages import Capture
from streams.topics import Entity


async def rejected_captures(bootstrap: str, site: str) -> list[RejectedCapture]:
    """Return every capture whose rejection was on record when its dead letter was sent.

    Copies of a letter say the same time, so each rejection counts once.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: the site has no topics.
    """
    captures: dict[tuple[str, str], Capture] = {}
    times: dict[tuple[str, str], set[tuple[datetime, str]]] = defaultdict(set)
    async for letter, delivery in read(bootstrap, site, Wanted(entities=frozenset({Entity.CAPTURES}))):
        if letter.said is None or letter.said.reason in WITHOUT_OUTCOME:
            continue
        capture = capture_of(delivery)
        if capture is not None and capture.site == site:
            key = capture.capture_id, digest_of(delivery)
            captures[key] = capture
            times[key].add((letter.said.failed_at, letter.said.reason))
    return [RejectedCapture(captures[key], key[1], tuple(sorted(times[key]))) for key in captures]
