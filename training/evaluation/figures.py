"""Every figure of a report, from rows alone. What a test set is too small for, or holds none of, is None or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.faults import Fatal
from schemas.words import DamageKind, Pattern
from training.evaluation.identities import Named, OpenSet, named, open_sets
from training.evaluation.intervals import DRAWS, Interval, exact
from training.evaluation.metrics import (
    ALWAYS,
    RATES,
    Official,
    OfficialDoubt,
    Recall,
    official,
    official_doubt,
    recall_with_doubt,
)
from training.evaluation.reliability import Reliability, at_prevalence, ece_doubt, reliability
from training.evaluation.rows import About, Row
from training.evaluation.slices import Slice, says_yes, slices, worst
from training.evaluation.table import WORDS, Table, Way
from training.scores import threshold_at

HEADLINE: Final = Way.ARRIVED  # the way that slices and mistakes are told of
_ECE_DRAWS: Final = 200  # each sorts all captures anew

Worth = Callable[[str, Table, NDArray[np.float64]], "Merit"]  # a name, captures, their scores


@dataclass(frozen=True, slots=True)
class Merit:
    """What one row of scores is worth."""

    name: str
    captures: int
    damaged: int
    official: Official
    official_may_be: OfficialDoubt
    recalls: tuple[Recall, ...]


@dataclass(frozen=True, slots=True)
class WayFigures:
    """How good a way of examining is."""

    way: Way
    merit: Merit
    reliability: Reliability  # at the set's own prevalence
    ece_may_be: Interval
    compared: float  # share of captures for which references spoke


@dataclass(frozen=True, slots=True)
class PatternFigures:
    """How true the probabilities of an availability pattern are, among captures as they arrived."""

    pattern: Pattern
    captures: int
    damaged: int
    reliability: Reliability  # at the prevalence of these captures
    ece_may_be: Interval


@dataclass(frozen=True, slots=True)
class Group:
    """Some captures at the threshold of a way that 1 % of all intact captures lie above."""

    name: str
    way: Way
    damaged: int
    found: float
    found_may_be: Interval
    intact: int
    false_alarms: float
    false_alarms_may_be: Interval


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a trial."""

    captures: int
    damaged: int
    intact: int
    major: int
    products: int
    prevalence: float  # that precisions are stated for
    unlabelled: int
    refused: dict[str, int]  # reason -> captures
    ways: tuple[WayFigures, ...]
    patterns: tuple[PatternFigures, ...]
    ablations: tuple[Merit, ...]
    groups: tuple[Group, ...]  # what references are for: decoys, broken sets, new designs
    open_sets: tuple[OpenSet, ...]
    named: dict[str, Named]
    slices: tuple[Slice, ...]
    lowest_recall: Slice | None
    most_false_alarms: Slice | None


def figures(
    about: About,
    rows: Sequence[Row],
    *,
    prevalence: float,
    least: int,
    rates: Sequence[float] = RATES,
    draws: int = DRAWS,
) -> Figures:
    """Return all figures.

    Args:
        about: how the rows were made.
        rows: all of them.
        prevalence: of damage on the line that precisions are stated for.
        least: captures of a class that a slice needs to be named the worst.
        rates: of false positives that recall is told at.
        draws: of products, for intervals.

    Raises:
        Fatal: there is no capture with a truth.
    """
    table = Table.of(rows)
    if not len(table):
        raise Fatal("none of the captures has a label and a readable picture: nothing can be measured")
    headline = table.where(table.answered(HEADLINE))
    scores = headline.scores(HEADLINE)
    parts = tuple(slices(headline, scores, threshold_at(scores, headline.damaged, ALWAYS)))
    lowest, most = worst(parts, least=least)
    worth: Worth = partial(merit, prevalence=prevalence, rates=rates, draws=draws)
    return Figures(
        captures=len(table),
        damaged=int(table.damaged.sum()),
        intact=int((~table.damaged).sum()),
        major=int(table.major.sum()),
        products=int(table.product.max()) + 1,
        prevalence=prevalence,
        unlabelled=sum(row.damaged is None and not row.refused for row in rows),
        refused=dict(Counter(row.refused.partition(":")[0] for row in rows if row.refused)),
        ways=tuple(_way(table, way, about.prior, worth, draws) for way in Way if table.answered(way).any()),
        patterns=tuple(_patterns(headline, about.prior, draws)),
        ablations=tuple(_ablations(table, worth)),
        groups=tuple(_groups(table)),
        open_sets=tuple(open_sets(table.rows, about.limits, gallery=about.products)),
        named={way.value: named(table, way) for way in (Way.BY_IMAGE, Way.ARRIVED)},
        slices=parts,
        lowest_recall=lowest,
        most_false_alarms=most,
    )


