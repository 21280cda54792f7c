"""What a simulation needs of each decision, and how the decisions are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from budget.records import Request
from cli.replay.recompute import milliseconds, request_of, rescored
from evidence.calibration import Calibration
from schemas.faults import Fatal
from schemas.messages import Decision
from schemas.words import Divert


@dataclass(frozen=True, slots=True)
class Row:
    """One decided capture: the request as it was, what was decided, and the score that another calibration gives it."""

    seq: int
    decided_ms: int
    request: Request
    rescore: int
    rescored_by: str
    divert: Divert
    withheld: bool
    reason: str
    threshold: int
    balance_before: int
    audit_ppm: int
    config_version: int

    @property
    def capture_id(self) -> str:
        """Which capture."""
        return self.request.capture_id

    @property
    def decided_at(self) -> datetime:
        """When it was decided, to the millisecond."""
        return datetime.fromtimestamp(self.decided_ms / 1000, UTC)

    @property
    def score(self) -> int:
        """The score on record."""
        return self.request.score or 0

    @property
    def passed(self) -> bool:
        """Whether it went on, perhaps after an audit, and so was seen by a person only by lot."""
        return self.divert in {Divert.NONE, Divert.AUDIT}


def row_of(decision: Decision, other: Calibration | None) -> Row | None:
    """Return a decision's row, scored anew by `other` if it is given; None for one that was not decided from a score.

    Raises:
        Fatal: the evidence was made by other models than `other` was measured with.
        ValueError: the record does not hold together; `sideline replay` without changes names it.
    """
    if decision.seq is None:
        return None
    if decision.score is None or decision.threshold is None or decision.versions is None:
        raise ValueError("it has a seq and no score, threshold or versions")
    made = decision.versions
    request = request_of(decision, score=decision.score, fusion=made.fusion)
    score, fusion = decision.score, made.fusion
    if other is not None:
        other.check(classifier=made.classifier, embedding=made.embedding)
        again = rescored(decision, other)
        if again is None:
            raise Fatal(f"capture {decision.capture_id} has a score and no evidence, so that it cannot be scored anew")
        score, fusion = again, other.version
    return Row(
        seq=decision.seq,
        decided_ms=milliseconds(decision.decided_at),
        request=request,
        rescore=score,
        rescored_by=fusion,
        divert=decision.divert,
        withheld=decision.withheld,
        reason=decision.reason,
        threshold=decision.threshold,
        balance_before=decision.balance_before or 0,
        audit_ppm=decision.audit_ppm,
        config_version=decision.config_version or 0,
    )


def in_sequence(rows: Iterable[Row]) -> list[Row]:
    """Return the rows by `seq`, each once."""
    return [row for _, row in sorted({row.seq: row for row in rows}.items())]
