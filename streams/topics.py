"""The topic table: the one source of every topic's name, partitions, retention, limits, key and schema.

Topic creation, the AsyncAPI document and `docs/topics.md` are made from it; access rules and manifests are tested
against it. Replication and `min.insync.replicas` belong to an installation and are given at creation.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.epcis import ObjectEvent
from schemas.messages import Capture, DeadLetter, Decision, Disposition, Message, Product, Reference, Scan, Sidelined
from schemas.words import ID_PATTERN, MAX_EVENT_BYTES
from streams import topic_admin, topic_tail
from streams.topic_admin import WantedTopic

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
FOREVER_MS: Final = -1
DEAD_LETTER_SLACK_BYTES: Final = 64 * 1024  # what the headers of a dead letter may add to an event of full size
_SITE: Final = re.compile(ID_PATTERN)


class Entity(enum.StrEnum):
    """What a topic carries; the word in its name."""

    CAPTURES = "captures"
    SCANS = "scans"
    DECISIONS = "decisions"
    SIDELINED = "sidelined"
    DISPOSITIONS = "dispositions"
    EPCIS = "epcis"  # of the optional herald
    REFERENCES = "references"
    PRODUCTS = "products"
    DEAD = "dead"  # of a site for the site's inputs, and a global one for references and products


class Scope(enum.StrEnum):
    """Whether each site has its own topic, so that credentials and quotas are per site, or all share one."""

    SITE = "site"
    GLOBAL = "global"


class Cleanup(enum.StrEnum):
    """What the broker throws away: by age, all but the newest of a key, or both."""

    DELETE = "delete"
    COMPACT = "compact"
    BOTH = "compact,delete"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One row of the table."""

    entity: Entity
    scope: Scope
    schema: type[Message]
    event: str  # the word in the CloudEvents type; empty on dead topics, which keep the headers they got
    key: str
    partitions: int
    retention_ms: int
    cleanup: Cleanup
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    from_outside: bool = False  # others than our workers write here
    max_bytes: int = MAX_EVENT_BYTES  # of a record batch as the broker stores it: key, value, headers and framing

    def name(self, site: str | None = None) -> str:
        """Return the topic's name; `site` is given exactly when the topic is a site's.

        Raises:
            ValueError: for a site where none belongs, none where one does, or one that no topic can be named after.
        """
        if (site is not None) != (self.scope is Scope.SITE):
            raise ValueError(f"{self.entity} is a {self.scope} topic, site was {site!r}")
        if site is None:
            return self.address
        if not _SITE.match(site):
            raise ValueError(f"{site!r} is no site id")
        return self.address.replace("{site}", site)

    @property
    def address(self) -> str:
        """The topic's name, with `{site}` where that of a site goes."""
        return f"sideline.{{site}}.{self.entity}.v1" if self.scope is Scope.SITE else f"sideline.{self.entity}.v1"

    @property
    def ce_type(self) -> str:
        """The CloudEvents type of what is on the topic; dead letters keep the type they had."""
        return f"sideline.{self.event}.v1" if self.event else "as the original"

    def config(self) -> dict[str, str]:
        """Return the broker's settings for the topic.

        Old data leaves only in closed segments, so a segment is closed at the latest after a 24th of the retention.
        Topics that others write to are stored uncompressed: the broker then measures what a message unpacks to, and a
        small compressed one cannot become a dead letter too large to send.
        """
        longest = DAY_MS if self.retention_ms == FOREVER_MS else self.retention_ms // 24
        return {
            "cleanup.policy": self.cleanup.value,
            "retention.ms": str(self.retention_ms),
            "segment.ms": str(min(DAY_MS, max(HOUR_MS, longest))),
            "max.message.bytes": str(self.max_bytes),
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "uncompressed" if self.from_outside else "producer",
        }


