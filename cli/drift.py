"""What must be seen of a day on which light fades and scores drift with it: alarms stay near alpha all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from booth.station import Sent
from cli.checker.findings import Finding, Rule
from cli.checker.reading import Reading
from schemas.messages import Decision
from schemas.words import MICRO, Divert, Outcome

FEWEST: Final = 400  # intact units on each side of the drift before a rate of alarms means something
SHIFT: Final = 400_000  # micro-log-odds that the middle of intact scores must have moved, or nothing drifted
NEAR: Final = (0.3, 2.0)  # alphas: of 400 units 8 alarms are expected at 2 %, fewer than 3 in one run of a hundred
WITHHELD: Final = 0.05  # of the captures after the drift, so many at most may ask in vain
SETTLING: Final = 12  # one of so many captures of the run is what the threshold has to find its new place

Row = tuple[str, str, str]  # what, how many, and what that means


@dataclass(frozen=True, slots=True)
class Seen:
    """One decided capture and whether the unit was damaged."""

    decision: Decision
    damaged: bool
    light: str  # of `booth.fading`: no, fading, yes
    index: int

    @property
    def false_alarm(self) -> bool:
        """Tell whether an intact unit was stopped for damage."""
        return not self.damaged and self.decision.divert is Divert.DAMAGE


def judge_drift(
    reading: Reading, sent: Mapping[str, Sent], *, alpha_ppm: int, captures: int
) -> tuple[tuple[Row, ...], tuple[Finding, ...]]:
    """Return rows for the summary, and what was not as promised."""
    seen = _seen(reading, sent)
    before = [each for each in seen if each.light == "no"]
    poor = [each.index for each in seen if each.light == "yes"]
    settled = min(poor, default=captures) + captures // SETTLING
    after = [each for each in seen if each.light == "yes" and each.index >= settled]
    between = [each for each in seen if each.light != "no" and each.index < settled]
    if not _intact(before) or not _intact(after):
        return (), (Finding(Rule.DRIFT, "the run ended before the light had faded: play more captures"),)
    return tuple(_rows(before, between, after)), tuple(_findings(before, after, alpha_ppm / MICRO))


def _seen(reading: Reading, sent: Mapping[str, Sent]) -> list[Seen]:
    """Return the captures decided from a score, in the order in which they came."""
    found = [
        Seen(decision, truth.damaged, truth.facts.get("faded", "no"), sent[capture_id].index)
        for capture_id, decision in reading.decided().items()
        if decision.outcome is Outcome.DECIDED and capture_id in sent and (truth := sent[capture_id].truth)
    ]
    return sorted(found, key=lambda each: each.index)


def _rows(before: Sequence[Seen], between: Sequence[Seen], after: Sequence[Seen]) -> Iterator[Row]:
    moved = (_middle(after) - _middle(before)) / MICRO
    yield "scores of intact units moved", f"{moved:+.2f}", "log-odds, their middle, after the light had faded"
    yield "false alarms before", _alarms(before), "of the intact units in good light"
    yield "  while it faded", _alarms(between), "and until the threshold had time to follow"
    yield "  after", _alarms(after), "of the intact units in poor light"
    standing = _standing(before, after)
    yield "a threshold left where it was", f"{standing:.1%}", "of them it would have asked for"
    for name, some in (("damage stopped before", before), ("damage stopped after", after)):
        harmed = [each for each in some if each.damaged]
        stopped = sum(each.decision.divert is Divert.DAMAGE for each in harmed)
        yield name, f"{stopped} of {len(harmed)}", "poor light hides damage; the threshold cannot bring it back"


def _findings(before: Sequence[Seen], after: Sequence[Seen], alpha: float) -> Iterator[Finding]:
    if abs(_middle(after) - _middle(before)) < SHIFT:
        yield Finding(Rule.DRIFT, "the scores of intact units did not move: nothing was tried")
    for name, some in (("before", before), ("after", after)):
        intact = _intact(some)
        low, high = (share * alpha for share in NEAR)
        if len(intact) >= FEWEST and not low <= _rate(intact) <= high:
            yield Finding(Rule.DRIFT, f"{_alarms(some)} false alarms {name} the drift, alpha is {alpha:.1%}")
    vain = sum(each.decision.withheld for each in after)
    if vain > WITHHELD * len(after):
        yield Finding(Rule.DRIFT, f"{vain} of {len(after)} captures after the drift asked without a token")


def _intact(seen: Sequence[Seen]) -> list[Seen]:
    return [each for each in seen if not each.damaged]


def _rate(seen: Sequence[Seen]) -> float:
    return sum(each.false_alarm for each in seen) / len(seen)


def _alarms(seen: Sequence[Seen]) -> str:
    intact = _intact(seen)
    return f"{sum(each.false_alarm for each in intact)} of {len(intact)}" + (
        f" ({_rate(intact):.1%})" if intact else ""
    )


def _middle(seen: Sequence[Seen]) -> float:
    return median(each.decision.score or 0 for each in _intact(seen))


def _standing(before: Sequence[Seen], after: Sequence[Seen]) -> float:
    """Return the share of intact units after the drift that the usual threshold before it would have asked for."""
    usual = median(each.decision.threshold or 0 for each in before[len(before) // 2 :])
    intact = _intact(after)
    return sum((each.decision.score or 0) >= usual for each in intact) / len(intact)
