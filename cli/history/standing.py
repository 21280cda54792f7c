"""Where a capture stands, in words: answered, refused, waiting for its turn, or lost, and which promise is broken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from cli.history.gather import Traces, is_capture
from cli.history.timeline import Mark, Standing
from schemas.codec import read_dead_letter, uuid7_ms
from schemas.faults import Poison, Reason
from schemas.messages import DeadLetter, Rejection
from schemas.words import Divert, Outcome
from streams.delivery import Delivery
from streams.topics import Entity, Scope, entity_of, spec

RETENTION_MS: Final = spec(Entity.CAPTURES, Scope.SITE).retention_ms
Sent = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


class Tail(msgspec.Struct):
    """What an outcome says of itself; read leniently, for these bytes may be what is wrong."""

    outcome: Outcome
    reason: str = ""
    divert: Divert = Divert.NONE
    action: str = ""
    seq: int | None = None
    score: int | None = None
    threshold: int | None = None
    withheld: bool = False
    decided_at: datetime | None = None
    decide_by: datetime | None = None
    rejections: list[Rejection] = []


def tail_of(decision: bytes | None) -> Tail | None:
    """Read the tail of a decision, None if these bytes are none."""
    try:
        return msgspec.json.decode(decision or b"", type=Tail)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def sent(delivery: Delivery) -> Sent:
    """Return what must be equal in every copy of an emission: key, value and CloudEvents headers (P3)."""
    return delivery.key, delivery.value, tuple(sorted(pair for pair in delivery.headers if pair[0].startswith("ce_")))


def short(topic: str) -> str:
    """Write a topic without what all of a site's topics share."""
    return entity_of(topic).value


def place(delivery: Delivery) -> str:
    """Write where a record lies: `captures-3@1234`."""
    return f"{short(delivery.topic)}-{delivery.partition}@{delivery.offset}"


def letter_of(delivery: Delivery) -> DeadLetter | None:
    """Read a dead letter's headers, None if they are none."""
    try:
        return read_dead_letter(delivery.headers)
    except Poison:
        return None


def letters_about(traces: Traces, delivery: Delivery) -> list[DeadLetter]:
    """Return the dead letters made of one record."""
    letters = [letter for one in traces.of(Entity.DEAD) if (letter := letter_of(one)) is not None]
    at = (delivery.topic, delivery.partition, delivery.offset)
    return [one for one in letters if (one.topic, one.partition, one.offset) == at]


def stand(traces: Traces) -> tuple[Standing, ...]:
    """Say where a capture stands: its outcome first, then each delivery that has none, then what contradicts."""
    said = [*_outcome(traces), *_deliveries(traces), *_emissions(traces), *_store(traces)]
    return tuple(said)


def decided(traces: Traces) -> bytes | None:
    """Return the decision: the store's bytes, else the first on the topic."""
    if traces.stores.kept is not None:
        return traces.stores.kept.decision
    return next((one.value for one in traces.of(Entity.DECISIONS)), None)


def _outcome(traces: Traces) -> list[Standing]:
    tail = tail_of(decided(traces))
    if tail is None:
        return []
    on_topic, kept = len(traces.of(Entity.DECISIONS)), traces.stores.kept is not None
    where = f"on record{'' if kept else ' no more'}"
    if tail.outcome is not Outcome.REJECTED:
        where += f", {on_topic} time{'' if on_topic == 1 else 's'} on the topic"
    what = tail.outcome.value if tail.outcome is not Outcome.DECIDED else f"decided: {tail.action}"
    diverted = "" if tail.divert is Divert.NONE else f", diverted for {tail.divert.value}"
    reason = f" ({tail.reason})" if tail.reason else ""
    return [Standing(f"{what}{diverted}{reason}; {where}")]


def _deliveries(traces: Traces) -> list[Standing]:
    """Account for every delivery: an outcome or a dead letter, else its place in the partition."""
    readable = [one for one in traces.of(Entity.CAPTURES) if is_capture(one, traces.capture_id)]
    answered = decided(traces) is not None
    if not readable:
        return [_gone(traces, answered=answered)]
    said = []
    for one in readable:
        refused = letters_about(traces, one)
        if one.value != readable[0].value:
            said.append(_impostor(traces, one, refused))
        elif not answered and not refused:
            said.append(_unanswered(traces, one))
        elif not answered:
            said.append(Standing(f"{place(one)} was refused: {refused[0].reason}, {refused[0].message}"))
    return said


def _gone(traces: Traces, *, answered: bool) -> Standing:
    """Tell a capture that retention took away from one that never was."""
    past_ms = time.time() * 1000 - uuid7_ms(traces.capture_id) - RETENTION_MS
    if answered and past_ms > 0:
        return Standing("its own record is gone from the captures topic: it is older than that keeps any")
    answer = "though it has an answer" if answered else "and it has no answer"
    return Standing(f"the captures topic has no readable record of it, {answer}", Mark.WRONG)


