"""Finds what is known of a capture: its record in the store, else its decision or dead letter on the topics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cli.here import Line, registered
from cli.tape import TopicReader
from schemas.codec import decode, read_dead_letter, uuid7_ms
from schemas.faults import Fatal, Poison
from schemas.messages import Capture, DeadLetter, Decision, Disposition
from streams.delivery import Delivery
from streams.topics import Entity, topic

EARLY_MS: Final = 3_600_000  # a station's clock may be ahead of the broker's by this much
LATE_MS: Final = 6 * 3_600_000  # how long a capture may have been on its way, or its dead letter


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a capture. A capture without a decision was refused or is still on its way."""

    capture_id: str
    site: str
    decision: Decision | None = None
    capture: Capture | None = None
    append_ms: int | None = None  # the capture's, by the broker
    refused: DeadLetter | None = None
    verdicts: tuple[Disposition, ...] = ()


async def find_decision(line: Line, capture_id: str, site: str | None) -> Decision | None:
    """Look a decision up in the store, which keeps it for the horizon, else on the topics, which keep it longer."""
    sites = await _sites(line, site)
    store = line.store()
    try:
        for one in sites:
            record = await store.look(one, capture_id)
            if record is not None:
                return decode(Decision, record.decision)
    finally:
        await store.close()
    for one in sites:
        async with TopicReader(line.bootstrap, [topic(Entity.DECISIONS, one)]) as reader:
            for delivery in await reader.rest():
                if delivery.key == capture_id.encode():
                    return decode(Decision, delivery.value)
    return None


async def find(line: Line, capture_id: str, site: str | None) -> Found:
    """Find everything about a capture: decision, the event itself, verdicts, a dead letter.

    Its id tells when it was made, so only the topics' records of that time are read, and verdicts from then on.

    Raises:
        Fatal: nobody has heard of it.
        Retryable: `redis` or `kafka` is away.
    """
    try:
        made_ms = uuid7_ms(capture_id)
    except ValueError:
        raise Fatal(
            f"{capture_id!r} is no capture id: sideline tail decisions lists them at the end of each line"
        ) from None
    decision = await find_decision(line, capture_id, site)
    for one in [decision.site] if decision is not None else await _sites(line, site):
        captures, dispositions, dead = (
            topic(entity, one) for entity in (Entity.CAPTURES, Entity.DISPOSITIONS, Entity.DEAD)
        )
        async with TopicReader(line.bootstrap, [captures, dead]) as reader:
            deliveries = await reader.between(made_ms - EARLY_MS, made_ms + LATE_MS)
        capture, append_ms = _capture(deliveries, capture_id, captures)
        if decision is None and capture is None:
            continue
        async with TopicReader(line.bootstrap, [dispositions]) as reader:
            said = await reader.between(made_ms - EARLY_MS, time.time_ns() // 1_000_000)
        return Found(
            capture_id,
            one,
            decision,
            capture,
            append_ms,
            _refused(deliveries, capture_id, dead),
            _verdicts(said, capture_id, decision.unit_id if decision else None, dispositions),
        )
    raise Fatal(
        f"no capture {capture_id} is known{f' at site {site}' if site else ''}: sideline tail decisions lists them"
    )


async def _sites(line: Line, site: str | None) -> list[str]:
    return [site] if site is not None else await registered(line)


def _capture(deliveries: Sequence[Delivery], capture_id: str, name: str) -> tuple[Capture | None, int | None]:
    for delivery in deliveries:
        if delivery.topic == name and capture_id.encode() in (delivery.value or b""):
            try:
                capture = decode(Capture, delivery.value)
            except Poison:
                continue
            if capture.capture_id == capture_id:
                return capture, delivery.append_ms
    return None, None


def _refused(deliveries: Sequence[Delivery], capture_id: str, name: str) -> DeadLetter | None:
    for delivery in deliveries:
        if delivery.topic == name and capture_id.encode() in (delivery.value or b""):
            try:
                letter = read_dead_letter(delivery.headers)
            except Poison:
                continue
            if letter.topic.endswith(".captures.v1"):
                return letter
    return None


def _verdicts(
    deliveries: Sequence[Delivery], capture_id: str, unit_id: str | None, name: str
) -> tuple[Disposition, ...]:
    said = []
    for delivery in sorted(deliveries, key=lambda one: one.append_ms):
        if delivery.topic != name:
            continue
        try:
            disposition = decode(Disposition, delivery.value)
        except Poison:
            continue
        by_unit = disposition.capture_id is None and unit_id is not None and disposition.unit_id == unit_id
        if disposition.capture_id == capture_id or by_unit:
            said.append(disposition)
    return tuple(said)
