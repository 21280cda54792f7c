"""What a history is made of: moments in order of time, and sentences that say where the capture stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Source(enum.StrEnum):
    """Where a moment was found."""

    CAPTURES = "captures"
    SCANS = "scans"
    STORE = "store"
    DECISIONS = "decisions"
    SIDELINED = "sidelined"
    DISPOSITIONS = "dispositions"
    DEAD = "dead"
    REFERENCES = "references"
    EPCIS = "epcis"
    LOG = "log"


class Mark(enum.StrEnum):
    """How a sentence or a moment is meant."""

    PLAIN = "plain"
    WAITING = "waiting"  # nothing is wrong yet
    WRONG = "wrong"  # a promise is broken, or somebody broke a rule


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `at_ms` is Unix time by the clock of where it was found: broker, store or worker."""

    at_ms: float
    source: Source
    what: str
    place: str = ""  # `captures-3@1234`, or the part whose log says so
    mark: Mark = Mark.PLAIN


@dataclass(frozen=True, slots=True)
class Standing:
    """One sentence on where a capture stands."""

    words: str
    mark: Mark = Mark.PLAIN


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is known of a capture; `moments` are in order of time."""

    capture_id: str
    site: str
    standings: tuple[Standing, ...]
    moments: tuple[Moment, ...]
    left_out: int = 0  # log lines beyond those shown

    @property
    def begins_ms(self) -> float:
        """The first delivery, else the first thing known."""
        delivered = [one.at_ms for one in self.moments if one.source is Source.CAPTURES]
        return min(delivered or [one.at_ms for one in self.moments], default=0.0)
