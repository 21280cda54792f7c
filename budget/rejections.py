"""Rejections on record, rebuilt from dead letters: no decision tells of them, and they must not be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from budget.heads import render_head
from budget.link import Argument
from schemas.codec import rfc3339
from schemas.messages import Capture, DecisionHead, Rejection
from schemas.words import Action, Divert, Outcome


@dataclass(frozen=True, slots=True)
class RejectedCapture:
    """A capture with the SHA-256 of its bytes, and reason and time of each of its rejections, the oldest first."""

    capture: Capture
    digest: str
    times: tuple[tuple[datetime, str], ...]

    @property
    def capture_id(self) -> str:
        """Which capture."""
        return self.capture.capture_id

    def arguments(self) -> tuple[Argument, ...]:
        """Return what the script takes. When somebody had it worked on once more is forgotten, how often is not."""
        *before, (at, reason) = self.times
        chain = [Rejection(reason=why, rejected_at=when) for when, why in before]
        told = msgspec.json.encode(chain) if chain else b""
        return round(at.timestamp() * 1000), self.digest, self._decision(reason, at, chain), told, len(chain)

    def _decision(self, reason: str, at: datetime, chain: list[Rejection]) -> bytes:
        """Render the record, which nobody is sent; its time is the text that the dead letter has."""
        capture = self.capture
        head = DecisionHead(
            capture_id=capture.capture_id,
            site=capture.site,
            line=capture.line,
            station=capture.station,
            unit_id=capture.unit_id,
            captured_at=capture.captured_at,
            views=[view.uri for view in capture.views],
        )
        tail = {"outcome": Outcome.REJECTED, "action": Action.NONE, "divert": Divert.NONE, "reason": reason}
        times = {"decide_by": rfc3339(at), "decided_at": rfc3339(at)}
        rest = {**tail, **({"rejections": chain} if chain else {}), **times}
        return b",".join((render_head(head), msgspec.json.encode(rest)[1:]))
