"""Promises P2 to P4 on the topics: each capture one outcome of one value, each divert announced, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Emission, Output, Reading, place_of
from cli.checker.redrives import explained, letters_of
from schemas.faults import Reason
from schemas.messages import Decision
from schemas.words import Action, Divert, Outcome
from streams.delivery import Delivery


def check_captures(reading: Reading, *, acknowledged: Iterable[str]) -> list[Finding]:
    """Every capture that the broker acknowledged has one outcome, and nothing has an outcome that was no capture."""
    known = set(acknowledged)
    decisions = reading.decided()
    silent, twofold, unexplained = [], [], []
    for capture_id, deliveries in reading.captures.items():
        decision = decisions.get(capture_id)
        refused = [one for one in deliveries if reading.dead_letter_of(one) is not None]
        impostors = [one for one in refused if _reason(reading, one) == Reason.ID_REUSED]
        letters = letters_of(reading, deliveries)
        if decision is None:
            if not letters:
                silent.append(capture_id)
        elif decision.outcome == Outcome.REJECTED:
            if not letters:
                unexplained.append(capture_id)
        elif not explained(letters, deliveries, decision):
            twofold.append(capture_id)
        values = {one.value for one in deliveries}
        if len(values) - len({one.value for one in impostors}) > 1:
            twofold.append(f"{capture_id} (one id, {len(values)} different captures)")
    unanswered = [str(place_of(one)) for one in reading.unreadable if reading.dead_letter_of(one) is None]
    return [
        *each(Rule.LANDED, sorted(known - reading.captures.keys()), "acknowledged captures are not on the topic"),
        *each(Rule.ONE_OUTCOME, silent, "captures have no outcome"),
        *each(Rule.ONE_OUTCOME, twofold, "captures have a decision and were refused otherwise than it says"),
        *each(Rule.ONE_OUTCOME, unexplained, "captures are rejected without a dead letter that says why"),
        *each(Rule.DEAD_LETTER, unanswered, "unreadable records have no dead letter"),
        *each(Rule.NEVER_SENT, sorted(decisions.keys() - reading.captures.keys()), "decisions are about no capture"),
    ]


def check_values(reading: Reading) -> list[Finding]:
    """All copies of a decision are the same bytes under the key of their capture."""
    return [*_copies(reading.decisions.values(), "decisions"), *_copies(reading.sidelined.values(), "sidelined events")]


def _copies(emitted: Iterable[Iterable[Emission[Output]]], what: str) -> list[Finding]:
    several: list[str] = []
    misplaced: list[str] = []
    for emissions in emitted:
        copies = list(emissions)
        capture_id = copies[0].message.capture_id
        if (distinct := len({one.bytes_sent for one in copies})) > 1:
            several.append(f"{capture_id} ({distinct} values)")
        if any(one.delivery.key != capture_id.encode() for one in copies):
            misplaced.append(capture_id)
    return [
        *each(Rule.ONE_VALUE, several, f"{what} exist in more than one value"),
        *each(Rule.ONE_VALUE, misplaced, f"{what} do not lie under the key of their capture"),
    ]


def check_diverts(reading: Reading) -> list[Finding]:
    """The sidelined topic names exactly the captures whose decision diverts them, for the same reason."""
    diverted = {key: one for key, one in reading.decided().items() if one.divert != Divert.NONE}
    announced = {key: emissions[0].message for key, emissions in reading.sidelined.items()}
    both = diverted.keys() & announced.keys()
    differing = [
        key
        for key in sorted(both)
        if (diverted[key].divert, diverted[key].seq) != (announced[key].divert, announced[key].seq)
    ]
    return [
        *each(Rule.DIVERTS, sorted(diverted.keys() - both), "diverts have no event on the sidelined topic"),
        *each(Rule.DIVERTS, sorted(announced.keys() - both), "sidelined events belong to no divert"),
        *each(Rule.DIVERTS, differing, "sidelined events give another reason or seq than their decision"),
    ]


def check_decisions(reading: Reading) -> list[Finding]:
    """Each decision agrees with itself, was made in time, and seq counts them without gap or double."""
    decisions = reading.decided().values()
    late = [one.capture_id for one in decisions if one.outcome == Outcome.DECIDED and one.decided_at > one.decide_by]
    contradictions = [f"{one.capture_id} ({words})" for one in decisions if (words := _contradiction(one))]
    return [
        *each(Rule.IN_TIME, late, "decisions were made after their deadline"),
        *each(Rule.CONSISTENT, contradictions, "decisions contradict themselves"),
        *_sequence([one.seq for one in decisions if one.seq is not None]),
    ]


def _contradiction(decision: Decision) -> str:
    """Return how a decision contradicts itself; empty when it does not."""
    if decision.outcome != Outcome.DECIDED:
        acts = decision.action != Action.NONE or decision.divert != Divert.NONE or decision.seq is not None
        return f"{decision.outcome.value}, yet it acts or has a seq" if acts else ""
    if decision.seq is None or decision.score is None or decision.threshold is None:
        return "decided without seq, score or threshold"
    stops = decision.divert in {Divert.DAMAGE, Divert.IDENTITY}
    below = decision.score < decision.threshold
    faults = {
        f"action {decision.action.value} with divert {decision.divert.value}": stops
        != (decision.action == Action.SIDELINE),
        "stopped for damage with a score below the threshold": below and decision.divert == Divert.DAMAGE,
        "withheld with a score below the threshold": below and decision.withheld,
        "withheld and stopped for damage at once": decision.withheld and decision.divert == Divert.DAMAGE,
    }
    return "; ".join(words for words, broken in faults.items() if broken)


def _sequence(numbers: list[int]) -> list[Finding]:
    doubles = len(numbers) - len(set(numbers))
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    return [
        *([Finding(Rule.SEQ, f"{doubles} numbers were given twice")] if doubles else []),
        *each(Rule.SEQ, map(str, missing), "numbers are missing"),
    ]


def _reason(reading: Reading, delivery: Delivery) -> str:
    letter = reading.dead_letter_of(delivery)
    return letter.reason if letter is not None else ""
