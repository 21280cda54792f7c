"""The traces of a capture as moments of a time line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from cli.history.gather import Traces, is_capture
from cli.history.standing import letter_of, place, sent, short, tail_of
from cli.history.timeline import Mark, Moment, Source
from cli.wording import log_odds
from schemas.codec import decode, uuid7_ms
from schemas.epcis import ObjectEvent
from schemas.faults import Poison
from schemas.messages import Capture, Disposition, Reference, Scan
from schemas.words import Divert
from streams.dead_letters import REDRIVES
from streams.delivery import Delivery
from streams.topics import Entity, entity_of

CLOCK_SKEW_MS: Final = 60_000  # beyond this a station's clock is worth a word
DIGEST_CHARS: Final = 12
_TOLD_ELSEWHERE: Final = frozenset({"digest", "chain", "grant", "grant_until"})


def moments_of(traces: Traces) -> list[Moment]:
    """Return everything found on topics and in stores, in order of time."""
    tellers: dict[Entity, Callable[[Traces], Iterator[Moment]]] = {
        Entity.CAPTURES: _captures,
        Entity.SCANS: _scans,
        Entity.DECISIONS: lambda found: _copies(found, Entity.DECISIONS, Source.DECISIONS),
        Entity.SIDELINED: lambda found: _copies(found, Entity.SIDELINED, Source.SIDELINED),
        Entity.DISPOSITIONS: _verdicts,
        Entity.DEAD: _dead,
        Entity.REFERENCES: _references,
        Entity.EPCIS: _epcis,
    }
    found = [moment for entity, tell in tellers.items() if traces.of(entity) for moment in tell(traces)]
    return sorted([*found, *_recorded(traces)], key=lambda one: one.at_ms)


def _captures(traces: Traces) -> Iterator[Moment]:
    first: Delivery | None = None
    for one in traces.of(Entity.CAPTURES):
        digest = hashlib.sha256(one.value or b"").hexdigest()[:DIGEST_CHARS]
        mark = Mark.PLAIN
        if not is_capture(one, traces.capture_id):
            words, mark = "a record that names it and is no such capture", Mark.WRONG
        elif first is None:
            first, words = one, _first(traces, one)
        elif one.value == first.value:
            redriven = any(name == REDRIVES for name, _ in one.headers)
            words = "sent again by a redrive, the same bytes" if redriven else "sent again, the same bytes"
        else:
            other = decode(Capture, one.value)
            words = f"OTHER CONTENT under this id, of unit {other.unit_id} by {other.station}, {other.line}"
            mark = Mark.WRONG
        yield Moment(one.append_ms, Source.CAPTURES, f"{words}; digest {digest}", place(one), mark)


def _first(traces: Traces, delivery: Delivery) -> str:
    capture = decode(Capture, delivery.value)
    words = f"delivered: unit {capture.unit_id}, {len(capture.views)} views, by {capture.station}, {capture.line}"
    times = {
        "captured_at": capture.captured_at.timestamp() * 1000,
        "its id's time": float(uuid7_ms(traces.capture_id)),
    }
    for name, at_ms in times.items():
        if abs(ahead_ms := at_ms - delivery.append_ms) > CLOCK_SKEW_MS:
            words += f"; {name} is {abs(ahead_ms) / 1000:.0f} s {'ahead of' if ahead_ms > 0 else 'behind'} the broker"
    if capture.decide_by is not None:
        words += f"; asks for an answer within {capture.decide_by.timestamp() * 1000 - delivery.append_ms:.0f} ms"
    return words


def _scans(traces: Traces) -> Iterator[Moment]:
    for one in traces.of(Entity.SCANS):
        try:
            scan = decode(Scan, one.value)
        except Poison as poison:
            yield Moment(one.append_ms, Source.SCANS, f"unreadable: {poison}", place(one), Mark.WRONG)
            continue
        words = f"{scan.station} read {scan.code!r} {scan.symbology}".rstrip()
        yield Moment(one.append_ms, Source.SCANS, words, place(one))


def _recorded(traces: Traces) -> Iterator[Moment]:
    kept = traces.stores.kept
    if kept is None:
        return
    tail = tail_of(kept.decision)
    if tail is None or tail.decided_at is None:
        yield Moment(0, Source.STORE, "an outcome whose bytes are no decision", mark=Mark.WRONG)
        return
    decided_ms = tail.decided_at.timestamp() * 1000
    for one in tail.rejections:
        yield Moment(one.rejected_at.timestamp() * 1000, Source.STORE, f"recorded at first: rejected, {one.reason}")
        if one.redriven_at is not None:  # a restored store forgot when
            yield Moment(one.redriven_at.timestamp() * 1000, Source.STORE, "permitted to be worked on once more")
    words = f"recorded: {tail.outcome.value} {tail.action}, {tail.reason}".rstrip(" ,")
    if tail.divert is not Divert.NONE:
        words += f", divert {tail.divert.value}"
    if tail.seq is not None:
        words += f", seq {tail.seq}, score {log_odds(tail.score)} against {log_odds(tail.threshold)}"
    words += f"; digest {kept.fields.get('digest', '')[:DIGEST_CHARS] or 'unknown'}"
    others = " ".join(f"{name}={value}" for name, value in sorted(kept.fields.items()) if name not in _TOLD_ELSEWHERE)
    yield Moment(decided_ms, Source.STORE, words + (f"; now: {others}" if others else ""))


def _copies(traces: Traces, entity: Entity, source: Source) -> Iterator[Moment]:
    kept = traces.stores.kept
    record = None if kept is None else kept.decision if entity is Entity.DECISIONS else kept.sidelined
    copies = traces.of(entity)
    for number, one in enumerate(copies):
        words, mark = "sent" if number == 0 else f"sent again (copy {number + 1})", Mark.PLAIN
        if number and sent(one) != sent(copies[0]):
            words, mark = f"{words}, ANOTHER VALUE", Mark.WRONG
        elif number:
            words += ", equal bytes"
        if record is not None:
            words += ", as recorded" if one.value == record else ", NOT AS RECORDED"
            mark = mark if one.value == record else Mark.WRONG
        if entity is Entity.DECISIONS and (tail := tail_of(one.value)) is not None and number == 0:
            words += f": {tail.outcome.value} {tail.action}"
        yield Moment(one.append_ms, source, words, place(one), mark)


def _dead(traces: Traces) -> Iterator[Moment]:
    for one in traces.of(Entity.DEAD):
        letter = letter_of(one)
        if letter is None:
            words = "a dead letter without the headers of one"
        else:
            try:
                origin = f"{short(letter.topic)}-{letter.partition}@{letter.offset}"
            except ValueError:
                origin = letter.topic
            words = f"dead letter of {origin} by {letter.connector}: {letter.reason}, {letter.message}"
        yield Moment(one.append_ms, Source.DEAD, words, place(one), Mark.WRONG)


def _verdicts(traces: Traces) -> Iterator[Moment]:
    for one in traces.of(Entity.DISPOSITIONS):
        try:
            said = decode(Disposition, one.value)
        except Poison as poison:
            yield Moment(one.append_ms, Source.DISPOSITIONS, f"unreadable: {poison}", place(one), Mark.WRONG)
            continue
        whom = "" if said.capture_id is not None else f" for unit {said.unit_id}"
        words = f"{said.verdict.value}{whom} by {said.associate_id}"
        effect = traces.stores.effects.get(said.disposition_id)
        at = traces.positions.get((one.topic, one.partition))
        mark = Mark.PLAIN
        if effect is not None:
            words += f": {effect.state}, {effect.returned} tokens returned, {effect.spent} spent"
        elif at is not None and (at.committed is None or at.committed <= one.offset):
            words, mark = words + ": the settler has not come to it", Mark.WAITING
        else:
            words += ": what it did is not on record (any more)"
        yield Moment(one.append_ms, Source.DISPOSITIONS, words, place(one), mark)


def _references(traces: Traces) -> Iterator[Moment]:
    for one in traces.of(Entity.REFERENCES):
        try:
            reference = decode(Reference, one.value)
        except Poison as poison:
            yield Moment(one.append_ms, Source.REFERENCES, f"unreadable: {poison}", place(one), Mark.WRONG)
            continue
        words = f"told to the gallery as {reference.reference_id} of product {reference.product_id}"
        if reference.judged is not None:
            words += f", judged {reference.judged.verdict.value} by {reference.judged.associate_id}"
        if reference.withdrawn:
            words += ", withdrawn"
        words += f"; now: {traces.stores.gallery or 'the gallery does not have it'}"
        yield Moment(one.append_ms, Source.REFERENCES, words, place(one))


def _epcis(traces: Traces) -> Iterator[Moment]:
    for one in traces.of(Entity.EPCIS):
        try:
            words = f"EPCIS event: {decode(ObjectEvent, one.value).disposition.value}"
        except Poison as poison:
            words = f"unreadable: {poison}"
        yield Moment(one.append_ms, Source.EPCIS, words, place(one))


def span_ms(moments: list[Moment]) -> tuple[float, float]:
    """Return when what is known of a capture begins and ends; log lines around it matter."""
    times = [one.at_ms for one in moments if one.at_ms and one.source not in {Source.SCANS, Source.LOG}]
    return min(times, default=0.0), max(times, default=0.0)


def log_keys(traces: Traces) -> tuple[frozenset[str], frozenset[tuple[str, int, int]]]:
    """Return the texts by which a log line names the capture, and the places of its records on input topics."""
    texts = {traces.capture_id}
    if traces.capture is not None:
        texts |= {view.uri for view in traces.capture.views}
    inputs = {Entity.CAPTURES, Entity.DISPOSITIONS, Entity.REFERENCES}
    places = {(one.topic, one.partition, one.offset) for rows in traces.found.values() for one in rows}
    return frozenset(texts), frozenset(at for at in places if entity_of(at[0]) in inputs)
