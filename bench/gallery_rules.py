"""What the rules of promotion let in and keep out, on captures of the booth.

    python -m bench.gallery_rules --products 10 --trials 2

renders, for each product tried, intact and damaged units in the design of its references and in the next one, lets
people clear some and find damage in others, and counts how often something is enrolled. The shipped embedding model and
the rules are those of the line; the cohort is the eight most alike of 40 products.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from booth.world import Picture, World
from evidence.discrepancy import quantise
from gallery.entry import Reference
from gallery.likeness import nearest, similar
from gallery.rules import Neighbour, Rules, rule
from gallery.seen import Look, Seen, Sighting
from training.evaluation.models import Pair
from training.evaluation.source import RawView, prepare

SEED: Final = 7
CATALOGUE: Final = 40
COHORT: Final = 8
UNITS: Final = 8  # of each kind and product
RULES: Final = Rules(spread_s=1)
WORLDS: Final = {
    "old": World(SEED, damage_rate=0.0),
    "new": World(SEED, damage_rate=0.0, redesigned=1.0),
    "old damaged": World(SEED, damage_rate=1.0),
    "new damaged": World(SEED, damage_rate=1.0, redesigned=1.0),
}
STORIES: Final[Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]]] = {  # cleared by two people; found damaged
    "a redesign, 5 cleared": ({"new": 5}, {}),
    "a redesign, 8 cleared": ({"new": 8}, {}),
    "a redesign, 5 cleared, 1 of the new design found damaged": ({"new": 5}, {"new damaged": 1}),
    "a redesign, 8 cleared, 4 of the new design found damaged": ({"new": 8}, {"new damaged": 4}),
    "a redesign, 6 cleared, 3 of the old design found damaged": ({"new": 6}, {"old damaged": 3}),
    "no redesign, 8 cleared": ({"old": 8}, {}),
    "poison: 5 damaged cleared": ({"old damaged": 5}, {}),
    "poison: 8 damaged cleared": ({"old damaged": 8}, {}),
    "poison: 5 damaged of a new design cleared": ({"new damaged": 5}, {}),
    "poison: 5 damaged cleared, 3 found": ({"old damaged": 5}, {"old damaged": 3}),
}


class Gallery:
    """Looks of the booth's units through the shipped embedding model."""

    def __init__(self) -> None:
        self._models = Pair(Path("triton_models"))
        self._of_kind: dict[tuple[int, str], list[Look]] = {}
        self.references = {
            number: [self._look(f"r-{number}-{copy}", WORLDS["old"].reference(number, copy)) for copy in range(2)]
            for number in range(CATALOGUE)
        }

    def units(self, number: int, kind: str) -> list[Look]:
        """Return the looks of units of a product that came along in one of the worlds."""
        if (number, kind) not in self._of_kind:
            world, first = WORLDS[kind], UNITS * list(WORLDS).index(kind)
            indices = [index for index in range(4_000) if world.plan(index).number == number][first : first + UNITS]
            looks = [self._look(f"{kind} {index}", world.shot(index).pictures) for index in indices]
            self._of_kind[number, kind] = looks
        return self._of_kind[number, kind]

    def cohort(self, number: int) -> list[Neighbour]:
        """Return the other products that look most like this one."""
        own = self.references[number][0]
        others = [each for each in self.references if each != number]
        alike = sorted(others, key=lambda each: -similar(own, self.references[each][0]))[:COHORT]
        return [Neighbour(str(each), self.references[each]) for each in alike]

    def _look(self, name: str, pictures: Sequence[Picture]) -> Look:
        views = [RawView(each.jpeg, each.depth_png) for each in pictures]
        return Look(name, quantise(self._models.embed(prepare(views, codes=False).pixels).patches))


def told(look: Look, number: int, *, cleared: bool) -> Sighting:
    """Return what one of two people said of a capture."""
    who = ("ann", "bob")[number % 2]
    seen = Seen(Reference("p", b"", b""), cleared, 1_000 * number, "s", look.reference_id, look.reference_id, who, "v")
    return Sighting(look, seen)


def drawn(looks: list[Look], count: int, rng: np.random.Generator, *, last: bool) -> list[Look]:
    """Draw some looks; what is cleared and what is found damaged come from opposite ends of one shuffle."""
    order = rng.permutation(len(looks)).tolist()
    return [looks[place] for place in (order[-count:] if last else order[:count])]


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=10)
    parser.add_argument("--trials", type=int, default=2)
    said = parser.parse_args()
    gallery = Gallery()
    products = range(0, CATALOGUE, max(1, CATALOGUE // said.products))
    print("patch similarity to the candidates' kind minus that to the references; 5 %, half, 95 % of units")  # noqa: T201
    for kind in WORLDS:
        gains = [
            nearest(look, [each for each in gallery.units(number, kind) if each is not look])
            - nearest(look, gallery.references[number])
            for number in products
            for look in gallery.units(number, kind)
        ]
        print(f"  {kind:12s}", np.round(np.quantile(gains, [0.05, 0.5, 0.95]), 3).tolist())  # noqa: T201
    for story, (cleared, found) in STORIES.items():
        rng = np.random.default_rng(SEED)
        answers: Counter[str] = Counter()
        for number in products:
            for _ in range(said.trials):
                state = rng.bit_generator.state
                good = [
                    each
                    for kind, count in cleared.items()
                    for each in drawn(gallery.units(number, kind), count, rng, last=False)
                ]
                rng.bit_generator.state = state  # the same shuffle, from its other end
                bad = [
                    each
                    for kind, count in found.items()
                    for each in drawn(gallery.units(number, kind), count, rng, last=True)
                ]
                sightings = [told(look, place, cleared=True) for place, look in enumerate(good)]
                sightings += [told(look, len(good) + place, cleared=False) for place, look in enumerate(bad)]
                ruling = rule(sightings, gallery.references[number], gallery.cohort(number), RULES)
                answers["enrolled" if ruling.enrol else ruling.why] += 1
        print(f"{answers['enrolled']:3d} of {answers.total()}  {story}")  # noqa: T201
        for why, count in answers.most_common():
            if why != "enrolled":
                print(f"          {count:3d}  {why}")  # noqa: T201


if __name__ == "__main__":
    main()
