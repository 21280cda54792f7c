"""A world in which, from some capture on, a few products come as another world has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from booth.turns import Turned
from booth.world import Shot, World

POISON_MARK = "poison"  # of the facts of a unit that belongs to a run of damaged ones


@dataclass(frozen=True, slots=True)
class PartlyTurned(Turned):
    """From capture `at` on, products `numbers` are those of `then`; the same seed gives both worlds the same products.

    `mark` is a fact that such units have with the value `yes`.
    """

    numbers: frozenset[int] = frozenset()
    mark: str = "turned"

    def shot(self, index: int) -> Shot:
        """Return capture `index`: a function of the index, like that of any world."""
        if index < self.at or self.first.plan(index).number not in self.numbers:
            return self.first.shot(index)
        shot = self.then.shot(index)
        return dataclasses.replace(
            shot, truth=dataclasses.replace(shot.truth, facts={**shot.truth.facts, self.mark: "yes"})
        )


def redesign(seed: int, at: int, *, products: int, numbers: frozenset[int], damage_rate: float) -> PartlyTurned:
    """Return a world in which some products come in their next design from capture `at` on."""
    first = World(seed, products=products, damage_rate=damage_rate)
    then = World(seed, products=products, damage_rate=damage_rate, redesigned=1.0)
    return PartlyTurned(first, then, at, numbers, "turned")


def poisoning(seed: int, at: int, *, products: int, number: int, damage_rate: float) -> PartlyTurned:
    """Return a world in which every unit of one product is damaged from capture `at` on."""
    first = World(seed, products=products, damage_rate=damage_rate)
    return PartlyTurned(first, World(seed, products=products, damage_rate=1.0), at, frozenset({number}), POISON_MARK)
