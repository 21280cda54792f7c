"""A world that turns into another one while it runs: new designs, other light, other labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from booth.catalogue import PrintedCode, Spec
from booth.draws import Domain, draws
from booth.world import Picture, Plan, PlannedScan, Shot, World
from schemas.messages import Product


class Goods(Protocol):
    """What a station plays: a catalogue, its references, and an endless row of captures."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that the captures come from."""

    def products(self) -> list[Product]:
        """List the catalogue."""

    def reference_ids(self) -> list[str]:
        """List the ids of all references."""

    def references(self) -> Iterator[tuple[str, str, tuple[Picture, ...]]]:
        """Yield reference id, product id and pictures of every reference."""

    def shot(self, index: int) -> Shot:
        """Return capture `index`."""


@dataclass(frozen=True, slots=True)
class Turned:
    """Captures below `at` are those of `first`, the others those of `then`; catalogue and references are `first`'s."""

    first: World
    then: World
    at: int

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that the captures come from."""
        return self.first.lines

    def products(self) -> list[Product]:
        """List the catalogue."""
        return self.first.products()

    def reference_ids(self) -> list[str]:
        """List the ids of all references."""
        return self.first.reference_ids()

    def references(self) -> Iterator[tuple[str, str, tuple[Picture, ...]]]:
        """Yield reference id, product id and pictures of every reference."""
        return self.first.references()

    def shot(self, index: int) -> Shot:
        """Return capture `index`: a function of the index, like that of any world."""
        return (self.first if index < self.at else self.then).shot(index)


class Mislabelled(World):
    """A world in which some units carry another product's code.

    Half of them have a sticker that the scanner reads, and their own code in print if there is one; on the other half
    the code in print is the other product's as well, so that nothing but looks can tell. `Truth.facts["label"]` says
    `right`, `sticker` or `print`. All else, each pixel beside the codes included, is as in the world without.
    """

    def __init__(self, seed: int, *, mislabelled: float, products: int = 40, damage_rate: float = 0.04) -> None:
        super().__init__(seed, products=products, damage_rate=damage_rate, scan_wrong=0.0)
        if products < 2:
            raise ValueError("a wrong label needs a second product")
        self._share, self._products, self._key = mislabelled, products, seed

    def plan(self, index: int) -> Plan:
        """Say what capture `index` will be; where the print is another product's, so are the codes of its product."""
        plan = super().plan(index)
        kind, other = self._label(index, plan.number)
        if kind != "print":
            return plan
        return dataclasses.replace(plan, product=_with_codes_of(other, plan.product))

    def shot(self, index: int) -> Shot:
        """Return capture `index`, and the wrong code in its scan where it carries one: every wrong label is read."""
        shot, number = super().shot(index), super().plan(index).number
        kind, other = self._label(index, number)
        truth = dataclasses.replace(shot.truth, wrong_label=kind != "right", facts={**shot.truth.facts, "label": kind})
        if kind == "right":
            return dataclasses.replace(shot, truth=truth)
        delay_s = 0.0 if shot.scan is None else shot.scan.delay_s
        return dataclasses.replace(shot, truth=truth, scan=PlannedScan(other.product_id, "EAN13", delay_s))

    def _label(self, index: int, number: int) -> tuple[str, Spec]:
        """Draw the kind of label, and whose it is where it is wrong."""
        rng = draws(Domain.LABELS, self._key, index, 1)
        wrong, printed, other = rng.random(), rng.random(), int(rng.integers(1, self._products))
        kind = "right" if wrong >= self._share else "print" if printed < 0.5 else "sticker"
        return kind, self.spec((number + other) % self._products)


def _with_codes_of(other: Spec, product: Spec) -> Spec:
    """Return a product whose print shows the codes of another one, in the same places and symbologies."""
    codes = tuple(
        PrintedCode(
            f"(01)0{other.product_id}" if code.symbology == "DataMatrix" else other.product_id,
            code.symbology,
            code.on_top,
        )
        for code in product.codes
    )
    return dataclasses.replace(product, codes=codes)
