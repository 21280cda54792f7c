"""When cleared captures of a product may become references: rules over what people said and what the model sees.

Pure: judged captures and references go in, a ruling with its figures comes out. The limits were measured on captures of
the booth (decision 0056): a new design agrees with itself and not with the old one; damaged units agree with neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.likeness import beside, likenesses, nearest, normalised, others, stands_out
from gallery.seen import Look, Seen, Sighting
from schemas.words import MICRO

USUAL: Final = 0.1  # of the pairs of references of one product are less alike than this limit ...
STANDS_OUT: Final = 0.9  # ... and of the references of one product stand out less from each other than that one
COHORT: Final = 3  # products with two references, at least, before they say what is usual
CONSIDERED: Final = 12  # candidates, the newest; a comparison of two takes about a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What it takes."""

    units: int = 5  # distinct units whose captures were cleared
    associates: int = 2  # distinct people who cleared them: one alone, lying or careless, enrols nothing
    spread_s: float = 3600.0  # between the first and the last of them
    window_s: float = 14 * 86_400.0  # how long a judged capture is remembered
    hold_s: float = 86_400.0  # how long a product is held back after a clearing was revised
    cleared_share: float = 0.6  # of the judged captures that look like the candidates, so many have to be cleared
    separation: float = 0.7  # chance that damage which people found stands out more than what they cleared, afterwards
    gain: float = 0.06  # in patch similarity: nearer to each other by so much than to any reference
    margin_cost: float = 0.01  # in patch similarity: what other products' lead may lose on average
    enrolled: int = 2  # of the candidates, the most central ones
    duplicate: float = 0.97  # in patch similarity: above it a second reference says nothing new
    max_references: int = 8  # of one product that inspectors hold


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour:
    """A product that looks like the one in question: its references, and captures of it that people cleared."""

    product_id: str
    references: Sequence[Look]
    cleared: Sequence[Look] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided and from which figures; `_micro` are millionths."""

    enrol: tuple[str, ...]  # reference ids, none while something is missing
    why: str
    figures: dict[str, int] = field(default_factory=dict)


def rule(
    sightings: Sequence[Sighting],
    references: Sequence[Look],
    cohort: Sequence[Neighbour],
    rules: Rules,
) -> Ruling:
    """Decide whether the cleared captures of a product may become references, and which of them.

    Args:
        sightings: judged captures of the product within the window, cleared and not.
        references: those of the product that inspectors hold.
        cohort: other products, the most alike first.
        rules: the limits.
    """
    figures: dict[str, int] = {}
    try:
        enrol = _chosen(sightings, references, cohort, rules, figures)
    except _NotYetError as reason:
        return Ruling((), str(reason), figures)
    return Ruling(tuple(each.reference_id for each in enrol), f"agreement of {figures['units']} units", figures)


def missing(cleared: Sequence[Seen], rules: Rules) -> str | None:
    """Return what cleared captures lack before anybody need look at pictures, None if nothing."""
    units = {each.unit_id for each in cleared}
    people = {each.associate_id for each in cleared}
    times = [each.at_ms for each in cleared]
    if len(units) < rules.units:
        return f"{len(units)} of {rules.units} units"
    if len(people) < rules.associates:
        return f"cleared by {len(people)} of {rules.associates} associates"
    if max(times) - min(times) < 1000 * rules.spread_s:
        return f"cleared within less than {rules.spread_s:g} s"
    return None


class _NotYetError(Exception):
    """What stands against promotion, in words."""


def _chosen(
    sightings: Sequence[Sighting],
    references: Sequence[Look],
    cohort: Sequence[Neighbour],
    rules: Rules,
    figures: dict[str, int],
) -> list[Look]:
    """Return the looks to enrol; write the figures down on the way."""
    looks, alike = _a_look_of_its_own(sightings, references, rules, figures)
    against = [each.look for each in sightings if not each.seen.cleared]
    against = [each for each in against if _speaks_against(each, looks, references, rules)]
    figures["against"] = len(against)
    if len(looks) < rules.cleared_share * (len(looks) + len(against)):
        raise _NotYetError("too many that look like these were found damaged or wrong")
    standing = np.array([stands_out(look, others(looks, place)) for place, look in enumerate(looks)])
    _agree(looks, standing, cohort, figures)
    enrol = [looks[place] for place in _central(looks, alike, standing, rules)]
    _harmless(enrol, looks, against, references, cohort, rules, figures)
    return enrol


def _a_look_of_its_own(
    sightings: Sequence[Sighting], references: Sequence[Look], rules: Rules, figures: dict[str, int]
) -> tuple[list[Look], NDArray[np.float64]]:
    """Return the cleared captures that are more like each other than like any reference, and their likenesses."""
    candidates = _newest_of_each_unit([each for each in sightings if each.seen.cleared])
    _enough(candidates, rules, figures)
    looks = [each.look for each in candidates]
    alike = likenesses(looks)
    if not references:
        return looks, alike
    gains = beside(alike) - np.array([nearest(look, references) for look in looks])
    chosen = np.flatnonzero(gains >= rules.gain)
    if len(chosen) < rules.units:
        raise _NotYetError("its references are as much like these captures as they are like each other")
    _enough([candidates[place] for place in chosen], rules, figures)
    figures["gain_micro"] = _micro(np.median(gains[chosen]))
    return [looks[place] for place in chosen], alike[np.ix_(chosen, chosen)]


def _enough(candidates: Sequence[Sighting], rules: Rules, figures: dict[str, int]) -> None:
    figures["units"] = len(candidates)
    figures["associates"] = len({each.seen.associate_id for each in candidates})
    if (why := missing([each.seen for each in candidates], rules)) is not None:
        raise _NotYetError(why)


def _newest_of_each_unit(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return one sighting a unit, in order of time: a unit that came along twice is still one witness."""
    by_unit = {each.seen.unit_id: each for each in sorted(sightings, key=lambda each: each.seen.at_ms)}
    newest = sorted(by_unit.values(), key=lambda each: (each.seen.at_ms, each.look.reference_id))
    return newest[-CONSIDERED:]


