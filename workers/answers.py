"""From findings to a request for the one decision, and from its record to the counters."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from budget.heads import render_head
from budget.records import Record, Request
from evidence.calibration import Calibration
from schemas.codec import decode
from schemas.messages import Capture, Decision, DecisionHead, Evidence, Identity, SidelinedHead, Versions
from schemas.words import KINDS, MICRO, DamageKind, Divert, Outcome, Severity
from telemetry.metrics import METRICS

NAMED_FROM: Final = 0  # log-odds from which a damage kind is named to people: more likely than not


@dataclass(frozen=True, slots=True)
class Arrival:
    """A capture that was read and may be decided. Times are Unix milliseconds."""

    capture: Capture
    digest: str
    append_ms: int
    decide_by_ms: int


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything known about a capture when its score is made."""

    evidence: Evidence
    identity: Identity


@dataclass(frozen=True, slots=True)
class Served:
    """Which models answer, as `<model>:<version>`."""

    classifier: str
    embedding: str


class Answers:
    """Renders what is recorded with an outcome."""

    def __init__(self, *, calibration: Calibration, served: Served, audit_key: str) -> None:
        """Take what makes the evidence, and the secret that makes audits unpredictable."""
        self._fusion_version = calibration.version
        self._audit_key = audit_key.encode()
        self._versions = Versions(
            software=version("sideline"),
            classifier=served.classifier,
            embedding=served.embedding,
            fusion=calibration.version,
        )
        for part in ("software", "classifier", "embedding", "fusion"):
            METRICS.version.labels(part=part, version=getattr(self._versions, part)).set(1)

    def decided(self, arrival: Arrival, findings: Findings, *, score: int, score_offset: int = 0) -> Request:
        """Ask for a decision from a score in micro-log-odds, of which `score_offset` was added by hand."""
        evidence, identity = findings.evidence, findings.identity
        return self._request(
            arrival,
            Outcome.DECIDED,
            findings=findings,
            score=score,
            score_offset=score_offset,
            major=evidence.major,
            identity_conflict=identity.conflict,
        )

    def without_score(self, arrival: Arrival, ask: Outcome, reason: str) -> Request:
        """Ask for `undetermined` or `rejected`."""
        return self._request(arrival, ask, reason=reason)

    def _request(
        self,
        arrival: Arrival,
        ask: Outcome,
        *,
        reason: str = "",
        findings: Findings | None = None,
        score: int | None = None,
        score_offset: int = 0,
        major: bool = False,
        identity_conflict: bool = False,
    ) -> Request:
        capture = arrival.capture
        uris = [view.uri for view in capture.views]
        evidence = None if findings is None else findings.evidence
        identity = None if findings is None else findings.identity
        draw_ppm = self._draw_ppm(capture.capture_id)
        head = DecisionHead(
            capture_id=capture.capture_id,
            site=capture.site,
            line=capture.line,
            station=capture.station,
            unit_id=capture.unit_id,
            captured_at=capture.captured_at,
            views=uris,
            identity=identity,
            evidence=evidence,
            versions=None if findings is None else self._versions,
            score_offset=score_offset or None,
            audit_draw_ppm=None if score is None else draw_ppm,
        )
        side = SidelinedHead(
            capture_id=capture.capture_id,
            site=capture.site,
            line=capture.line,
            station=capture.station,
            unit_id=capture.unit_id,
            product_id=None if identity is None else identity.product_id,
            views=uris,
            kinds=[] if evidence is None else _named(evidence),
            severity=Severity.UNKNOWN if evidence is None else evidence.severity,
            claims=identity.claims if identity is not None and identity.conflict else [],
            pictures=capture.views,
        )
        return Request(
            site=capture.site,
            line=capture.line,
            capture_id=capture.capture_id,
            unit_id=capture.unit_id,
            digest=arrival.digest,
            append_ms=arrival.append_ms,
            decide_by_ms=arrival.decide_by_ms,
            ask=ask,
            reason=reason,
            score=score,
            major=major,
            identity_conflict=identity_conflict,
            audit_draw_ppm=draw_ppm,
            recheck_draw_ppm=self._draw_ppm("recheck:" + capture.capture_id),
            fusion_version=self._fusion_version,
            decision_head=render_head(head),
            sidelined_head=render_head(side),
        )

    def _draw_ppm(self, about: str) -> int:
        """Return a keyed hash of a capture id, uniform in 0..999999: no one without the key can foresee an audit."""
        digest = hmac.digest(self._audit_key, about.encode(), hashlib.sha256)
        return int.from_bytes(digest[:8], "big") * MICRO >> 64


def count(record: Record) -> None:
    """Count a new outcome in the metrics."""
    decision = decode(Decision, record.decision)
    place = {"site": decision.site, "line": decision.line}
    reason = decision.reason if decision.outcome is not Outcome.DECIDED else decision.divert.value
    METRICS.outcomes.labels(**place, outcome=decision.outcome.value, reason=reason).inc()
    if decision.divert is not Divert.NONE:
        METRICS.diverts.labels(**place, divert=decision.divert.value).inc()
    if decision.withheld:
        METRICS.withheld.labels(**place).inc()
    if decision.identity is not None:
        METRICS.identities.labels(site=decision.site, method=decision.identity.method.value).inc()
        if decision.identity.conflict:
            METRICS.conflicts.labels(site=decision.site, divert=decision.divert.value).inc()
    if decision.seq is not None:
        METRICS.sequence.labels(site=decision.site).set(decision.seq)
        METRICS.balance.labels(site=decision.site).set((decision.balance_after or 0) / MICRO)
        METRICS.pending.labels(site=decision.site).set((decision.pending_after or 0) / MICRO)
        METRICS.threshold.labels(site=decision.site).set((decision.threshold or 0) / MICRO)


def _named(evidence: Evidence) -> list[DamageKind]:
    """Return the likely kinds, likeliest first."""
    likely = [(logit, kind) for kind, logit in zip(KINDS, evidence.kinds, strict=True) if logit > NAMED_FROM]
    return [kind for _, kind in sorted(likely, reverse=True)]