def _impostor(traces: Traces, delivery: Delivery, refused: Sequence[DeadLetter]) -> Standing:
    """Judge other content under the same id: whichever came to the store first has the outcome."""
    if any(letter.reason == Reason.ID_REUSED for letter in refused):
        return Standing(f"{place(delivery)} has other content under this id and was refused for it", Mark.WRONG)
    words = _unanswered(traces, delivery).words if not refused else f"refused: {refused[0].reason}"
    return Standing(f"{place(delivery)} has other content under this id: {words}", Mark.WRONG)


def _unanswered(traces: Traces, delivery: Delivery) -> Standing:
    """Tell a capture that waits from one that is lost, by what its group has committed."""
    at = traces.positions.get((delivery.topic, delivery.partition))
    where = f"on the topic at {place(delivery)}"
    if at is None or at.committed is None:
        return Standing(f"{where}, and no inspector ever committed on this partition: waiting", Mark.WAITING)
    if at.committed > delivery.offset:
        because = f"; {traces.stores.trouble}" if traces.stores.trouble else ""
        return Standing(f"{where}, committed offset is {at.committed}, no outcome: LOST{because}", Mark.WRONG)
    ahead = delivery.offset - at.committed
    turn = "it is the head" if ahead == 0 else f"waiting behind the head, {ahead} in front of it"
    return Standing(f"{where}, committed offset is {at.committed} of {at.end}, no outcome yet: {turn}", Mark.WAITING)


def _emissions(traces: Traces) -> list[Standing]:
    """Compare what was sent with what is on record, and with itself."""
    said = []
    for name, entity in (("decision", Entity.DECISIONS), ("sidelined event", Entity.SIDELINED)):
        if (values := len({sent(one) for one in traces.of(entity)})) > 1:
            said.append(Standing(f"its {name} exists in {values} different values: P2 is broken", Mark.WRONG))
    kept, decisions = traces.stores.kept, traces.of(Entity.DECISIONS)
    if kept is None and decisions and not traces.stores.trouble:
        said.append(
            Standing("a decision was sent that is not on record: its horizon is over, or P4 is broken", Mark.WRONG)
        )
    if kept is not None and decisions and all(one.value != kept.decision for one in decisions):
        said.append(Standing("what was sent is not what is on record: P3 is broken", Mark.WRONG))
    tail = tail_of(decided(traces))
    return said if tail is None else [*said, *_owed(traces, tail)]


def _owed(traces: Traces, tail: Tail) -> list[Standing]:
    """Name what an outcome owes its topics and has not sent, and what it does not owe and has."""
    if tail.outcome is Outcome.REJECTED:
        refused = any(letters_about(traces, one) for one in traces.of(Entity.CAPTURES))
        return [] if refused else [_unsent(traces, "rejected on record", "dead letter")]
    said = []
    if not traces.of(Entity.DECISIONS):
        said.append(_unsent(traces, "decided on record", "decision"))
    diverted, announced = tail.divert is not Divert.NONE, bool(traces.of(Entity.SIDELINED))
    if diverted and not announced:
        said.append(_unsent(traces, "diverted on record", "sidelined event"))
    said += _late(traces, tail)
    if announced and not diverted:
        said.append(Standing("a sidelined event was sent, and its decision diverts nothing", Mark.WRONG))
    return said


def _late(traces: Traces, tail: Tail) -> list[Standing]:
    """Say that an answer came to its topic when nobody waited for it any more."""
    if not traces.of(Entity.DECISIONS) or tail.decide_by is None or tail.outcome is not Outcome.DECIDED:
        return []
    late_ms = traces.of(Entity.DECISIONS)[0].append_ms - tail.decide_by.timestamp() * 1000
    return [Standing(f"sent {late_ms:.0f} ms after decide_by: for its consumers undetermined")] if late_ms > 0 else []


def _unsent(traces: Traces, recorded: str, what: str) -> Standing:
    """Tell an emission that is still to come from one that never will: its offset is committed already."""
    for one in traces.of(Entity.CAPTURES):
        at = traces.positions.get((one.topic, one.partition))
        if at is not None and at.committed is not None and at.committed > one.offset:
            return Standing(
                f"{recorded}, {place(one)} is committed ({at.committed}), and there is no {what}: LOST", Mark.WRONG
            )
    return Standing(
        f"{recorded}, its {what} is not on the topic yet: waiting, its offset is not committed", Mark.WAITING
    )


def _store(traces: Traces) -> list[Standing]:
    trouble = traces.stores.trouble
    return [Standing(f"the decision store is no witness: {trouble}", Mark.WRONG)] if trouble else []