def merit(
    name: str, table: Table, scores: NDArray[np.float64], *, prevalence: float, rates: Sequence[float], draws: int
) -> Merit:
    """Return what scores float64[N] are worth for the captures of a table."""
    return Merit(
        name=name,
        captures=len(table),
        damaged=int(table.damaged.sum()),
        official=official(scores, table.damaged, table.major),
        official_may_be=official_doubt(scores, table.damaged, table.major, table.product, draws=draws),
        recalls=tuple(
            recall_with_doubt(scores, table.damaged, table.product, rate, prevalence=prevalence, draws=draws)
            for rate in rates
        ),
    )


def _way(table: Table, way: Way, prior: int, worth: Worth, draws: int) -> WayFigures:
    there = table.where(table.answered(way))
    scores = there.scores(way)
    share = float(np.clip(there.damaged.mean(), 1e-6, 1 - 1e-6))
    chance = at_prevalence(scores.astype(np.int64), prior, share)
    compared = [answer is not None and answer.pattern is not Pattern.CLASSIFIER for answer in there.answers(way)]
    return WayFigures(
        way=way,
        merit=worth(WORDS[way], there, scores),
        reliability=reliability(chance, there.damaged),
        ece_may_be=ece_doubt(chance, there.damaged, there.product, draws=min(draws, _ECE_DRAWS)),
        compared=float(np.mean(compared)),
    )


def _patterns(table: Table, prior: int, draws: int) -> list[PatternFigures]:
    """Tell apart by which evidence could speak: each pattern has a calibration of its own."""
    patterns = [None if answer is None else answer.pattern for answer in table.answers(HEADLINE)]
    found = []
    for pattern in dict.fromkeys(each for each in patterns if each is not None):
        there = table.where(np.array([each is pattern for each in patterns], bool))
        share = float(np.clip(there.damaged.mean(), 1e-6, 1 - 1e-6))
        chance = at_prevalence(there.scores(HEADLINE).astype(np.int64), prior, share)
        damaged = int(there.damaged.sum())
        doubt = ece_doubt(chance, there.damaged, there.product, draws=min(draws, _ECE_DRAWS))
        found.append(PatternFigures(pattern, len(there), damaged, reliability(chance, there.damaged), doubt))
    return found


def _ablations(table: Table, worth: Worth) -> list[Merit]:
    """Compare on the same captures what each part adds."""
    found = []
    apart = table.discrepancies(Way.BY_CODE)
    both = ~np.isnan(apart)
    if both.any():
        there = table.where(both)
        found += [
            worth("classifier alone", there, there.scores(Way.ALONE)),
            worth("references alone (discrepancy)", there, apart[both]),
            worth("both, fused", there, there.scores(Way.BY_CODE)),
        ]
    seen = np.array([row.blind is not None for row in table.rows], bool)
    if seen.any():
        there = table.where(seen)
        blind = np.array([row.blind.score for row in there.rows if row.blind is not None], np.float64)
        found += [
            worth("classifier alone, views with depth", there, there.scores(Way.ALONE)),
            worth("... the same views, depth taken away", there, blind),
        ]
    return found


def _groups(table: Table) -> list[Group]:
    """Tell what references are for, with them and without, each at a threshold of its own."""

    def fact(name: str) -> NDArray[np.bool_]:
        return np.array([says_yes(row.facts.get(name)) for row in table.rows], bool)

    decoy, fresh = fact("decoy"), fact("redesigned")
    broken = np.array([DamageKind.MISSING_UNIT in row.kinds for row in table.rows], bool)
    kinds = {
        "printed decoy": decoy,
        "no decoy": ~decoy,
        "missing unit, against all intact": broken | ~table.damaged,
        "new design, references show the old": fresh,
        "design as referenced": ~fresh,
    }
    if not decoy.any():
        kinds = {name: inside for name, inside in kinds.items() if "decoy" not in name}
    if not fresh.any():
        kinds = {name: inside for name, inside in kinds.items() if "design" not in name}
    if not broken.any():
        kinds = {name: inside for name, inside in kinds.items() if "missing" not in name}
    return [
        _group(table, name, inside, way)
        for name, inside in kinds.items()
        for way in (Way.ALONE, Way.BY_CODE)
        if table.answered(way).any()
    ]


def _group(table: Table, name: str, inside: NDArray[np.bool_], way: Way) -> Group:
    told = table.answered(way)
    there, inside = table.where(told), inside[told]
    scores = there.scores(way)
    above = scores > threshold_at(scores, there.damaged, ALWAYS)
    hurt, sound = inside & there.damaged, inside & ~there.damaged
    hits, alarms = int((above & hurt).sum()), int((above & sound).sum())
    return Group(
        name=name,
        way=way,
        damaged=int(hurt.sum()),
        found=hits / int(hurt.sum()) if hurt.any() else float("nan"),
        found_may_be=exact(hits, int(hurt.sum())),
        intact=int(sound.sum()),
        false_alarms=alarms / int(sound.sum()) if sound.any() else float("nan"),
        false_alarms_may_be=exact(alarms, int(sound.sum())),
    )
