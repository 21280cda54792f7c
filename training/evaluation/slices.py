"""Where models are weak: the same threshold for all captures, recall and false alarms told for each kind of them.

One threshold, because a line has one. A slice with few captures has a wide interval and is named the worst by luck, so
slices below a stated size are counted but never named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.evaluation.intervals import Interval, exact
from training.evaluation.rows import Row
from training.evaluation.table import Table
from training.scores import auroc

MIN_CAPTURES: Final = 30  # of the class that a figure is about
_SHARES: Final = ((0.002, "below 0.2 %"), (0.01, "0.2 to 1 %"), (0.05, "1 to 5 %"), (1.0, "above 5 %"))
_NO: Final = frozenset({"", "no", "none", "false", "0"})  # how facts say that there is nothing of it
_FACTS: Final = ("material", "site_style", "light", "decoy", "wear", "redesigned", "set", "label_noise")


@dataclass(frozen=True, slots=True)
class Slice:
    """Captures that have something in common."""

    by: str
    value: str
    damaged: int
    intact: int
    auroc: float  # of this slice's captures among themselves; where it is about damage, against all intact ones
    recall: float
    recall_may_be: Interval
    false_alarms: float  # share of the intact ones
    false_alarms_may_be: Interval


def slices(table: Table, scores: NDArray[np.float64], threshold: float) -> list[Slice]:
    """Return every slice, lowest recall first; those without damaged captures last, most false alarms first.

    Args:
        table: captures.
        scores: float64[N], of the same captures.
        threshold: above it is an alarm.
    """
    found = []
    for by, of in _ways(table).items():
        values = [frozenset(of(row)) for row in table.rows]
        about_damage = by in _OF_DAMAGE
        if len(frozenset(values)) == 1:  # all captures are alike in this
            continue
        for value in sorted(frozenset().union(*values)):
            inside = np.array([value in each for each in values], bool)
            found.append(_slice(table, scores, threshold, by, value, inside, about_damage=about_damage))
    return sorted(found, key=lambda each: (each.damaged == 0, each.recall if each.damaged else -each.false_alarms))


def worst(found: Iterable[Slice], *, least: int = MIN_CAPTURES) -> tuple[Slice | None, Slice | None]:
    """Return the slices with the lowest recall and with the most false alarms, among those large enough to tell."""
    told = list(found)
    hurt = [each for each in told if each.damaged >= least]
    sound = [each for each in told if each.intact >= least and each.by not in _OF_DAMAGE]
    return (
        min(hurt, key=lambda each: each.recall, default=None),
        max(sound, key=lambda each: each.false_alarms, default=None),
    )


def says_yes(fact: str | None) -> bool:
    """Tell whether a fact says that there is something: a decoy, a new design."""
    return fact is not None and fact.lower() not in _NO


_OF_DAMAGE: Final = frozenset({"kind", "severity", "damage size"})


def _ways(table: Table) -> dict[str, Callable[[Row], Iterable[str]]]:
    """Return by what captures are sliced: how to find the values of each."""
    ways: dict[str, Callable[[Row], Iterable[str]]] = {
        "kind": lambda row: [kind.value for kind in row.kinds] if row.damaged else [],
        "severity": lambda row: [row.severity.value] if row.damaged else [],
        "damage size": _size,
        "views": lambda row: [str(len(row.pictures))],
        "depth": lambda row: ["yes" if row.depth else "no"],
        "codes in the pixels": lambda row: ["read" if row.codes else "none read"],
        "scan": lambda row: [row.scanned or "none"],
    }
    facts = {name for row in table.rows for name in row.facts}
    for name in (*(each for each in _FACTS if each in facts), *sorted(facts - set(_FACTS))):
        if 1 < len({row.facts.get(name, "") for row in table.rows}) <= len(table) // 4:  # more are names, no slices
            ways[name] = _fact(name)
    return ways


def _fact(name: str) -> Callable[[Row], Iterable[str]]:
    return lambda row: [row.facts[name] or "none"] if name in row.facts else []


def _size(row: Row) -> Iterable[str]:
    if not row.damaged or row.damage_share is None:
        return []
    if row.damage_share == 0:
        return ["not in the first view"]
    return [next(words for limit, words in _SHARES if row.damage_share <= limit)]


def _slice(
    table: Table,
    scores: NDArray[np.float64],
    threshold: float,
    by: str,
    value: str,
    inside: NDArray[np.bool_],
    *,
    about_damage: bool,
) -> Slice:
    above = scores > threshold
    hurt, sound = inside & table.damaged, inside & ~table.damaged
    hits, alarms = int((above & hurt).sum()), int((above & sound).sum())
    told = hurt | ~table.damaged if about_damage else inside
    return Slice(
        by=by,
        value=value,
        damaged=int(hurt.sum()),
        intact=int(sound.sum()),
        auroc=auroc(scores[told], table.damaged[told]),
        recall=hits / int(hurt.sum()) if hurt.any() else float("nan"),
        recall_may_be=exact(hits, int(hurt.sum())),
        false_alarms=alarms / int(sound.sum()) if sound.any() else float("nan"),
        false_alarms_may_be=exact(alarms, int(sound.sum())),
    )
