"""What becomes of a dead letter that is to be sent again, in words."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from budget.redrives import REDRIVE_LIMIT, Answer


class Fate(enum.StrEnum):
    """Why a letter is not sent, or what came of sending it."""

    WOULD_BE_SENT = "would be sent"
    SENT = "sent"
    DECIDED = "decided"
    UNDETERMINED = "undetermined"
    REJECTED_AGAIN = "rejected again"
    NO_ANSWER = "no answer yet"
    NOT_TRIED = "not tried"
    ALREADY = "sent before"
    ANSWERED = "answered"
    SUPERSEDED = "superseded"
    LIMIT = "poison"
    TOO_OLD = "too old"
    HOPELESS = "hopeless"
    OTHER_CONTENT = "other content"
    UNRECORDED = "not on record"
    NO_INPUT = "no input"
    TOO_LARGE = "too large"

    @property
    def words(self) -> str:
        """Say it to whoever asked."""
        return _WORDS[self]


_WORDS: Final = {
    Fate.WOULD_BE_SENT: "would be sent again",
    Fate.SENT: "sent again; if it fails again it comes back as a dead letter",
    Fate.DECIDED: "decided; the decision tells what it was rejected for",
    Fate.UNDETERMINED: "undetermined: its time was over; that is its outcome now",
    Fate.REJECTED_AGAIN: "rejected again; it has a new dead letter",
    Fate.NO_ANSWER: "sent again, and no inspector has answered yet: sideline status, then run the same again",
    Fate.NOT_TRIED: "not tried, because no inspector answers: sideline status, then run the same again",
    Fate.ALREADY: "this letter was sent again before: --again sends it once more",
    Fate.ANSWERED: "its capture has an answer by now, which stays",
    Fate.SUPERSEDED: "its capture was rejected again since: redrive the newer letter",
    Fate.LIMIT: f"redriven {REDRIVE_LIMIT} times and failed each time: it is poison, mend it at its source",
    Fate.TOO_OLD: "its capture is too old: an answer could not be kept long enough to be the only one",
    Fate.HOPELESS: "the same bytes can never succeed",
    Fate.OTHER_CONTENT: "its id is on record with other bytes, which count",
    Fate.UNRECORDED: "its rejection is not on record: its time is over, or the store lost it (sideline restore)",
    Fate.NO_INPUT: "its headers name no input topic of this site: only what came from outside is sent again",
    Fate.TOO_LARGE: "with its count of redrives it is larger than its topic takes: have it sent by its source",
}
OF_ANSWER: Final = {
    Answer.ANSWERED: Fate.ANSWERED,
    Answer.SUPERSEDED: Fate.SUPERSEDED,
    Answer.LIMIT: Fate.LIMIT,
    Answer.TOO_OLD: Fate.TOO_OLD,
    Answer.OTHER_CONTENT: Fate.OTHER_CONTENT,
    Answer.UNRECORDED: Fate.UNRECORDED,
}
UNFINISHED: Final = frozenset({Fate.NO_ANSWER, Fate.NOT_TRIED})


@dataclass(frozen=True, slots=True)
class Told:
    """A fate, and what is particular about it."""

    fate: Fate
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.fate.words} ({self.detail})" if self.detail else self.fate.words
