"""Whether damage was found, and not by luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Final

from cli.checker.charge import Known
from cli.checker.findings import Finding, Rule
from schemas.messages import Decision
from schemas.words import Divert

FEWEST_DAMAGED: Final = 5  # damaged units that a run must have met before finding none of them means something


@dataclass(frozen=True, slots=True)
class Catch:
    """How much damage was stopped, and what chance, and hindsight, would have stopped with as many."""

    stops: int
    hits: int
    damaged: int
    scored: int
    in_hindsight: int  # hits of the one threshold that no more intact units lie above than were stopped

    @property
    def by_chance(self) -> float:
        """Hits expected from as many stops drawn at random."""
        return self.stops * self.damaged / self.scored if self.scored else 0.0

    @property
    def luck(self) -> float:
        """Probability that random stops hit at least as often (hypergeometric tail)."""
        ways = comb(self.scored, self.stops)
        most = min(self.stops, self.damaged)
        hitting = (
            comb(self.damaged, k) * comb(self.scored - self.damaged, self.stops - k) for k in range(self.hits, most + 1)
        )
        return sum(hitting) / ways


def catch(in_sequence: Sequence[Decision], truth: Mapping[str, Known]) -> Catch:
    """Count the stops for damage against the truth."""
    known = [(one, truth[one.capture_id]) for one in in_sequence if one.capture_id in truth]
    stops = [fact for one, fact in known if one.divert == Divert.DAMAGE]
    hits = sum(fact.damaged for fact in stops)
    return Catch(
        stops=len(stops),
        hits=hits,
        damaged=sum(fact.damaged for _, fact in known),
        scored=len(known),
        in_hindsight=_in_hindsight(known, len(stops) - hits),
    )


def _in_hindsight(known: Sequence[tuple[Decision, Known]], alarms: int) -> int:
    """Count the damaged units above the lowest single threshold that so many intact ones, at most, lie above."""
    intact = sorted((one.score for one, fact in known if not fact.damaged and one.score is not None), reverse=True)
    threshold = intact[alarms] if alarms < len(intact) else None
    hurt = [one.score for one, fact in known if fact.damaged and one.score is not None]
    return sum(threshold is None or score > threshold for score in hurt)


def check_catch(in_sequence: Sequence[Decision], truth: Mapping[str, Known]) -> list[Finding]:
    """Damaged units were stopped, and more of them than chance would have."""
    found = catch(in_sequence, truth)
    if found.damaged < FEWEST_DAMAGED:
        return []  # a short run proves nothing either way; the summary shows the numbers
    if found.hits == 0:
        return [Finding(Rule.CATCH, f"none of {found.damaged} damaged units was stopped, in {found.stops} stops")]
    if found.hits <= found.by_chance:
        return [Finding(Rule.CATCH, f"{found.hits} hits in {found.stops} stops; chance gives {found.by_chance:.1f}")]
    return []
