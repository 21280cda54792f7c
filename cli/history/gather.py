"""Finds the traces of one capture: on every topic of its site, in both stores, in what groups committed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cli.find import EARLY_MS
from cli.history.stores import Stores, ask, with_effects
from cli.history.where import Where
from cli.tape import TopicReader
from schemas.codec import decode, uuid7_ms
from schemas.faults import Fatal, Poison
from schemas.messages import Capture, Disposition
from streams.delivery import Delivery
from streams.positions import Partition, Position, positions, topic_names
from streams.topics import Entity, entity_of, site_of, topic

_GROUPS: Final = {Entity.CAPTURES: "inspector", Entity.DISPOSITIONS: "settler"}
_OF_A_SITE: Final = (*_GROUPS, Entity.DECISIONS, Entity.SIDELINED, Entity.DEAD, Entity.EPCIS)


@dataclass(frozen=True, slots=True)
class Traces:
    """What was found. Deliveries of each entity are in order of time; `capture` is the first readable one."""

    capture_id: str
    site: str
    found: Mapping[Entity, Sequence[Delivery]]
    capture: Capture | None = None
    stores: Stores = field(default_factory=Stores)
    positions: Mapping[Partition, Position] = field(default_factory=dict)

    def of(self, entity: Entity) -> Sequence[Delivery]:
        """Return the deliveries found on a topic."""
        return self.found.get(entity, ())


async def gather(where: Where, capture_id: str, site: str | None) -> Traces:
    """Search topics and stores for a capture.

    Its id says when it was made, so topics are read from an hour before; where nothing is found there, the station's
    clock may be wrong, and they are read from their beginning.

    Raises:
        Fatal: that is no capture id, or nobody has heard of it.
        Retryable: `kafka`. A store that is away is told in the traces instead.
    """
    try:
        since_ms = uuid7_ms(capture_id) - EARLY_MS
    except ValueError:
        raise Fatal(
            f"{capture_id!r} is no capture id: sideline tail decisions lists them at the end of each line"
        ) from None
    there = await topic_names(where.bootstrap)
    sites = [site] if site is not None else sorted(_sites(there))
    names = [name for one in sites for entity in _OF_A_SITE if (name := topic(entity, one)) in there]
    if not names:
        raise Fatal(f"{'no site' if site is None else f'site {site}'} has topics here: sideline site add NAME")
    needle = capture_id.encode()
    found = await _search(where, names, since_ms, [needle])
    if not found:
        found = await _search(where, names, 0, [needle])
    home = _home(found, capture_id)
    stores = await ask(where, capture_id, [home] if home else sites)
    home = home or stores.site
    if home is None:
        raise Fatal(f"no topic and no store names capture {capture_id}{f' at site {site}' if site else ''}")
    ours = [one for one in found if site_of(one.topic) == home]
    capture, appended_ms = _first_capture(ours, capture_id)
    ours += await _of_the_unit(where, there, home, capture, appended_ms, since_ms)
    ours += await _search(where, [topic(Entity.REFERENCES)], since_ms, [b"capture." + needle])
    by_entity = _sorted(ours)
    said = _disposition_ids(by_entity.get(Entity.DISPOSITIONS, ()))
    return Traces(
        capture_id=capture_id,
        site=home,
        found=by_entity,
        capture=capture,
        stores=await with_effects(where, stores, home, said),
        positions=await _positions(where, ours),
    )


def _disposition_ids(said: Sequence[Delivery]) -> list[str]:
    ids = []
    for one in said:
        with contextlib.suppress(Poison):
            ids.append(decode(Disposition, one.value).disposition_id)
    return ids


def _sites(names: set[str]) -> set[str]:
    """Return the sites that have a captures topic: the broker knows them even when the store is lost."""
    sites = set()
    for name in names:
        with contextlib.suppress(ValueError):
            if entity_of(name) is Entity.CAPTURES and (site := site_of(name)) is not None:
                sites.add(site)
    return sites


async def _search(where: Where, names: Sequence[str], since_ms: int, needles: Sequence[bytes]) -> list[Delivery]:
    """Return the records that name one of some texts in key, value or headers; `since_ms` is Unix time."""
    found = []
    async with TopicReader(where.bootstrap, names) as reader:
        async for one in reader.since(max(0, since_ms)):
            texts = (one.key or b"", one.value or b"", *(value for _, value in one.headers))
            if any(needle in text for needle in needles for text in texts):
                found.append(one)
    return found


def _home(found: Sequence[Delivery], capture_id: str) -> str | None:
    """Return the site of a capture: that of its topic, else that of whatever names it."""
    ranked = sorted(found, key=lambda one: (entity_of(one.topic) is not Entity.CAPTURES, one.append_ms))
    readable = [one for one in ranked if is_capture(one, capture_id)]
    return next((site_of(one.topic) for one in [*readable, *ranked]), None)


def is_capture(delivery: Delivery, capture_id: str) -> bool:
    """Say whether a record of a captures topic is this capture, and readable."""
    if entity_of(delivery.topic) is not Entity.CAPTURES:
        return False
    try:
        return decode(Capture, delivery.value).capture_id == capture_id
    except Poison:
        return False


def _first_capture(found: Sequence[Delivery], capture_id: str) -> tuple[Capture | None, int]:
    readable = sorted((one for one in found if is_capture(one, capture_id)), key=lambda one: one.append_ms)
    if not readable:
        return None, 0
    return decode(Capture, readable[0].value), readable[0].append_ms


async def _of_the_unit(
    where: Where, there: set[str], site: str, capture: Capture | None, appended_ms: int, since_ms: int
) -> list[Delivery]:
    """Return what is said of the unit alone: scans near the capture, and verdicts by unit."""
    if capture is None:
        return []
    window_ms = round(where.scan_window_s * 1000)
    needle = [b'"' + capture.unit_id.encode() + b'"']
    found: list[Delivery] = []
    if (name := topic(Entity.SCANS, site)) in there:
        scans = await _search(where, [name], appended_ms - window_ms, needle)
        found += [one for one in scans if one.append_ms <= appended_ms + window_ms]
    said = await _search(where, [topic(Entity.DISPOSITIONS, site)], since_ms, needle)
    found += [one for one in said if _is_by_unit(one)]
    return found


def _is_by_unit(delivery: Delivery) -> bool:
    try:
        return decode(Disposition, delivery.value).capture_id is None
    except Poison:
        return False


def _sorted(found: Sequence[Delivery]) -> dict[Entity, list[Delivery]]:
    by_entity: dict[Entity, list[Delivery]] = {}
    for one in sorted(found, key=lambda one: (one.append_ms, one.partition, one.offset)):
        by_entity.setdefault(entity_of(one.topic), []).append(one)
    return by_entity


async def _positions(where: Where, found: Sequence[Delivery]) -> dict[Partition, Position]:
    known: dict[Partition, Position] = {}
    for entity, group in _GROUPS.items():
        places = {(one.topic, one.partition) for one in found if entity_of(one.topic) is entity}
        if places:
            known |= await positions(where.bootstrap, group, sorted(places))
    return known