def _agree(
    looks: Sequence[Look], standing: NDArray[np.float64], cohort: Sequence[Neighbour], figures: dict[str, int]
) -> None:
    """Hold the candidates to what is usual among references of one product."""
    usual = _usual(cohort)
    if usual is None:
        raise _NotYetError(f"fewer than {COHORT} products with two references to say what is usual")
    figures["agreement_micro"] = _micro(np.median(normalised(looks, _strangers(cohort))))
    figures["agreement_usual_micro"] = _micro(usual.agreement)
    figures["standing_out_micro"] = _micro(np.median(standing))
    figures["standing_out_usual_micro"] = _micro(usual.standing_out)
    if figures["agreement_micro"] < figures["agreement_usual_micro"]:
        raise _NotYetError("they agree less with each other than references of one product do")
    if figures["standing_out_micro"] > figures["standing_out_usual_micro"]:
        raise _NotYetError("parts of each stand out from the others, as damage does")


def _harmless(
    enrol: Sequence[Look],
    looks: Sequence[Look],
    against: Sequence[Look],
    references: Sequence[Look],
    cohort: Sequence[Neighbour],
    rules: Rules,
    figures: dict[str, int],
) -> None:
    """Try the new references on what is remembered: other products' captures, and damaged ones of this product."""
    lost, cost, probes = _identified_worse(enrol, references, cohort)
    figures |= {"probes": probes, "probes_lost": lost, "margin_cost_micro": _micro(cost)}
    if lost or cost > rules.margin_cost:
        raise _NotYetError("with them other products would be identified worse")
    if against:
        with_them = [*references, *enrol]
        intact = np.array([stands_out(look, [each for each in with_them if each is not look]) for look in looks])
        damaged = np.array([stands_out(look, with_them) for look in against])[:, None]
        separation = float(np.mean((damaged > intact) + (damaged == intact) / 2))
        figures["separation_micro"] = _micro(separation)
        if separation < rules.separation:
            raise _NotYetError("with them damage that people found would look intact")


def _strangers(cohort: Sequence[Neighbour]) -> list[Look]:
    return [each.references[0] for each in cohort if each.references]


def _identified_worse(
    fresh: Sequence[Look], references: Sequence[Look], cohort: Sequence[Neighbour]
) -> tuple[int, float, int]:
    """Return how many captures of other products would take this one's name, what their lead loses, how many tried."""
    lost, costs = 0, []
    for neighbour in cohort:
        for probe in (*neighbour.references, *neighbour.cleared):
            own = [each for each in neighbour.references if each is not probe]
            if not own:
                continue
            mine = nearest(probe, own)
            before = mine - (nearest(probe, references) if references else -1.0)
            after = min(before, mine - nearest(probe, fresh))
            lost += before > 0 >= after
            costs.append(max(0.0, min(before, 0.1) - min(after, 0.1)))  # a lead of 0.1 is as good as a larger one
    return lost, float(np.mean(costs)) if costs else 0.0, len(costs)


def _speaks_against(damaged: Look, looks: Sequence[Look], references: Sequence[Look], rules: Rules) -> bool:
    """Tell whether a capture that was not cleared shows the candidates' design rather than one that is known."""
    return not references or nearest(damaged, looks) - nearest(damaged, references) >= rules.gain


@dataclass(frozen=True, slots=True)
class _Usual:
    """What is usual among references of one product in the cohort."""

    agreement: float  # similarity in deviations of that to other products
    standing_out: float


def _usual(cohort: Sequence[Neighbour]) -> _Usual | None:
    agreements, standing = [], []
    for neighbour in cohort:
        if len(neighbour.references) < 2:  # noqa: PLR2004 - a pair
            continue
        strange = [each for each in cohort if each is not neighbour]
        agreements += normalised(neighbour.references, _strangers(strange)).tolist()
        standing += [
            stands_out(look, others(neighbour.references, place)) for place, look in enumerate(neighbour.references)
        ]
    if len(standing) < 2 * COHORT:
        return None
    return _Usual(float(np.quantile(agreements, USUAL)), float(np.quantile(standing, STANDS_OUT)))


def _central(
    looks: Sequence[Look], alike: NDArray[np.float64], standing: NDArray[np.float64], rules: Rules
) -> list[int]:
    """Choose few: of the half that stands out least the most central ones, none a near-duplicate of another."""
    plain = np.flatnonzero(standing <= np.median(standing))
    order = sorted(plain.tolist(), key=lambda place: (-beside(alike)[place], looks[place].reference_id))
    chosen: list[int] = []
    for place in order:
        if len(chosen) < rules.enrolled and all(alike[place, other] < rules.duplicate for other in chosen):
            chosen.append(place)
    return chosen


def _micro(value: float) -> int:
    return round(float(value) * MICRO)
