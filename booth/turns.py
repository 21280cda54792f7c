"""A world that turns into another one while it runs: new designs, other light, other labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from booth.world import Picture, Shot, World
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
