"""What all workers do with an event at the door: read it, check its site, bury it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from schemas.codec import decode
from schemas.faults import Poison, Reason
from schemas.messages import Message
from streams.dead_letters import headers_of
from streams.delivery import Delivery
from streams.fault_points import FaultPoint, reach
from streams.outbox import Outbox
from streams.topics import Entity, site_of, topic
from telemetry.metrics import METRICS

Sites = Mapping[str, frozenset[str]]  # registered sites and their lines


class SiteEvent(Protocol):
    """An event that names its site."""

    @property
    def site(self) -> str:
        """The site the event speaks for."""


M = TypeVar("M", bound=Message)


def read(kind: type[M], delivery: Delivery) -> M:
    """Decode an event of a global topic.

    Raises:
        Poison: `unreadable` or `too_large`.
    """
    return decode(kind, delivery.value)


def check_site(event: SiteEvent, delivery: Delivery, sites: Sites) -> None:
    """Check that an event speaks for the site of its topic, and that the site is registered.

    Raises:
        Poison: `wrong_site` or `unknown_site`.
    """
    if event.site != site_of(delivery.topic):
        raise Poison(Reason.WRONG_SITE, f"the event says site {event.site}, its topic is {delivery.topic}")
    if event.site not in sites:
        raise Poison(Reason.UNKNOWN_SITE, f"site {event.site} is not registered: sideline site add {event.site}")


def check_line(line: str, site: str, sites: Sites) -> None:
    """Check that a line is registered at its site.

    Raises:
        Poison: `unknown_line`.
    """
    if line not in sites[site]:
        raise Poison(Reason.UNKNOWN_LINE, f"line {line} of site {site} is not registered")


class Undertaker:
    """Puts dead letters on the dead topic of the site they came from, or on the global one."""

    def __init__(self, outbox: Outbox, *, entity: str, worker: str) -> None:
        """Take what sends, and the words for metrics and headers."""
        self._outbox = outbox
        self._entity = entity
        self._worker = worker
        for reason in Reason:  # counters start at 0: Prometheus sees no rise in one that is born with its first event
            METRICS.dead_letters.labels(entity=self._entity, reason=reason.value)

    async def bury(
        self, delivery: Delivery, fault: Poison, *, failed_at: str | None = None, redrives: int | None = None
    ) -> None:
        """Send the dead letter and wait for its acknowledgement.

        `failed_at` and `redrives` repeat those of a recorded rejection.

        Raises:
            Retryable: `kafka`.
        """
        await self._outbox.send(
            topic(Entity.DEAD, site_of(delivery.topic)),
            key=delivery.key,
            value=delivery.value,
            headers=headers_of(delivery, fault, worker=self._worker, failed_at=failed_at, redrives=redrives),
        )
        reach(FaultPoint.BURIED)
        METRICS.dead_letters.labels(entity=self._entity, reason=fault.reason.value).inc()
