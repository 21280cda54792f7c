"""Decisions and dispositions as they come from the topics, for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from feedback.labels import Heard, Stop
from schemas.codec import new_uuid7
from schemas.messages import Decision, Disposition, Identity
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome, Verdict

SITE = "fra3"
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
TIMEOUT_MS = 8 * 3_600_000
_numbers = count(1)


def decision(
    divert: Divert = Divert.DAMAGE,
    *,
    at_s: float = 0.0,
    product: str | None = "p1",
    **changes: Any,  # noqa: ANN401 - fields of many types
) -> Decision:
    """Return a decision taken `at_s` seconds after the start."""
    number = next(_numbers)
    decided_at = START + timedelta(seconds=at_s)
    fields: dict[str, Any] = {
        "capture_id": new_uuid7(at_ms=START_MS + number, random_bits=number),
        "site": SITE,
        "line": "line-1",
        "station": "station-1",
        "unit_id": f"unit-{number}",
        "captured_at": decided_at,
        "identity": product and Identity(product_id=product, method=IdentityMethod.SCAN, confidence_ppm=MICRO),
        "outcome": Outcome.DECIDED,
        "action": Action.SIDELINE if divert in {Divert.DAMAGE, Divert.IDENTITY} else Action.PASS,
        "divert": divert,
        "seq": number,
        "audit_ppm": 2_000,
        "config_version": 1,
        "decide_by": decided_at + timedelta(seconds=3),
        "decided_at": decided_at,
    }
    return Decision(**{**fields, **changes})


def stop(divert: Divert = Divert.DAMAGE, **changes: Any) -> Stop:  # noqa: ANN401 - fields of many types
    """Return a divert without verdicts."""
    return Stop(decision(divert, **changes), TIMEOUT_MS)


def said(
    verdict: Verdict,
    about: Stop | None = None,
    *,
    at_s: float = 60.0,
    **changes: Any,  # noqa: ANN401 - fields of many types
) -> Heard:
    """Return a verdict that the broker got `at_s` seconds after the start."""
    fields: dict[str, Any] = {
        "disposition_id": f"said-{next(_numbers)}",
        "site": SITE,
        "associate_id": "anna",
        "judged_at": START + timedelta(seconds=at_s),
        "verdict": verdict,
        "capture_id": about and about.decision.capture_id,
    }
    return Heard(Disposition(**{**fields, **changes}), START_MS + round(at_s * 1000))
