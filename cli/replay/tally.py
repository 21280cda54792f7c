"""What came of a sequence of captures: sidelined, caught, missed, and how much of that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from cli.checker.windows import worst_window
from cli.replay.estimate import Estimate, weighted_count
from cli.replay.rows import Row
from cli.replay.simulate import Label
from cli.replay.whatif import Way
from schemas.words import MICRO, Divert, Verdict

_DAMAGED: Final = frozenset({Verdict.DAMAGED})
_CONFIRMS: Final = frozenset({Verdict.DAMAGED, Verdict.WRONG_ITEM})


@dataclass(frozen=True, slots=True)
class Sample:
    """What the audits of a range can say: the weight of each judged one, and the largest weight there could be.

    Only captures that really passed were drawn from. `drawn` counts the audits, `judged` those with a verdict: the rest
    is taken to be like them. `undrawn` counts passes at a time when no audit was configured.
    """

    weights: Mapping[str, float]
    largest: float
    drawn: int
    undrawn: int

    @property
    def judged(self) -> int:
        """How many audits have a verdict."""
        return len(self.weights)


@dataclass(frozen=True, slots=True)
class Tally:
    """One way that the range went or might have gone. `caught` and `missed` are captures that a verdict calls damaged.

    `unknown` are sidelined captures that nobody judged. The estimates add what audits say of those that really passed;
    None where nothing was audited.
    """

    diverts: Mapping[Divert, int]
    withheld: Mapping[str, int]  # by what was lacking
    caught: int
    missed: int
    false_alarms: int
    unknown: int
    caught_about: Estimate | None
    missed_about: Estimate | None
    false_about: Estimate | None
    unconfirmed: int  # damage sidelines without a confirming verdict in the window below
    allowed: float  # what P5a allows in that window, the one closest to its cap


def sample(rows: Sequence[Row], labels: Mapping[str, Label]) -> Sample:
    """Return the weight of every audit that has a verdict."""
    audits = [row for row in rows if row.divert is Divert.AUDIT]
    judged = [row for row in audits if row.capture_id in labels]
    share = len(judged) / len(audits) if audits else 0.0
    rates = [row.audit_ppm for row in rows if row.passed and row.audit_ppm > 0]
    weights = {row.capture_id: MICRO / (row.audit_ppm * share) for row in judged if row.audit_ppm > 0}
    return Sample(
        weights=weights,
        largest=MICRO / (min(rates) * share) if rates and share else 0.0,
        drawn=len(audits),
        undrawn=sum(row.passed and row.audit_ppm == 0 for row in rows),
    )


def tally(
    rows: Sequence[Row],
    way: Way,
    labels: Mapping[str, Label],
    drawn: Sample,
) -> Tally:
    """Count what came of each row in one way."""
    pairs = list(zip(rows, way.outcomes, strict=True))
    verdicts = {capture_id: label.verdict for capture_id, label in labels.items()}
    sidelined = [row for row, outcome in pairs if outcome.sidelined]
    passed = [row for row, outcome in pairs if not outcome.sidelined]
    alarms = [row for row, outcome in pairs if outcome.divert is Divert.DAMAGE]
    unconfirmed = [
        outcome.divert is Divert.DAMAGE and verdicts.get(row.capture_id) not in _CONFIRMS for row, outcome in pairs
    ]
    window = worst_window(unconfirmed, rate=way.cap.alpha_ppm, burst=way.cap.burst_tokens * MICRO)
    return Tally(
        diverts=Counter(outcome.divert for outcome in way.outcomes),
        withheld=Counter(outcome.reason for outcome in way.outcomes if outcome.withheld),
        caught=_count(sidelined, verdicts, _DAMAGED),
        missed=_count(passed, verdicts, _DAMAGED),
        false_alarms=sum(verdicts.get(row.capture_id, Verdict.DAMAGED) not in _CONFIRMS for row in alarms),
        unknown=sum(row.capture_id not in verdicts for row in sidelined),
        caught_about=_estimate(sidelined, verdicts, _DAMAGED, drawn),
        missed_about=_estimate(passed, verdicts, _DAMAGED, drawn),
        false_about=_false(alarms, verdicts, drawn),
        unconfirmed=0 if window is None else window.events,
        allowed=0.0 if window is None else window.allowed / MICRO,
    )


def _count(rows: Sequence[Row], verdicts: Mapping[str, Verdict], wanted: AbstractSet[Verdict]) -> int:
    return sum(verdicts.get(row.capture_id) in wanted for row in rows)


def _estimate(
    rows: Sequence[Row], verdicts: Mapping[str, Verdict], wanted: AbstractSet[Verdict], drawn: Sample
) -> Estimate | None:
    """Return how many rows have such a verdict, or would: counted where a person had to look, else by lot."""
    if not drawn.weights:
        return None
    hidden = [row for row in rows if row.passed]
    found = [row.capture_id for row in hidden if verdicts.get(row.capture_id) in wanted]
    others = sum(row.capture_id in verdicts for row in hidden) - len(found)
    weights = [drawn.weights[capture_id] for capture_id in found if capture_id in drawn.weights]
    estimate = weighted_count(weights, drawn.largest).within(len(found), len(hidden) - others)
    return estimate.plus(_count([row for row in rows if not row.passed], verdicts, wanted))


def _false(alarms: Sequence[Row], verdicts: Mapping[str, Verdict], drawn: Sample) -> Estimate | None:
    """Return how many damage sidelines no verdict confirms, of those that a person saw or might have seen by lot."""
    confirmed = _estimate(alarms, verdicts, _CONFIRMS, drawn)
    seen = sum(row.passed or row.capture_id in verdicts for row in alarms)
    return None if confirmed is None else confirmed.out_of(seen)
