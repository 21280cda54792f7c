"""Promise P2 for what was refused: only a redrive turns a rejection into a decision, once, and the chain is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading
from schemas.faults import Reason
from schemas.messages import DeadLetter, Decision
from streams.delivery import Delivery

REDRIVEN: Final = "sideline-redrives"  # in the headers of what was sent again without a recorded rejection
# Refused at the door: such a capture has no outcome yet, and may have one when it comes again.
NO_OUTCOME: Final = frozenset(
    {
        Reason.UNREADABLE,
        Reason.TOO_LARGE,
        Reason.WRONG_SITE,
        Reason.UNKNOWN_SITE,
        Reason.UNKNOWN_LINE,
        Reason.TOO_OLD,
        Reason.FROM_THE_FUTURE,
    }
)


def letters_of(reading: Reading, deliveries: Iterable[Delivery]) -> list[DeadLetter]:
    """Return the dead letters of a capture, without those of impostors that used its id."""
    return [one for delivery in deliveries for one in reading.letters_of(delivery) if one.reason != Reason.ID_REUSED]


def rejections(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return one letter of each recorded rejection, oldest first. Copies say the same reason and time."""
    distinct = {(one.failed_at, one.reason): one for one in letters if one.reason not in NO_OUTCOME}
    return [distinct[key] for key in sorted(distinct)]


def explained(letters: Sequence[DeadLetter], deliveries: Iterable[Delivery], decision: Decision) -> bool:
    """Whether a decision accounts for every dead letter of its capture.

    Recorded rejections stand in its chain. What was refused at the door was sent again by a redrive, which says so in
    a header.
    """
    chain = [(one.rejected_at, one.reason) for one in decision.rejections]
    at_the_door = any(one.reason in NO_OUTCOME for one in letters)
    redriven = any(name == REDRIVEN for delivery in deliveries for name, _ in delivery.headers)
    return chain == [(one.failed_at, one.reason) for one in rejections(letters)] and (redriven or not at_the_door)


def check_redrives(reading: Reading) -> list[Finding]:
    """Rejections of one capture are numbered by the redrives between them, and chains follow the clock."""
    decisions = reading.decided()
    unpermitted, backwards = [], []
    for capture_id, deliveries in reading.captures.items():
        recorded = rejections(letters_of(reading, deliveries))
        if [one.redrives for one in recorded] != list(range(len(recorded))):
            unpermitted.append(f"{capture_id} ({len(recorded)} rejections)")
        if capture_id in decisions and not _in_order(decisions[capture_id]):
            backwards.append(capture_id)
    return [
        *each(Rule.REDRIVES, unpermitted, "captures were rejected more than once without a redrive between"),
        *each(Rule.REDRIVES, backwards, "decisions tell of redrives in an impossible order"),
    ]


def _in_order(decision: Decision) -> bool:
    told = [moment for one in decision.rejections for moment in (one.rejected_at, one.redriven_at)]
    times = [moment for moment in [*told, decision.decided_at] if moment is not None]  # a restored store forgot some
    return times == sorted(times)
