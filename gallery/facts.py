"""What the gallery knows of a reference beside its pictures: where it stands in its life, since when, and why."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

HISTORY: Final = 8  # steps kept of a life; what withdrew or promoted it by hand is also on the references topic


class State(enum.StrEnum):
    """Where a reference stands in its life. Inspectors hold the trusted and the fading ones."""

    CANDIDATE = "candidate"  # a person cleared the capture; nothing is compared with it yet
    TRUSTED = "trusted"
    FADING = "fading"  # still compared with, though it has long been nobody's nearest
    RETIRED = "retired"  # kept, and searched by nobody; may come back
    WITHDRAWN = "withdrawn"  # its vectors and patch maps are gone

    @property
    def held(self) -> bool:
        """Whether inspectors compare captures with it."""
        return self in {State.TRUSTED, State.FADING}


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One change in the life of a reference."""

    state: State
    at_ms: int
    why: str


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reference as people see it.

    `figures` are those of the check that let it in: counts, or millionths where the name ends in `_micro`.
    """

    product_id: str
    source: str
    enrolled_ms: int
    uris: tuple[str, ...]
    state: State = State.TRUSTED
    model_version: str = ""
    digest: str = ""  # of the content that was enrolled
    site: str = ""  # of the capture that it was, as are the next three
    capture_id: str = ""
    unit_id: str = ""
    associate_id: str = ""  # who cleared it
    beside: tuple[str, ...] = ()  # the candidates that spoke for it
    figures: dict[str, int] = {}
    history: tuple[Step, ...] = ()

    @property
    def since_ms(self) -> int:
        """When it came to stand where it stands."""
        return self.history[-1].at_ms if self.history else self.enrolled_ms

    @property
    def why(self) -> str:
        """Why it stands where it stands."""
        return self.history[-1].why if self.history else self.source

    def moved(self, state: State, *, at_ms: int, why: str) -> Facts:
        """Return the facts after one more step."""
        return msgspec.structs.replace(self, state=state, history=(*self.history, Step(state, at_ms, why))[-HISTORY:])
