"""Finds what is known of a capture: its record in the store, else its decision or dead letter on the topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli.here import Line, registered
from cli.tape import TopicReader
from schemas.codec import decode, read_dead_letter
from schemas.faults import Fatal, Poison
from schemas.messages import Capture, DeadLetter, Decision, Disposition
from streams.delivery import Delivery
from streams.topics import Entity, topic


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

    Raises:
        Fatal: nobody has heard of it.
        Retryable: `redis` or `kafka` is away.
    """
    decision = await find_decision(line, capture_id, site)
    for one in [decision.site] if decision is not None else await _sites(line, site):
        names = [topic(entity, one) for entity in (Entity.CAPTURES, Entity.DISPOSITIONS, Entity.DEAD)]
        async with TopicReader(line.bootstrap, names) as reader:
            deliveries = await reader.rest()
        capture, append_ms = _capture(deliveries, capture_id, names[0])
        if decision is None and capture is None:
            continue
        return Found(
            capture_id,
            one,
            decision,
            capture,
            append_ms,
            _refused(deliveries, capture_id, names[2]),
            _verdicts(deliveries, capture_id, decision.unit_id if decision else None, names[1]),
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