TOPICS: Final = (
    TopicSpec(
        entity=Entity.CAPTURES,
        scope=Scope.SITE,
        schema=Capture,
        event="capture",
        key="unit_id",
        partitions=12,
        retention_ms=DAY_MS,  # R of the horizon: an outcome outlives its capture's last possible delivery
        cleanup=Cleanup.DELETE,
        writers=("stations", "sideline dead redrive"),
        readers=("inspector",),
        from_outside=True,
    ),
    TopicSpec(
        entity=Entity.SCANS,
        scope=Scope.SITE,
        schema=Scan,
        event="scan",
        key="unit_id",
        partitions=12,
        retention_ms=DAY_MS,
        cleanup=Cleanup.DELETE,
        writers=("scanners", "sideline dead redrive"),
        readers=("tracker",),
        from_outside=True,
    ),
    TopicSpec(
        entity=Entity.DECISIONS,
        scope=Scope.SITE,
        schema=Decision,
        event="decision",
        key="capture_id",
        partitions=12,
        retention_ms=30 * DAY_MS,
        cleanup=Cleanup.BOTH,
        writers=("inspector",),
        readers=("FC systems", "analysts", "inspector", "sideline restore", "sideline dataset export"),
    ),
    TopicSpec(
        entity=Entity.SIDELINED,
        scope=Scope.SITE,
        schema=Sidelined,
        event="sidelined",
        key="capture_id",
        partitions=6,
        retention_ms=30 * DAY_MS,  # as long as dispositions: labelled data needs both, and a few in a hundred divert
        cleanup=Cleanup.DELETE,
        writers=("inspector",),
        readers=("FC systems", "review station", "sideline dataset export", "herald"),
    ),
    TopicSpec(
        entity=Entity.DISPOSITIONS,
        scope=Scope.SITE,
        schema=Disposition,
        event="disposition",
        key="unit_id, or capture_id where the unit is not known",
        partitions=6,
        retention_ms=30 * DAY_MS,  # as long as decisions: restoring the store needs both
        cleanup=Cleanup.DELETE,
        writers=("review station", "sideline dead redrive"),
        readers=("settler", "sideline restore", "herald", "sideline dataset export"),
        from_outside=True,
    ),
    TopicSpec(
        entity=Entity.EPCIS,
        scope=Scope.SITE,
        schema=ObjectEvent,
        event="epcis",
        key="unit_id",
        partitions=3,
        retention_ms=30 * DAY_MS,  # as long as what the events are made of
        cleanup=Cleanup.DELETE,
        writers=("herald",),
        readers=("EPCIS repositories", "partners"),
    ),
    TopicSpec(
        entity=Entity.DEAD,
        scope=Scope.SITE,
        schema=DeadLetter,
        event="",
        key="as the original",
        partitions=3,
        retention_ms=14 * DAY_MS,
        cleanup=Cleanup.DELETE,
        writers=("inspector", "tracker", "settler", "herald"),
        readers=("SREs",),
        max_bytes=MAX_EVENT_BYTES + DEAD_LETTER_SLACK_BYTES,
    ),
    TopicSpec(
        entity=Entity.REFERENCES,
        scope=Scope.GLOBAL,
        schema=Reference,
        event="reference",
        key="reference_id",
        partitions=6,
        retention_ms=FOREVER_MS,
        cleanup=Cleanup.COMPACT,
        writers=("catalogue systems", "settler", "sideline gallery", "sideline dead redrive"),
        readers=("curator",),
        from_outside=True,
    ),
    TopicSpec(
        entity=Entity.PRODUCTS,
        scope=Scope.GLOBAL,
        schema=Product,
        event="product",
        key="product_id",
        partitions=6,
        retention_ms=FOREVER_MS,
        cleanup=Cleanup.COMPACT,
        writers=("catalogue systems", "sideline dead redrive"),
        readers=("curator",),
        from_outside=True,
    ),
    TopicSpec(
        entity=Entity.DEAD,
        scope=Scope.GLOBAL,
        schema=DeadLetter,
        event="",
        key="as the original",
        partitions=3,
        retention_ms=14 * DAY_MS,
        cleanup=Cleanup.DELETE,
        writers=("curator",),
        readers=("SREs",),
        max_bytes=MAX_EVENT_BYTES + DEAD_LETTER_SLACK_BYTES,
    ),
)
_ROWS: Final = {(row.entity, row.scope): row for row in TOPICS}


def spec(entity: Entity, scope: Scope) -> TopicSpec:
    """Return a row of the table.

    Raises:
        ValueError: when there is no such topic.
    """
    row = _ROWS.get((entity, scope))
    if row is None:
        raise ValueError(f"there is no {scope} topic for {entity}")
    return row


def topic(entity: Entity, site: str | None = None) -> str:
    """Return the name of a topic. `topic(Entity.DEAD, site_of(source))` is where dead letters of `source` go.

    Raises:
        ValueError: when there is no such topic, or no topic can be named after the site.
    """
    return spec(entity, Scope.GLOBAL if site is None else Scope.SITE).name(site)


def _parse(name: str) -> tuple[Entity, str | None]:
    """Take a topic name apart from both ends, because a site may contain dots."""
    middle = name.removeprefix("sideline.").removesuffix(".v1")
    before, dot, word = middle.rpartition(".")
    site = before if dot else None
    for row in TOPICS:
        if row.entity == word and (row.scope is Scope.SITE) == bool(dot):
            with contextlib.suppress(ValueError):
                if row.name(site) == name:
                    return row.entity, site
    raise ValueError(f"{name!r} is no topic of ours")


def site_of(name: str) -> str | None:
    """Return the site whose topic this is, None for a global topic.

    Raises:
        ValueError: when the topic is not one of ours.
    """
    return _parse(name)[1]


def entity_of(name: str) -> Entity:
    """Return what a topic carries.

    Raises:
        ValueError: when the topic is not one of ours.
    """
    return _parse(name)[0]


def names(entities: Iterable[Entity], sites: Sequence[str]) -> list[str]:
    """Return the topics of some entities for some sites, global ones included, in the order of the table."""
    wanted = set(entities)
    return [
        row.name(site)
        for row in TOPICS
        if row.entity in wanted
        for site in (sites if row.scope is Scope.SITE else [None])
    ]


async def create_topics(
    bootstrap: str,
    sites: Sequence[str],
    *,
    replication: int = 1,
    partitions: int | None = None,
    min_insync: int | None = None,
) -> list[str]:
    """Create the global topics and those of `sites`, align existing ones, and return the names created.

    Run it as often as you like. Settings of existing topics that differ from the table are corrected; the number of
    partitions is never changed, because that would move keys, only reported in the log.
    `partitions` replaces the table's number for every topic: small installations want fewer.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: when the broker refuses for a reason that waiting does not mend.
    """
    extra = {} if min_insync is None else {"min.insync.replicas": str(min_insync)}
    wanted = [
        WantedTopic(row.name(site), partitions or row.partitions, row.config() | extra)
        for row in TOPICS
        for site in (sites if row.scope is Scope.SITE else [None])
    ]
    return await topic_admin.align(bootstrap, wanted, replication=replication)


async def missing_topics(bootstrap: str, sites: Sequence[str], entities: Iterable[Entity]) -> list[str]:
    """Return which topics of these entities do not exist, or have a partition without a leader.

    Raises:
        Retryable: `kafka`, when the broker is away.
    """
    return await topic_admin.missing(bootstrap, names(entities, sites))


async def last_seq(bootstrap: str, site: str) -> int:
    """Return the highest `seq` on the site's decisions topic, 0 if there is none.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: when the topic does not exist.
    """
    return await topic_tail.highest_seq(bootstrap, topic(Entity.DECISIONS, site))
