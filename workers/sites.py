"""Which sites a worker serves: those registered when it started. When that changes it starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from budget.store import DecisionStore
from schemas.faults import Fatal, Retryable
from settings.line import Settings
from streams.topics import Entity, missing_topics, site_of
from workers.mailroom import Sites

log = structlog.get_logger(__name__)
LOOK_AGAIN_S: Final = 1.0


async def registered_sites(settings: Settings, store: DecisionStore, *reads: Entity) -> Sites:
    """Check the store's identity and the topics, and return the registered sites, waiting for the first one.

    Raises:
        Fatal: the store is another one than pinned, or topics are missing; the message names the command that helps.
        Retryable: `redis` or `kafka` is away.
    """
    await store.verify()
    said = False
    while not (sites := await store.sites()):
        if not said:
            log.warning("no site is registered yet: sideline site add NAME")
            said = True
        await asyncio.sleep(LOOK_AGAIN_S)
    missing = await missing_topics(settings.kafka_bootstrap, list(sites), reads)
    # Of the entities that all sites share there is one more topic, which a worker of sites need not be able to see.
    if missing := [name for name in missing if site_of(name) is not None]:
        raise Fatal(f"topics are missing: {', '.join(sorted(missing))}; make them with: sideline init")
    return sites


def sites_changed(store: DecisionStore, sites: Sites) -> Callable[[], Awaitable[bool]]:
    """Return a question: has the list of registered sites or lines changed since?"""

    async def changed() -> bool:
        try:
            return await store.sites() != sites
        except Retryable:
            return False  # the breaker says it better

    return changed
