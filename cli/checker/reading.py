"""The tape decoded once: captures, the values on record for each, first verdicts and dead letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cli.checker.findings import Finding, Rule, each
from cli.tape import Tape
from schemas.codec import decode, read_dead_letter
from schemas.faults import Poison
from schemas.messages import Capture, DeadLetter, Decision, Disposition, Sidelined
from schemas.words import Verdict
from streams.delivery import Delivery

Place = tuple[str, int, int]  # topic, partition, offset
Output = TypeVar("Output", Decision, Sidelined)


@dataclass(frozen=True, slots=True)
class FirstVerdict:
    """The verdict that settled a capture, and when the broker had it (ms)."""

    verdict: Verdict
    append_ms: int

    @property
    def confirms(self) -> bool:
        """Whether the stop was right: damaged, or not the item it should be."""
        return self.verdict in {Verdict.DAMAGED, Verdict.WRONG_ITEM}


@dataclass(frozen=True, slots=True)
class Emission(Generic[Output]):
    """One record of an output topic, its message read."""

    delivery: Delivery
    message: Output

    @property
    def bytes_sent(self) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]:
        """Key, value and CloudEvents headers: what must be equal in every copy (P3)."""
        ours = tuple(sorted(pair for pair in self.delivery.headers if pair[0].startswith("ce_")))
        return self.delivery.key, self.delivery.value, ours


@dataclass(frozen=True, slots=True)
class Reading:
    """What the topics of one site say, by capture id."""

    captures: Mapping[str, Sequence[Delivery]]
    decisions: Mapping[str, Sequence[Emission[Decision]]]
    sidelined: Mapping[str, Sequence[Emission[Sidelined]]]
    verdicts: Mapping[str, Sequence[FirstVerdict]]  # in the order of the topic; the first in time settles
    unit_verdicts: Mapping[str, Sequence[FirstVerdict]]
    dead: Mapping[Place, DeadLetter]
    unreadable: Sequence[Delivery] = ()  # records of the input topics that are no messages
    findings: Sequence[Finding] = field(default_factory=list)
    letters: Mapping[Place, Sequence[DeadLetter]] = field(default_factory=dict)  # all of a record, in their order

    def decided(self) -> dict[str, Decision]:
        """Return the first value on record for each capture."""
        return {capture_id: emissions[0].message for capture_id, emissions in self.decisions.items()}

    def in_sequence(self) -> list[Decision]:
        """Return the decisions that carry a seq, in its order."""
        numbered = [(one.seq, one) for one in self.decided().values() if one.seq is not None]
        return [one for _, one in sorted(numbered, key=lambda pair: (pair[0], pair[1].capture_id))]

    def dead_letter_of(self, delivery: Delivery) -> DeadLetter | None:
        """Return the dead letter made from a record, if there is one."""
        return self.dead.get(place_of(delivery))

    def letters_of(self, delivery: Delivery) -> Sequence[DeadLetter]:
        """Return all dead letters made from a record: copies, and one for each time it was rejected anew."""
        return self.letters.get(place_of(delivery), ())


def place_of(delivery: Delivery) -> Place:
    """Return where a record lies."""
    return delivery.topic, delivery.partition, delivery.offset


def read(tape: Tape) -> Reading:
    """Decode a tape. What cannot be decoded on a topic that only we write to is a finding."""
    findings: list[Finding] = []
    captures, unreadable = _captures(tape)
    letters, nameless = _dead(tape)
    dead = {place: of_it[-1] for place, of_it in letters.items()}
    findings += each(Rule.DEAD_LETTER, nameless, "dead letters without a readable reason and origin")
    decisions = _emissions(tape.decisions, Decision, findings)
    sidelined = _emissions(tape.sidelined, Sidelined, findings)
    verdicts, unit_verdicts, unread = _verdicts(tape, dead)
    unreadable += unread
    return Reading(captures, decisions, sidelined, verdicts, unit_verdicts, dead, unreadable, findings, letters)


def _captures(tape: Tape) -> tuple[dict[str, list[Delivery]], list[Delivery]]:
    captures: dict[str, list[Delivery]] = defaultdict(list)
    unreadable = []
    for delivery in tape.captures:
        try:
            captures[decode(Capture, delivery.value).capture_id].append(delivery)
        except Poison:
            unreadable.append(delivery)
    return captures, unreadable


def _dead(tape: Tape) -> tuple[dict[Place, list[DeadLetter]], list[str]]:
    dead: dict[Place, list[DeadLetter]] = defaultdict(list)
    nameless = []
    for delivery in tape.dead:
        try:
            letter = read_dead_letter(delivery.headers)
        except Poison as error:
            nameless.append(f"{place_of(delivery)} ({error})")
            continue
        if not letter.reason:
            nameless.append(str(place_of(delivery)))
        dead[letter.topic, letter.partition, letter.offset].append(letter)
    return dead, nameless


def _emissions(
    deliveries: Sequence[Delivery], kind: type[Output], findings: list[Finding]
) -> dict[str, list[Emission[Output]]]:
    emissions: dict[str, list[Emission[Output]]] = defaultdict(list)
    for delivery in deliveries:
        try:
            message = decode(kind, delivery.value)
        except Poison as error:
            findings.append(Finding(Rule.ONE_VALUE, f"record {place_of(delivery)} cannot be read: {error}"))
            continue
        emissions[message.capture_id].append(Emission(delivery, message))
    return emissions


def _verdicts(
    tape: Tape, dead: Mapping[Place, DeadLetter]
) -> tuple[dict[str, list[FirstVerdict]], dict[str, list[FirstVerdict]], list[Delivery]]:
    """Collect the verdicts that count, readable and not dead letters, and the records that are none."""
    unreadable = []
    by_capture: dict[str, list[FirstVerdict]] = defaultdict(list)
    by_unit: dict[str, list[FirstVerdict]] = defaultdict(list)
    for delivery in sorted(tape.dispositions, key=lambda one: (one.append_ms, one.partition, one.offset)):
        try:
            said = decode(Disposition, delivery.value)
        except Poison:
            unreadable.append(delivery)
            continue
        if place_of(delivery) in dead:
            continue
        verdict = FirstVerdict(said.verdict, delivery.append_ms)
        if said.capture_id is not None:
            by_capture[said.capture_id].append(verdict)
        elif said.unit_id is not None:
            by_unit[said.unit_id].append(verdict)
    return by_capture, by_unit, unreadable
