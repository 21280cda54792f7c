"""Whose verdicts differ from everybody else's by more than chance: a person to be asked, not a person to be blamed.

A wrong `damaged` returns a token (P5a cannot see lies), so the share of stops that an associate confirms is compared
with that of all others, and so is how often a second, blind look agreed with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from budget.records import AssociateState

SURE: Final = 0.001  # chance that any of the associates of a site is named though all judge alike
LEAST: Final = 20  # verdicts below which nobody is judged
APART: Final = 1.0  # log-odds: differences below are no cause for a question, however certain

What = Literal["confirms more", "confirms fewer", "contradicted more"]


@dataclass(frozen=True, slots=True)
class Outlier:
    """One associate whose verdicts are unlike the others'."""

    associate_id: str
    what: What
    count: int  # of `of`
    of: int
    others: float  # the share that all others have
    chance: float  # that a share so far from it comes by chance

    def __str__(self) -> str:
        share = f"{self.count} of {self.of} ({self.count / self.of:.0%})"
        rare = f"by chance 1 in {1 / self.chance:,.0f}"
        return f"{self.associate_id} {self.what}: {share}, all others {self.others:.0%}, {rare}"


def outliers(associates: Mapping[str, AssociateState]) -> list[Outlier]:
    """Return those whose confirm rate, or share of contradicted second looks, is unlike the rest's.

    Two-sided binomial tails against the others' pooled share, divided among all comparisons (Bonferroni); a difference
    must also be large. Nobody is compared where the others have too few verdicts to be compared with. Whoever stands
    out most is named first and leaves the pool: else one person would make all others stand out.
    """
    level = SURE / max(1, 2 * len(associates))
    left = dict(associates)
    named: list[Outlier] = []
    while found := [outlier for name in left for outlier in _unlike(name, left, level)]:
        first = min(found, key=lambda outlier: outlier.chance).associate_id
        named += [outlier for outlier in found if outlier.associate_id == first]
        del left[first]
    return sorted(named, key=lambda outlier: outlier.chance)


def _unlike(name: str, associates: Mapping[str, AssociateState], level: float) -> list[Outlier]:
    """Compare one associate with all others in the pool."""
    own = associates[name]
    rest = [other for each, other in associates.items() if each != name]
    judged, confirmed = sum(each.judged for each in rest), sum(each.confirmed for each in rest)
    rechecked, agreed = sum(each.rechecked for each in rest), sum(each.agreed for each in rest)
    against = own.rechecked - own.agreed
    return [
        *_compare(name, own.confirmed, own.judged, confirmed, judged, level, ("confirms more", "confirms fewer")),
        *_compare(name, against, own.rechecked, rechecked - agreed, rechecked, level, ("contradicted more", None)),
    ]


def _compare(
    name: str, count: int, of: int, others: int, of_others: int, level: float, words: tuple[What, What | None]
) -> list[Outlier]:
    if of < LEAST or of_others < LEAST:
        return []
    share = (others + 0.5) / (of_others + 1)  # never exactly none or all: that would make anything else impossible
    own = (count + 0.5) / (of + 1)
    apart = abs(math.log(own / (1 - own)) - math.log(share / (1 - share)))
    more = own > share
    what = words[0] if more else words[1]
    chance = min(1.0, 2 * _tail(count, of, share, more=more))
    if what is None or apart < APART or chance > level:
        return []
    return [Outlier(name, what, count, of, share, max(chance, 1e-300))]


def _tail(count: int, of: int, share: float, *, more: bool) -> float:
    """Return the binomial chance of `count` or more (or fewer) among `of`."""
    places = range(count, of + 1) if more else range(count + 1)
    return sum(
        math.exp(
            math.lgamma(of + 1)
            - math.lgamma(each + 1)
            - math.lgamma(of - each + 1)
            + each * math.log(share)
            + (of - each) * math.log1p(-share)
        )
        for each in places
    )
