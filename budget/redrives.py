"""Permission to decide a rejected capture once more. It lives in the store, so nothing that travels can forge it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from budget.link import Argument

REDRIVE_LIMIT: Final = 3  # a message that was redriven so often and failed each time is poison
GRANT_MS: Final = 3_600_000  # long enough for a backlog of minutes; what is not used by then ends by itself


class Answer(enum.StrEnum):
    """What became of asking for permission."""

    GRANTED = "granted"  # now or by an earlier call that was not used yet
    ANSWERED = "answered"  # the capture has an outcome that is no rejection
    SUPERSEDED = "superseded"  # it was rejected again since: that rejection has a dead letter of its own
    LIMIT = "limit"
    TOO_OLD = "too_old"
    OTHER_CONTENT = "other_content"  # the id is on record with other bytes
    UNRECORDED = "unrecorded"  # nothing is on record: past the horizon, or a store that was not restored


@dataclass(frozen=True, slots=True)
class Permission:
    """The answer, and how often the capture was redriven before."""

    answer: Answer
    redrives: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejection as its dead letter tells it. `digest` is the SHA-256 of the capture's bytes.

    `rejected_at` is the time as text exactly as it is on record, which tells this rejection from a later one.
    """

    capture_id: str
    digest: str
    rejected_at: str

    def arguments(self, for_ms: int) -> tuple[Argument, ...]:
        """Return what the script takes."""
        return self.capture_id, self.digest, self.rejected_at, REDRIVE_LIMIT, for_ms


@dataclass(frozen=True, slots=True)
class Resent:
    """How often a dead letter without a recorded outcome was sent again, and when last (Unix ms)."""

    times: int
    at_ms: int
