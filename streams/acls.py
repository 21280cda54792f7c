"""Who may do what on the broker: every rule, derived from the topic table's writers and readers.

A principal is a kind of worker, which serves all sites, or somebody of one site. Everything not listed is refused, so
one site's credential cannot speak for another, and no one but the inspector can write a decision. There are no rules
for idempotent producers and none for transactions: the right to write a topic includes the first, nobody has the
second.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streams.topics import TOPICS, Scope

PREFIX: Final = "sideline."  # of our topics, principals and the groups of others
GROUP_MARK: Final = ":"  # no site id has one, so no group of one site can look like that of another


class Operation(enum.IntEnum):
    """Kafka's operations that we grant, by their numbers in its protocol."""

    READ = 3
    WRITE = 4
    CREATE = 5
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


class Resource(enum.IntEnum):
    """What a rule is about, by its number in Kafka's protocol."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


class Pattern(enum.IntEnum):
    """How a rule names it, by its number in Kafka's protocol."""

    LITERAL = 3
    PREFIXED = 4


CLUSTER: Final = "kafka-cluster"  # Kafka's name for the one cluster


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One thing that one principal may do, from any host."""

    principal: str  # without Kafka's "User:"
    resource: Resource
    name: str
    pattern: Pattern
    operation: Operation


class Role(enum.StrEnum):
    """The kinds of principals. The first five are the workers, whose consumer group has the same name."""

    INSPECTOR = "inspector"
    TRACKER = "tracker"
    CURATOR = "curator"
    SETTLER = "settler"
    HERALD = "herald"
    CATALOGUE = "catalogue"  # publishes products and references
    OPERATOR = "operator"  # looks at everything, restores, redrives dead letters, withdraws references
    ADMIN = "admin"  # makes topics and these rules; reads and writes no record
    STATION = "station"  # from here on, of one site: what makes captures
    SCANNER = "scanner"
    TERMINAL = "terminal"  # the review station of associates
    WMS = "wms"  # and the conveyors: the FC's own systems
    ANALYST = "analyst"
    PARTNER = "partner"

    @property
    def of_a_site(self) -> bool:
        """Whether each site has its own."""
        return self in _OF_A_SITE

    @property
    def is_worker(self) -> bool:
        """Whether it is one of our processes."""
        return self in WORKERS

    def principal(self, site: str | None = None) -> str:
        """Return the user's name; `site` is given exactly for roles that each site has.

        Raises:
            ValueError: for a site where none belongs, or none where one does.
        """
        if (site is not None) != self.of_a_site:
            raise ValueError(f"{self} is {'' if self.of_a_site else 'not '}of a site, site was {site!r}")
        return f"{PREFIX}{self.value}" if site is None else f"{PREFIX}{site}.{self.value}"


WORKERS: Final = (Role.INSPECTOR, Role.TRACKER, Role.CURATOR, Role.SETTLER, Role.HERALD)
_OF_A_SITE: Final = frozenset(
    {Role.STATION, Role.SCANNER, Role.TERMINAL, Role.WMS, Role.ANALYST, Role.PARTNER},
)
# The words of the topic table's writers and readers that are not a worker's name.
_WORDS: Final = {
    "stations": Role.STATION,
    "scanners": Role.SCANNER,
    "review station": Role.TERMINAL,
    "FC systems": Role.WMS,
    "analysts": Role.ANALYST,
    "EPCIS repositories": Role.PARTNER,
    "partners": Role.PARTNER,
    "catalogue systems": Role.CATALOGUE,
    "SREs": Role.OPERATOR,
    "sideline restore": Role.OPERATOR,
    "sideline dataset export": Role.OPERATOR,
    "sideline gallery": Role.OPERATOR,
    "sideline dead redrive": Role.OPERATOR,
}
_ADMINS: Final = (
    (Resource.TOPIC, PREFIX, Pattern.PREFIXED, Operation.CREATE),
    (Resource.TOPIC, PREFIX, Pattern.PREFIXED, Operation.DESCRIBE),
    (Resource.TOPIC, PREFIX, Pattern.PREFIXED, Operation.DESCRIBE_CONFIGS),
    (Resource.TOPIC, PREFIX, Pattern.PREFIXED, Operation.ALTER_CONFIGS),
    (Resource.CLUSTER, CLUSTER, Pattern.LITERAL, Operation.DESCRIBE),  # to see the rules
    (Resource.CLUSTER, CLUSTER, Pattern.LITERAL, Operation.ALTER),  # to make them
)


def role_of(word: str) -> Role:
    """Return whom a word among a topic's writers or readers means.

    Raises:
        ValueError: nobody; the word is new in the topic table and has no principal yet.
    """
    if word in _WORDS:
        return _WORDS[word]
    try:
        return Role(word)
    except ValueError:
        raise ValueError(f"{word!r} in the topic table has no principal: add it to streams/acls.py") from None


def principals(sites: Sequence[str]) -> dict[str, tuple[Role, str | None]]:
    """Return every principal's name with its role and site."""
    return {
        role.principal(site): (role, site) for role in Role for site in (tuple(sites) if role.of_a_site else (None,))
    }


def rules(sites: Sequence[str]) -> tuple[Rule, ...]:
    """Return the whole matrix for these sites, sorted, each rule once."""
    return tuple(sorted({rule for principal in principals(sites) for rule in rules_of(principal, sites)}))


def rules_of(principal: str, sites: Sequence[str]) -> Iterator[Rule]:
    """Yield what one principal may do.

    Raises:
        KeyError: it is none of ours.
    """
    role, site = principals(sites)[principal]
    if role is Role.ADMIN:
        yield from (Rule(principal, *granted) for granted in _ADMINS)
        return
    reads = False
    for row in TOPICS:
        if role.of_a_site and row.scope is Scope.GLOBAL:
            continue
        of = (None,) if row.scope is Scope.GLOBAL else tuple(sites) if site is None else (site,)
        if role in map(role_of, row.writers):
            yield from (_on_topic(principal, row.name(one), Operation.WRITE) for one in of)
        if role is Role.OPERATOR or role in map(role_of, row.readers):
            reads = True
            yield from (_on_topic(principal, row.name(one), Operation.READ) for one in of)
    yield from _on_groups(principal, role, reads=reads)


def _on_topic(principal: str, name: str, operation: Operation) -> Rule:
    return Rule(principal, Resource.TOPIC, name, Pattern.LITERAL, operation)


def _on_groups(principal: str, role: Role, *, reads: bool) -> Iterator[Rule]:
    if role.is_worker:
        yield Rule(principal, Resource.GROUP, role.value, Pattern.LITERAL, Operation.READ)
    elif role is Role.OPERATOR:  # whose commands read without a group, and look how far the workers are
        for worker in WORKERS:
            yield Rule(principal, Resource.GROUP, worker.value, Pattern.LITERAL, Operation.DESCRIBE)
    elif reads:
        yield Rule(principal, Resource.GROUP, f"{principal}{GROUP_MARK}", Pattern.PREFIXED, Operation.READ)
