"""A capture's story in plain words: what was decided, why, from which evidence, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from budget.config import BudgetConfig
from cli.find import Found
from cli.identity_story import claim_words, identity_story
from cli.wording import disposition_line, identity_words, log_odds, moment, tokens, verdict_word
from evidence.calibration import Calibration
from evidence.fusion import fuse, words
from schemas.messages import Decision, Evidence, Identity
from schemas.words import KINDS, MICRO, Divert, Outcome

_HEADLINES: Final = {
    "pass": "Passed",
    "withheld": "Passed, though it looks damaged",
    "damage": "Sidelined for damage",
    "identity": "Sidelined: a wrong item?",
    "audit": "Passed, and audited",
    "undetermined": "Undetermined",
    "rejected": "Refused",
}
_REASONS: Final = {
    "no_token": "the false-alarm budget had no token left",
    "reserved": "the last tokens are kept for major damage",
    "diverts_full": "the station had as many units as it can take",
    "identity_conflict": "its sources of identity disagree",
    "identity_no_token": "its sources of identity disagree, but the budget for that had no token left",
    "late": "the evidence came after the deadline",
    "late_on_arrival": "it reached the inspector after its deadline",
}


@dataclass(frozen=True, slots=True)
class KindShare:
    """How likely one damage kind is, 0 to 1."""

    kind: str
    chance: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The accounts around a decision, in tokens."""

    burst: float
    balance_before: float
    pending_before: float
    balance_after: float
    pending_after: float


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that `explain` shows, in the order it shows it. `tone` is a key of `cli.wording.STYLES`."""

    tone: str
    headline: str
    why: str
    where: tuple[str, ...]
    score: float | None = None
    threshold: float | None = None
    terms: tuple[str, ...] = ()
    kinds: tuple[KindShare, ...] = ()
    identity: tuple[str, ...] = ()
    budget: Budget | None = None
    budget_words: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def tell(found: Found, *, calibration: Calibration | None, config: BudgetConfig | None) -> Story:
    """Tell what is known of a capture.

    `calibration` is the one at hand: where a decision was made with another, the parts of its score are left out.
    `config` is the budget in force at the decision, if it is still on record.
    """
    decision = found.decision
    if decision is None:
        return _without_decision(found)
    tone = verdict_word(decision)
    headline = _HEADLINES.get(tone, tone.capitalize())
    if decision.outcome == Outcome.REJECTED and found.refused is not None:
        why = f"{decision.reason}: {found.refused.message}"
    else:
        why = _why(decision)
    return Story(
        tone=tone,
        headline=headline,
        why=why,
        where=(
            f"unit {decision.unit_id}",
            f"{decision.station}, {decision.line}, site {decision.site}",
            f"captured {moment(decision.captured_at)} UTC, {decision.captured_at:%d %B %Y}",
        ),
        score=None if decision.score is None else decision.score / MICRO,
        threshold=None if decision.threshold is None else decision.threshold / MICRO,
        terms=_terms(decision, calibration),
        kinds=_kinds(decision.evidence),
        identity=_identity(decision, calibration),
        budget=_budget(decision, config),
        budget_words=tuple(_budget_words(decision, config)),
        verdicts=tuple(disposition_line(one).plain.removesuffix(found.capture_id).strip() for one in found.verdicts),
        times=_times(found, decision),
        versions=_versions(decision),
        ids=(
            f"capture {found.capture_id}",
            *([] if decision.seq is None else [f"decision {decision.seq} of the site"]),
        ),
    )


def _without_decision(found: Found) -> Story:
    capture = found.capture
    where = (
        () if capture is None else (f"unit {capture.unit_id}", f"{capture.station}, {capture.line}, site {found.site}")
    )
    if found.refused is not None:
        return Story("rejected", "Refused", f"{found.refused.reason}: {found.refused.message}", where)
    return Story("undetermined", "No outcome yet", "the capture is on its topic; no inspector has answered it", where)


def _why(decision: Decision) -> str:
    because = _REASONS.get(decision.reason, decision.reason.replace("_", " "))
    if decision.outcome != Outcome.DECIDED:
        return because.removesuffix(" away") + " was away" if because.endswith(" away") else because
    score = f"score {log_odds(decision.score)}"
    above = decision.score is not None and decision.threshold is not None and decision.score >= decision.threshold
    compared = f"{score} {'reaches' if above else 'is below'} the threshold of {log_odds(decision.threshold)}"
    if decision.divert == Divert.IDENTITY or (not above and decision.reason.startswith("identity")):
        return f"{because}; {compared}"
    if decision.withheld:
        return f"{compared}, but {because}"
    if decision.divert == Divert.AUDIT:
        return f"{compared}; drawn by lot for a second look, at {decision.audit_ppm / 10_000:g} % of all passes"
    return compared


def _terms(decision: Decision, calibration: Calibration | None) -> tuple[str, ...]:
    if decision.evidence is None:
        return ()
    made_with = decision.versions.fusion if decision.versions else ""
    if calibration is None or calibration.version != made_with:
        return (f"made with calibration {made_with}, which is not at hand: its parts cannot be shown",)
    identity = decision.identity or Identity()
    lines = words(decision.evidence, identity, calibration)
    if decision.score is not None and (added := decision.score - fuse(decision.evidence, identity, calibration)):
        lines.append(f"{log_odds(added)} added by hand while trying things out (SIDELINE_SCORE_OFFSET)")
    return tuple(line[:1].upper() + line[1:] for line in lines)


def _kinds(evidence: Evidence | None) -> tuple[KindShare, ...]:
    if evidence is None:
        return ()
    logits = zip(KINDS, evidence.kinds, strict=False)
    shares = [KindShare(kind.value.replace("_", " "), 1 / (1 + math.exp(-_bounded(logit)))) for kind, logit in logits]
    return tuple(sorted(shares, key=lambda one: -one.chance))


def likely_kinds(evidence: Evidence | None) -> list[str]:
    """Return the damage kinds that are likelier than not, likeliest first."""
    return [share.kind for share in _kinds(evidence) if share.chance > 0.5]  # noqa: PLR2004


def _bounded(logit: int) -> float:
    return max(-40.0, min(40.0, logit / MICRO))


def _identity(decision: Decision, calibration: Calibration | None) -> tuple[str, ...]:
    identity = decision.identity
    if identity is None:
        return ("not looked at: there was no time or no picture for it",)
    known = (
        calibration is not None and decision.versions is not None and calibration.version == decision.versions.fusion
    )
    why = identity_story(identity, calibration.limits if calibration is not None and known else None)
    return (identity_words(identity), *why, *map(claim_words, identity.claims))


def _budget(decision: Decision, config: BudgetConfig | None) -> Budget | None:
    accounts = (decision.balance_before, decision.pending_before, decision.balance_after, decision.pending_after)
    known = [account / MICRO for account in accounts if account is not None]
    if len(known) < len(accounts):
        return None
    burst = (
        float(config.burst_tokens) if config is not None else max(1.0, math.ceil(max(sum(known[:2]), sum(known[2:]))))
    )
    return Budget(burst, *known)


def _budget_words(decision: Decision, config: BudgetConfig | None) -> list[str]:
    if decision.balance_before is None:
        return []
    lines = [
        f"before: {tokens(decision.balance_before)} tokens, {tokens(decision.pending_before)} waiting for verdicts",
        f"after: {tokens(decision.balance_after)} tokens, {tokens(decision.pending_after)} waiting for verdicts",
    ]
    if config is not None:
        lines.append(
            f"at most {config.burst_tokens} false alarms + {config.alpha_ppm / 10_000:g} % of the decisions in any run"
        )
    return lines


def _times(found: Found, decision: Decision) -> tuple[str, ...]:
    decided_ms = decision.decided_at.timestamp() * 1000
    left_ms = decision.decide_by.timestamp() * 1000 - decided_ms
    margin = f"{left_ms:.0f} ms before its deadline" if left_ms >= 0 else f"{-left_ms:.0f} ms after its deadline"
    lines = [f"decided {moment(decision.decided_at)} UTC, {margin}"]
    if found.append_ms is not None:
        lines.insert(0, f"{decided_ms - found.append_ms:.0f} ms from the broker's append to the decision")
    redriven = [
        f"rejected {moment(one.rejected_at)} UTC for {one.reason}, then redriven" for one in decision.rejections
    ]
    return (*redriven, *lines)


def _versions(decision: Decision) -> tuple[str, ...]:
    if decision.versions is None:
        return ()
    made = decision.versions
    return (
        f"software {made.software}",
        f"classifier {made.classifier}",
        f"embedding {made.embedding}",
        f"fusion {made.fusion}",
    )
