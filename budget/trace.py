"""What the decision store holds of one capture, as it lies there: for people who ask what happened, never for deciding.

Unlike the store's own client this one checks nothing: a store that is another one, or damaged, is what they look for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from budget.keys import STORE, SiteKeys
from budget.link import RedisLink

_BYTES = frozenset({"decision", "sidelined"})


@dataclass(frozen=True, slots=True)
class Trace:
    """One outcome: the bytes that every emission repeats, and all other fields of its key as text."""

    decision: bytes
    sidelined: bytes | None
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a disposition did: `state` as in `Settlement`, tokens given back and spent."""

    state: str
    returned: int
    spent: int


async def store_id(link: RedisLink) -> str:
    """Return which store this is, empty for one that nobody initialised. Raises like `RedisLink.command`."""
    found = await link.command("GET", STORE)
    return found.decode() if found else ""


async def trace(link: RedisLink, site: str, capture_id: str) -> Trace | None:
    """Return a capture's outcome, None if there is none. Raises like `RedisLink.command`."""
    raw = await link.command("HGETALL", SiteKeys(site).outcome(capture_id))
    if not raw:
        return None
    fields = {name.decode(): value for name, value in raw.items()}
    return Trace(
        decision=fields.get("decision", b""),
        sidelined=fields.get("sidelined") or None,
        fields={name: value.decode("utf-8", "replace") for name, value in fields.items() if name not in _BYTES},
    )


async def effects(link: RedisLink, site: str, disposition_ids: Sequence[str]) -> dict[str, Effect]:
    """Return what each disposition did, of those that the store remembers. Raises like `RedisLink.command`."""
    found = {}
    for disposition_id in disposition_ids:
        raw = await link.command("GET", SiteKeys(site).verdict(disposition_id))
        if raw:
            _, state, returned, spent, *_ = raw.decode().split(" ")
            found[disposition_id] = Effect(state, int(returned), int(spent))
    return found
