"""Captures that got no decision in time: few, or explained by a part that was taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cli.checker.charge import Charge, Outage
from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading
from schemas.words import Outcome

UNDETERMINED_LIMIT: Final = 0.01  # of the captures, those that lived through an outage not counted


def check_undetermined(reading: Reading, charge: Charge) -> list[Finding]:
    """Few captures stay undetermined; with outages, none beyond those that lived through one (and the same few)."""
    unexplained = unexplained_undetermined(reading, charge.outages)
    total = len(reading.captures)
    if len(unexplained) <= UNDETERMINED_LIMIT * total:
        return []
    why = "that no outage explains" if charge.outages else f"more than {UNDETERMINED_LIMIT:.0%}"
    return each(Rule.UNDETERMINED, unexplained, f"of {total} captures are undetermined, {why}")


def unexplained_undetermined(reading: Reading, outages: Sequence[Outage]) -> list[str]:
    """Return the undetermined captures that lived through no outage."""
    return [
        capture_id
        for capture_id, decision in reading.decided().items()
        if decision.outcome == Outcome.UNDETERMINED and explaining(reading, capture_id, outages) is None
    ]


def explaining(reading: Reading, capture_id: str, outages: Sequence[Outage]) -> Outage | None:
    """Return the first outage that a capture lived through."""
    decision = reading.decisions[capture_id][0].message
    deadline_ms = int(decision.decide_by.timestamp() * 1000)
    appended_ms = min((one.append_ms for one in reading.captures.get(capture_id, ())), default=deadline_ms)
    return next((one for one in outages if one.explains(appended_ms, deadline_ms)), None)
