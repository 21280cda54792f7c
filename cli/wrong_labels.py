"""What must be seen of a day on which some units carry another product's code.

The bounds leave room beside what was measured on three worlds (decision 0054): another world, whose products look more
alike than theirs, is no broken promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from booth.station import Sent
from booth.world import Truth
from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading
from schemas.messages import Decision
from schemas.words import Divert, Outcome, Pattern

FEWEST: Final = 40  # wrong labels that a run must have met before a share of them means something
FOUND: Final = 0.75  # of the wrong labels, at least
CALLED_WRONG: Final = 0.005  # of the right labels, at most
POISONED: Final = 0.10  # of intact units with a wrong label, so many at most are stopped for damage
RIGHT: Final = "right"

Row = tuple[str, str, str]  # what, how many, and what that means


@dataclass(frozen=True, slots=True)
class Labelled:
    """A decision and what the booth knows of the unit."""

    decision: Decision
    truth: Truth

    @property
    def kind(self) -> str:
        """Return `right`, or how the label is wrong."""
        return self.truth.facts.get("label", RIGHT)

    @property
    def doubted(self) -> bool:
        """Tell whether the line saw that sources disagree."""
        return self.decision.identity is not None and self.decision.identity.conflict

    @property
    def divert(self) -> Divert:
        """Return what the unit was stopped for."""
        return self.decision.divert


def judged(reading: Reading, sent: Mapping[str, Sent]) -> tuple[tuple[Row, ...], tuple[Finding, ...]]:
    """Return rows for the summary, and what was not as promised."""
    units = [
        Labelled(decision, sent[capture_id].truth)
        for capture_id, decision in reading.decided().items()
        if decision.outcome is Outcome.DECIDED and capture_id in sent
    ]
    findings = (*_shares(units), *_dropped(units), *_told(units, reading))
    return tuple(_rows(units)), findings


def _rows(units: Sequence[Labelled]) -> Iterator[Row]:
    wrong, right = _split(units)
    found = [unit for unit in wrong if unit.doubted]
    by_kind = ", ".join(
        f"{sum(unit.doubted for unit in some)} of {len(some)} with {words}"
        for kind, words in (("sticker", "a sticker"), ("print", "the code in print wrong as well"))
        if (some := [unit for unit in wrong if unit.kind == kind])
    )
    yield "wrong labels found", str(len(found)), f"of {len(wrong)}: {by_kind}"
    yield "  sent to a person as wrong items", str(_count(found, Divert.IDENTITY)), "under the identity budget"
    yield "  sent to a person as damaged", str(_count(found, Divert.DAMAGE)), "damage comes first"
    withheld = sum(unit.decision.reason == "identity_no_token" for unit in found)
    yield "  withheld", str(withheld), "the identity budget, or the station, had no room"
    yield "wrong labels missed", str(len(wrong) - len(found)), "siblings, mostly: they look alike"
    doubted = [unit for unit in right if unit.doubted]
    stops = _count(doubted, Divert.IDENTITY)
    yield "right labels called wrong", str(len(doubted)), f"of {len(right)}; {stops} of them went to a person"
    whole = [unit for unit in wrong if not unit.truth.damaged]
    alarms = _count(whole, Divert.DAMAGE)
    yield "damage alarms on wrong labels", str(alarms), f"of {len(whole)} intact units with a wrong label"


def _shares(units: Sequence[Labelled]) -> Iterator[Finding]:
    """Yield what is beyond the bounds; too few wrong labels prove nothing either way."""
    wrong, right = _split(units)
    if len(wrong) < FEWEST:
        return
    found = sum(unit.doubted for unit in wrong)
    if found < FOUND * len(wrong):
        yield Finding(Rule.WRONG_ITEMS, f"{found} of {len(wrong)} wrong labels were found, promised are {FOUND:.0%}")
    called = sum(unit.doubted for unit in right)
    if called > CALLED_WRONG * len(right):
        yield Finding(
            Rule.WRONG_ITEMS, f"{called} of {len(right)} right labels were called wrong, allowed are {CALLED_WRONG:.1%}"
        )
    whole = [unit for unit in wrong if not unit.truth.damaged]
    alarms = _count(whole, Divert.DAMAGE)
    if alarms > POISONED * len(whole):
        yield Finding(
            Rule.WRONG_ITEMS,
            f"{alarms} of {len(whole)} intact units with a wrong label were stopped for damage, "
            f"allowed are {POISONED:.0%}",
        )


def _dropped(units: Sequence[Labelled]) -> list[Finding]:
    """References of a product that the unit may not be must not have spoken of its damage."""
    used = [
        unit.decision.capture_id
        for unit in units
        if unit.doubted and (evidence := unit.decision.evidence) is not None
        if evidence.pattern is not Pattern.CLASSIFIER or evidence.references or evidence.discrepancy is not None
    ]
    return each(Rule.WRONG_ITEMS, used, "captures in conflict were compared with references")


def _told(units: Sequence[Labelled], reading: Reading) -> list[Finding]:
    """Whoever gets a wrong item must read what each source says it is."""
    mute = [
        unit.decision.capture_id
        for unit in units
        if unit.divert is Divert.IDENTITY
        and any(len(emission.message.claims) < 2 for emission in reading.sidelined.get(unit.decision.capture_id, ()))  # noqa: PLR2004 - two sources disagree
    ]
    return each(Rule.WRONG_ITEMS, mute, "wrong items were announced without what their sources say")


def _split(units: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Return units with a wrong label, and with a right one."""
    return [unit for unit in units if unit.kind != RIGHT], [unit for unit in units if unit.kind == RIGHT]


def _count(units: Sequence[Labelled], divert: Divert) -> int:
    return sum(unit.divert is divert for unit in units)
