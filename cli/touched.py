"""Every decision that a reference had a part in, read back from the decisions topics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

from cli.here import Line, registered
from cli.tape import TopicReader
from schemas.codec import decode
from schemas.faults import Poison
from schemas.messages import Decision
from streams.topics import Entity, topic

HOUR_MS: Final = 3_600_000
KEPT_MS: Final = 30 * 24 * HOUR_MS  # how long decisions are kept


async def touched(line: Line, reference_id: str, *, since_ms: int) -> AsyncIterator[Decision]:
    """Yield the decisions whose discrepancy was measured against a reference, site by site in order of time.

    Read by the hour, so that a busy site's month does not have to fit into memory.

    Raises:
        Retryable: `redis` or `kafka` is away.
    """
    now_ms = time.time_ns() // 1_000_000
    needle = reference_id.encode()
    for site in await registered(line):
        told: set[str] = set()  # a decision may be on its topic several times, always the same
        async with TopicReader(line.bootstrap, [topic(Entity.DECISIONS, site)]) as reader:
            for start_ms in range(max(since_ms, now_ms - KEPT_MS), now_ms + 1, HOUR_MS):
                for delivery in await reader.between(start_ms, start_ms + HOUR_MS):
                    if needle not in (delivery.value or b""):
                        continue
                    decision = _read(delivery.value)
                    if decision is None or decision.capture_id in told or decision.evidence is None:
                        continue
                    if reference_id in decision.evidence.references:
                        told.add(decision.capture_id)
                        yield decision


def _read(value: bytes | None) -> Decision | None:
    try:
        return decode(Decision, value)
    except Poison:
        return None
