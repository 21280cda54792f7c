"""What a run is judged by: the truth, the terms it was promised, and what was done to it on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.checker.tokens import Accounts, Terms


@dataclass(frozen=True, slots=True)
class Known:
    """What the booth knows about a capture."""

    damaged: bool
    product_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that was taken away on purpose, from when until the line had caught up again (broker ms)."""

    what: str
    from_ms: int
    to_ms: int

    def explains(self, appended_ms: int, deadline_ms: int) -> bool:
        """Whether a capture lived through a piece of the outage."""
        return appended_ms <= self.to_ms and deadline_ms >= self.from_ms


@dataclass(frozen=True, slots=True)
class Charge:
    """What a run is held to besides the promises: its truth, its terms, and what was done to it."""

    truth: Mapping[str, Known]
    terms: Terms
    flood: bool = False
    outages: tuple[Outage, ...] = ()
    opening: Accounts | None = None
    closing: Accounts | None = None
    restored: frozenset[int] = frozenset()  # the last seq before each time the store was lost and restored
