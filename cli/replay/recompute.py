"""One decision made again from what its record holds, and what comes out differently.

The fused score comes from the recorded evidence and the recorded calibration, the rest from `budget.model`, put into
the state that the record says it found. Equal means equal in every bit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from budget.config import MAX_TOKENS, BudgetConfig
from budget.model import Expected, Model, Purse
from budget.records import Request
from evidence.calibration import Calibration
from evidence.fusion import fuse
from schemas.faults import Poison
from schemas.messages import Decision, Identity
from schemas.words import MICRO, Divert, Outcome

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_DIGEST: Final = "0" * 64  # of the capture's bytes, which are not in the record and move nothing
_NO_HEAD: Final = b'{"'
_COMPARED: Final = tuple(one.name for one in fields(Expected) if one.name in Decision.__struct_fields__)
_LATER: Final = frozenset(
    {"identity_balance", "identity_pending", "diverts_balance"}
)  # records of older builds lack it


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that does not come out as it is on record."""

    field: str
    recorded: object
    recomputed: object

    def __str__(self) -> str:
        return f"{self.field} is {_plain(self.recorded)} on record, {_plain(self.recomputed)} from its evidence"


def rescored(decision: Decision, calibration: Calibration) -> int | None:
    """Return the score that a calibration makes of the recorded evidence; None where there is none."""
    if decision.evidence is None:
        return None
    return fuse(decision.evidence, decision.identity or Identity(), calibration) + (decision.score_offset or 0)


def is_whole(decision: Decision) -> bool:
    """Whether the record holds all that its outcome depended on; those of older builds lack three accounts."""
    return decision.seq is None or (decision.audit_draw_ppm is not None and decision.diverts_balance is not None)


def differences(decision: Decision, calibration: Calibration | None, config: BudgetConfig) -> list[Difference]:
    """Make a decision again and return what comes out differently.

    `calibration` and `config` are those that the record names. Where the record is of an older build, an account that
    it lacks is taken to be what its divert says.
    """
    found = []
    if decision.score is not None and calibration is not None:
        score = rescored(decision, calibration)
        if score != decision.score:
            found.append(Difference("score", decision.score, score))
    fusion = "" if decision.versions is None else decision.versions.fusion
    try:
        request = request_of(decision, score=decision.score, fusion=fusion)
        again, _ = _model(decision, config).decide(request, now_ms=milliseconds(decision.decided_at))
    except (Poison, ValueError) as refusal:
        return [*found, Difference("outcome", decision.outcome.value, f"refused: {refusal}")]
    for name in _COMPARED:
        recorded, recomputed = getattr(decision, name), getattr(again, name)
        if recorded != recomputed and not (recorded is None and name in _LATER):
            found.append(Difference(name, recorded, recomputed))
    return found


def request_of(decision: Decision, *, score: int | None, fusion: str) -> Request:
    """Return the request that a decision answers, with a score and the name of what made it."""
    return Request(
        site=decision.site,
        line=decision.line,
        capture_id=decision.capture_id,
        unit_id=decision.unit_id,
        digest=_NO_DIGEST,
        append_ms=milliseconds(decision.decided_at),  # the store let it in
        decide_by_ms=milliseconds(decision.decide_by),
        ask=decision.outcome if score is None else Outcome.DECIDED,
        reason="" if decision.outcome is Outcome.DECIDED else decision.reason,  # what was away is nobody's arithmetic
        score=score,
        major=decision.evidence is not None and decision.evidence.major,
        identity_conflict=decision.identity is not None and decision.identity.conflict,
        audit_draw_ppm=_draw_ppm(decision),
        fusion_version=fusion,
        decision_head=_NO_HEAD,
        sidelined_head=_NO_HEAD,
    )


def milliseconds(moment: datetime) -> int:
    """Return Unix milliseconds, cut as the store's script cuts them."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _draw_ppm(decision: Decision) -> int:
    if decision.audit_draw_ppm is not None:
        return decision.audit_draw_ppm
    return 0 if decision.divert is Divert.AUDIT else MICRO - 1


def _model(decision: Decision, config: BudgetConfig) -> Model:
    """Return the budget in the state that the record says it found."""
    if decision.threshold is not None:  # a version met for the first time starts there
        config = msgspec.structs.replace(config, start_threshold=decision.threshold)
    model = Model(config, frozenset({decision.line}))
    model.config_version = decision.config_version or 0
    model.seq = (decision.seq or 0) - 1
    model.damage = _purse(decision.balance_before, decision.pending_before)
    model.identity = _identity(decision, config)
    model.diverts = _diverts(decision, config)
    if (own := config.lines.get(decision.line)) is not None:
        debit = MICRO if decision.divert is Divert.DAMAGE else 0
        filled, pending = (decision.line_balance or 0) + debit, (decision.line_pending or 0) - debit
        capped = filled + pending >= own.burst_tokens * MICRO  # the refill stopped at the burst, or there was none
        model.own[decision.line].purse = _purse(filled if capped else filled - own.alpha_ppm, pending)
        model.own[decision.line].seq = (decision.line_seq or 0) - 1
    return model


def _purse(balance: int | None, pending: int | None) -> Purse:
    """Return an escrow with so much in it; who holds its pending tokens does not matter to one decision."""
    return Purse(balance or 0, {str(holder) for holder in range(min((pending or 0) // MICRO, MAX_TOKENS))})


def _identity(decision: Decision, config: BudgetConfig) -> Purse:
    if decision.identity_balance is not None:
        return _purse(decision.identity_balance, decision.identity_pending)
    refused = decision.identity is not None and decision.identity.conflict and decision.divert is not Divert.IDENTITY
    return _purse(-MICRO if refused else config.burst_identity * MICRO, 0)


def _diverts(decision: Decision, config: BudgetConfig) -> int:
    if decision.diverts_balance is not None:
        return decision.diverts_balance
    return -MICRO if decision.reason == "diverts_full" else config.burst_diverts * MICRO


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value
