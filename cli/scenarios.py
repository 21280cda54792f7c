"""What kind of day a run plays: how the world changes meanwhile, and what must be seen of it at the end.

Each scenario is one entry of `SCENARIOS`. What a scenario promises beyond the ordinary is judged by its own `judge`,
from the topics that were read back, the truth, and whatever of the line it wants to ask.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from booth.associate import Lies, honest
from booth.changes import POISON_MARK, poisoning, redesign
from booth.fading import Fading
from booth.station import Sent
from booth.turns import Goods, Mislabelled
from booth.world import Truth, World
from budget.config import BudgetConfig
from cli.checker.charge import Charge
from cli.checker.findings import Finding
from cli.checker.reading import Reading
from cli.drift import judge_drift
from cli.here import Line
from cli.learned import judge_poison, judge_redesign, learned
from cli.wrong_labels import judged
from schemas.words import MICRO

DAMAGE_RATE: Final = 0.04
ENDLESS: Final = 3_000  # captures that a run without an end counts as, where a scenario must know when to turn
MISLABELLED: Final = 0.05
FEW_PRODUCTS: Final = 12  # so that each comes along often enough to be learned in minutes
PEOPLE: Final = ("associate-1", "associate-2")
LIARS: Final = ("associate-3", "associate-4")
HASTY: Final = {"SIDELINE_GALLERY_SPREAD_S": "10", "SIDELINE_GALLERY_HOLD_S": "60"}  # hours in production
FLOOD_OFFSET: Final = 25 * MICRO  # raises every score above the ceiling, whatever the threshold has learned


class Scenario(enum.StrEnum):
    """What kind of day it is."""

    STEADY = "steady"
    FLOOD = "flood"
    WRONG_LABELS = "wrong-labels"
    REDESIGN = "redesign"
    POISON = "poison"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left when the playing is over."""

    reading: Reading  # everything on the site's topics
    charge: Charge
    sent: Mapping[str, Sent]  # by capture id: truth, and the capture's place in the world
    captures: int  # how many were to be played
    line: Line


Row = tuple[str, str, str]  # what, how many, and what that means: as in the summary's table


@dataclass(frozen=True, slots=True)
class Told:
    """What a scenario has to say at the end: rows for the summary, and what was not as promised."""

    rows: tuple[Row, ...] = ()
    findings: tuple[Finding, ...] = ()


async def nothing_more(_aftermath: Aftermath) -> Told:
    """Promise nothing beyond what every run promises."""
    return Told()


async def wrong_labels(aftermath: Aftermath) -> Told:
    """Wrong labels are found and named as such, right ones are not, and no wrong reference speaks of damage."""
    return Told(*judged(aftermath.reading, aftermath.sent))


async def redesign_learned(aftermath: Aftermath) -> Told:
    """New designs become references by agreement, and false alarms on them fall."""
    facts = await learned(aftermath.line, (each.truth.product_id for each in aftermath.sent.values()))
    return Told(*judge_redesign(aftermath.reading, aftermath.sent, facts))


async def poison_refused(aftermath: Aftermath) -> Told:
    """What an associate clears wrongly does not become a reference, and damage is found as before."""
    facts = await learned(aftermath.line, (each.truth.product_id for each in aftermath.sent.values()))
    return Told(*judge_poison(aftermath.reading, aftermath.sent, facts))


async def drift_followed(aftermath: Aftermath) -> Told:
    """False alarms are near alpha before and after the light faded."""
    alpha_ppm = aftermath.charge.terms.alpha
    return Told(*judge_drift(aftermath.reading, aftermath.sent, alpha_ppm=alpha_ppm, captures=aftermath.captures))


def lies_about_poison(who: str, truth: Truth) -> bool:
    """Two of three people clear the damaged units of the run: together they pass the rule that asks for two."""
    return who in LIARS and truth.facts.get(POISON_MARK) == "yes"


def roomy(config: BudgetConfig) -> BudgetConfig:
    """Return a budget under which three products that all look wrong at once do not use up everything."""
    return msgspec.structs.replace(config, alpha_ppm=60_000, burst_tokens=20, beta_ppm=120_000)


@dataclass(frozen=True, slots=True)
class Plot:
    """How a scenario is played and judged.

    `world` is given the seed and the number of captures; `budget` may change the demo's budget.
    """

    world: Callable[[int, int], Goods] = lambda seed, _captures: World(seed, damage_rate=DAMAGE_RATE)
    budget: Callable[[BudgetConfig], BudgetConfig] = lambda config: config
    env: Mapping[str, str] = field(default_factory=dict)  # of the workers
    people: tuple[str, ...] = ("associate-1",)
    lies: Lies = honest
    flood: bool = False  # scores no longer rank units, and the cap must bind
    judge: Callable[[Aftermath], Awaitable[Told]] = nothing_more


SCENARIOS: Final[Mapping[Scenario, Plot]] = {
    Scenario.STEADY: Plot(),
    Scenario.FLOOD: Plot(env={"SIDELINE_SCORE_OFFSET": str(FLOOD_OFFSET)}, flood=True),
    Scenario.WRONG_LABELS: Plot(
        world=lambda seed, _captures: Mislabelled(seed, mislabelled=MISLABELLED, damage_rate=DAMAGE_RATE),
        # The station has room for what is to be found: 5 % wrong items beside 4 % damage.
        budget=lambda config: msgspec.structs.replace(config, beta_ppm=120_000),
        judge=wrong_labels,
    ),
    Scenario.REDESIGN: Plot(
        world=lambda seed, captures: redesign(
            seed, captures // 4, products=FEW_PRODUCTS, numbers=frozenset({0, 4, 8}), damage_rate=DAMAGE_RATE
        ),
        budget=roomy,
        env=HASTY,
        people=PEOPLE,
        judge=redesign_learned,
    ),
    Scenario.POISON: Plot(
        world=lambda seed, captures: poisoning(
            seed, captures // 4, products=FEW_PRODUCTS, number=4, damage_rate=DAMAGE_RATE
        ),
        budget=roomy,
        env=HASTY,
        people=(PEOPLE[0], *LIARS),
        lies=lies_about_poison,
        judge=poison_refused,
    ),
    Scenario.DRIFT: Plot(
        world=lambda seed, captures: Fading(
            seed, begin=captures // 3, end=captures // 3 + captures // 12, damage_rate=DAMAGE_RATE
        ),
        judge=drift_followed,
    ),
}
