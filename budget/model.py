"""The decision in plain Python, written from the design and not from the script.

Slow and without a clock of its own; it says what `decision.lua` must answer. Tests run the two side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from budget.config import HOUR_MS, BudgetConfig, LineBudget
from budget.records import Request, Settlement
from budget.redrives import REDRIVE_LIMIT, Answer
from budget.threshold import Threshold
from schemas.codec import uuid7_ms
from schemas.faults import Poison, Reason
from schemas.words import MICRO, Outcome, Verdict

SWEEP: Final = 16
MANY: Final = 1_000

GOOD: Final = frozenset({Verdict.DAMAGED, Verdict.WRONG_ITEM})
TokenState = Literal["open", "returned", "spent", "expired", "judged"]


@dataclass(slots=True)
class Purse:
    """One escrow. `pending` is not a number here but the stops that hold a token each."""

    balance: int
    holders: set[str] = field(default_factory=set)

    @property
    def pending(self) -> int:
        """Tokens of stops not judged yet, in millionths."""
        return len(self.holders) * MICRO

    def add(self, tokens: int, *, burst_tokens: int) -> None:
        """Add tokens as far as the burst allows."""
        self.balance += max(0, min(tokens, burst_tokens * MICRO - self.balance - self.pending))


@dataclass(slots=True)
class Stop:
    """One divert waiting for its first verdict."""

    capture_id: str
    unit_id: str
    divert: str
    expires_ms: int
    line: str = ""  # whose own budget paid as well

    @property
    def member(self) -> str:
        """Its name in the store, which orders stops that expire in the same millisecond."""
        return f"{self.divert}:{self.capture_id}:{self.unit_id}" + (f":{self.line}" if self.line else "")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a decision must say."""

    outcome: Outcome
    reason: str
    action: str
    divert: str
    withheld: bool
    seq: int | None
    threshold: int | None
    balance_before: int
    balance_after: int
    pending_before: int
    pending_after: int
    identity_balance: int  # these three before, like the first of the pairs above
    identity_pending: int
    diverts_balance: int
    config_version: int
    audit_ppm: int
    line_seq: int | None = None
    line_balance: int | None = None
    line_pending: int | None = None
    recheck: bool = False  # of the sidelined event


@dataclass(slots=True)
class Redrives:
    """A capture's rejections that were worked on once more, and permission to do so with the newest."""

    done: int = 0
    chain: list[tuple[str, int]] = field(default_factory=list)  # reason and time of each rejection
    granted: bool = False
    until_ms: int = 0


@dataclass(slots=True)
class OwnLine:
    """A line with a budget of its own."""

    purse: Purse
    seq: int = 0


class Model:
    """One site's budget."""

    def __init__(self, config: BudgetConfig, lines: frozenset[str]) -> None:
        """Register a site: full bursts, no captures."""
        self.config, self.config_version, self.lines = config, 1, lines
        self.admitted_after_ms = 0
        self.seq = 0
        self.damage = Purse(config.burst_tokens * MICRO)
        self.identity = Purse(config.burst_identity * MICRO)
        self.diverts = config.burst_diverts * MICRO
        self.thresholds: dict[str, Threshold] = {}
        self.own: dict[str, OwnLine] = {}  # lines that have or had a budget of their own
        self.first: dict[str, tuple[str, Verdict]] = {}  # capture -> who judged its stop first, and how
        self.to_recheck: set[str] = set()
        self.twice: set[str] = set()  # captures whose second look was counted
        self.told: dict[str, Counter[str]] = {}  # associate -> what the verdicts said
        self._configure_lines({}, config.lines)
        self.outcomes: dict[str, tuple[str, Expected]] = {}  # capture -> digest and decision
        self.decided_ms: dict[str, int] = {}
        self.redrives: dict[str, Redrives] = {}
        self.stops: dict[str, Stop] = {}  # the open ones, by capture
        self.tokens: dict[str, TokenState] = {}  # of every diverted capture
        self.newest: dict[str, str] = {}  # unit -> newest diverted capture
        self.verdicts: dict[str, Settlement] = {}

    def configure(self, config: BudgetConfig, *, now_ms: int) -> int:
        """Put another configuration in force."""
        if config != self.config:
            if config.horizon_ms > self.config.horizon_ms:
                gone_ms = now_ms - self.config.horizon_ms + HOUR_MS
                self.admitted_after_ms = max(self.admitted_after_ms, gone_ms)
            self._configure_lines(self.config.lines, config.lines)
            self.config, self.config_version = config, self.config_version + 1
            for purse, burst in ((self.damage, config.burst_tokens), (self.identity, config.burst_identity)):
                purse.balance = min(purse.balance, max(0, burst * MICRO - purse.pending))
            self.diverts = min(self.diverts, config.burst_diverts * MICRO)
        return self.config_version

    def decide(self, request: Request, *, now_ms: int) -> tuple[Expected, bool]:
        """Return the decision and whether it was made now.

        Raises:
            Poison: as the store does.
        """
        if request.capture_id in self.outcomes:
            digest, decision = self.outcomes[request.capture_id]
            if digest != request.digest:
                raise Poison(Reason.ID_REUSED, request.capture_id)
            if not self._may_again(request, now_ms):
                return decision, False
        self._admit(request, now_ms)
        self.sweep(now_ms)
        before = self.damage.balance, self.damage.pending
        others = self.identity.balance, self.identity.pending, self.diverts
        outcome, reason, action, divert, withheld = request.ask, request.reason, "none", "none", False
        threshold, audit_ppm, line = None, self.config.audit_ppm, None
        if request.ask is Outcome.DECIDED and now_ms >= request.decide_by_ms:
            outcome, reason = Outcome.UNDETERMINED, request.reason or "late"
        if outcome is Outcome.DECIDED and request.score is not None:
            self.seq += 1
            self.damage.add(self.config.alpha_ppm, burst_tokens=self.config.burst_tokens)
            self.identity.add(self.config.alpha_identity_ppm, burst_tokens=self.config.burst_identity)
            self.diverts = min(self.diverts + self.config.beta_ppm, self.config.burst_diverts * MICRO)
            audit_ppm = self._audit_ppm()
            if own := self.config.lines.get(request.line):
                line = self.own[request.line]
                line.seq += 1
                line.purse.add(own.alpha_ppm, burst_tokens=own.burst_tokens)
            state = self.thresholds.setdefault(request.fusion_version, Threshold(self.config.start_threshold))
            threshold = self._in_force(state, now_ms)
            divert, reason, withheld = self._divert(request, request.score, threshold, audit_ppm)
            action = "sideline" if divert in {"damage", "identity"} else "pass"
            self._open(request, divert, now_ms)
            state.learn(request.score, balance=self.damage.balance, pending=self.damage.pending, config=self.config)
        decision = Expected(
            outcome,
            reason,
            action,
            divert,
            withheld,
            self.seq if outcome is Outcome.DECIDED else None,
            threshold,
            before[0],
            self.damage.balance,
            before[1],
            self.damage.pending,
            *others,
            self.config_version,
            audit_ppm,
            line.seq if line else None,
            line.purse.balance if line else None,
            line.purse.pending if line else None,
            divert != "none" and request.recheck_draw_ppm < self.config.recheck_ppm,
        )
        self.outcomes[request.capture_id] = request.digest, decision
        self.decided_ms[request.capture_id] = now_ms
        permission = self.redrives.get(request.capture_id)
        if permission is not None and permission.granted:
            permission.done, permission.granted = permission.done + 1, False
        return decision, True

    def redrive(self, capture_id: str, digest: str, *, rejected_ms: int, now_ms: int, for_ms: int) -> Answer:
        """Permit one more decision of a rejected capture."""
        if capture_id not in self.outcomes:
            return Answer.UNRECORDED
        known, decision = self.outcomes[capture_id]
        past = self.redrives.setdefault(capture_id, Redrives())
        refusals = {
            Answer.OTHER_CONTENT: known != digest,
            Answer.ANSWERED: decision.outcome is not Outcome.REJECTED,
            Answer.SUPERSEDED: self.decided_ms[capture_id] != rejected_ms,
            Answer.LIMIT: past.done >= REDRIVE_LIMIT,
            Answer.TOO_OLD: uuid7_ms(capture_id) <= self._admitted_after(now_ms + for_ms),
        }
        if refused := [answer for answer, holds in refusals.items() if holds]:
            return refused[0]
        if not past.granted:
            past.granted = True
            past.chain.append((decision.reason, rejected_ms))
        past.until_ms = now_ms + for_ms
        return Answer.GRANTED

    def settle(
        self,
        verdict_id: str,
        verdict: Verdict,
        *,
        capture_id: str | None,
        unit_id: str | None,
        now_ms: int,
        associate_id: str = "",
    ) -> Settlement:
        """Let a verdict speak about one capture, or about a unit when `capture_id` is None.

        Raises:
            Poison: `unknown_capture`.
        """
        if verdict_id in self.verdicts:
            return self.verdicts[verdict_id]
        if capture_id is not None and capture_id not in self.outcomes:
            raise Poison(Reason.UNKNOWN_CAPTURE, capture_id)
        self.sweep(now_ms)
        about = [stop for stop in self.stops.values() if capture_id == stop.capture_id]
        if capture_id is None:
            about = [stop for stop in self.stops.values() if stop.unit_id == unit_id]
        returned = spent = 0
        judged = []
        for stop in about:
            if stop.expires_ms <= now_ms:
                self._close(stop, "expired")
                continue
            judged.append(stop.capture_id)
            self.first[stop.capture_id] = associate_id, verdict
            if stop.divert == "audit":
                self._close(stop, "judged")
                self._tell(associate_id, "audits", "audits_damaged" if verdict is Verdict.DAMAGED else "")
            elif verdict in GOOD:
                self._close(stop, "returned")
                self._tell(associate_id, "judged", "confirmed")
                returned += 1
            else:
                self._close(stop, "spent")
                self._tell(associate_id, "judged")
                spent += 1
        settlement = Settlement("settled" if returned + spent else "label", returned, spent, tuple(sorted(judged)))
        if not judged:
            known = capture_id if capture_id is not None else self.newest.get(unit_id or "")
            late = known in self.tokens
            if late and capture_id is not None:
                self._look_again(capture_id, associate_id, verdict)
            settlement = Settlement("revised" if late else "label", 0, 0, (known,) if known else ())
        self.verdicts[verdict_id] = settlement
        return settlement

    def sweep(self, now_ms: int, *, limit: int = SWEEP) -> int:
        """Expire the stops that no one judged in time, the oldest first."""
        due = sorted((stop.expires_ms, stop.member, stop) for stop in self.stops.values() if stop.expires_ms <= now_ms)
        for _, _, stop in due[:limit]:
            self._close(stop, "expired")
        return len(due[:limit])

    def _configure_lines(self, old: Mapping[str, LineBudget], new: Mapping[str, LineBudget]) -> None:
        """Begin a line's budget with what its burst has room for; lowering destroys, raising grants nothing."""
        for name in {*self.own, *new}:
            line = self.own.setdefault(name, OwnLine(Purse(0)))
            burst = new[name].burst_tokens if name in new else 0
            space = max(0, burst * MICRO - line.purse.pending)
            line.purse.balance = min(line.purse.balance, space) if name in old else space

    def _tell(self, associate_id: str, *names: str) -> None:
        """Count what an associate's verdict said."""
        told = self.told.setdefault(associate_id, Counter())
        told.update(name for name in names if name)
        if max(told.values()) >= MANY:
            for name in told:
                told[name] //= 2

    def _look_again(self, capture_id: str, associate_id: str, verdict: Verdict) -> None:
        """Compare a second person's verdict with the first one's, where that was asked for."""
        known = self.first.get(capture_id)
        if known is None or capture_id not in self.to_recheck or capture_id in self.twice or known[0] == associate_id:
            return
        self.twice.add(capture_id)
        self._tell(known[0], "rechecked", "agreed" if known[1] is verdict else "")

    def _admit(self, request: Request, now_ms: int) -> None:
        if request.line not in self.lines:
            raise Poison(Reason.UNKNOWN_LINE, request.line)
        made_ms = uuid7_ms(request.capture_id)
        if min(made_ms, request.append_ms) <= self._admitted_after(now_ms):
            raise Poison(Reason.TOO_OLD, request.capture_id)
        if made_ms - now_ms > HOUR_MS:
            raise Poison(Reason.FROM_THE_FUTURE, request.capture_id)

    def _admitted_after(self, now_ms: int) -> int:
        return max(self.admitted_after_ms, now_ms - self.config.horizon_ms + HOUR_MS)

    def _may_again(self, request: Request, now_ms: int) -> bool:
        """Whether a capture on record may be decided once more, under the permission that the request names."""
        past = self.redrives.get(request.capture_id)
        return past is not None and past.granted and request.redrive == past.done + 1 and now_ms < past.until_ms

    def _in_force(self, state: Threshold, now_ms: int) -> int:
        by_hand = self.config.override_threshold
        value = by_hand if by_hand is not None and now_ms < self.config.override_until_ms else state.value
        return min(max(value, self.config.floor), self.config.ceiling)

    def _audit_ppm(self) -> int:
        """Return the audit probability: the fuller the station's bucket, the nearer to its highest."""
        span = max(0, self.config.audit_max_ppm - self.config.audit_ppm)
        filled_ppm = self.diverts // self.config.burst_diverts
        return self.config.audit_ppm + span * (filled_ppm**2 // MICRO) // MICRO

    def _divert(self, request: Request, score: int, threshold: int, audit_ppm: int) -> tuple[str, str, bool]:
        capacity = self.diverts >= MICRO
        own = self.own[request.line].purse.balance if request.line in self.config.lines else MICRO
        refusal = ""
        if score >= threshold:
            if self.damage.balance < MICRO:
                refusal = "no_token"
            elif self.damage.balance < (self.config.reserve + 1) * MICRO and not request.major:
                refusal = "reserved"
            elif own < MICRO:
                refusal = "line_no_token"
            elif not capacity:
                refusal = "diverts_full"
            else:
                return "damage", "above_threshold", False
        if request.identity_conflict:
            if self.identity.balance >= MICRO and capacity:
                return "identity", "identity_conflict", False
            refusal_reason = refusal or "identity_no_token"
        else:
            refusal_reason = refusal or "below_threshold"
        audit = capacity and request.audit_draw_ppm < audit_ppm
        return "audit" if audit else "none", refusal_reason, refusal != ""

    def _open(self, request: Request, divert: str, now_ms: int) -> None:
        if divert == "none":
            return
        line = request.line if divert == "damage" and request.line in self.config.lines else ""
        expires_ms = now_ms + self.config.verdict_timeout_ms
        stop = Stop(request.capture_id, request.unit_id, divert, expires_ms, line)
        if request.recheck_draw_ppm < self.config.recheck_ppm:
            self.to_recheck.add(stop.capture_id)
        if line:
            self.own[line].purse.balance -= MICRO
            self.own[line].purse.holders.add(stop.capture_id)
        self.stops[stop.capture_id] = stop
        self.tokens[stop.capture_id] = "open"
        self.newest[stop.unit_id] = stop.capture_id
        self.diverts -= MICRO
        for name, purse in (("damage", self.damage), ("identity", self.identity)):
            if divert == name:
                purse.balance -= MICRO
                purse.holders.add(stop.capture_id)

    def _close(self, stop: Stop, state: TokenState) -> None:
        del self.stops[stop.capture_id]
        self.tokens[stop.capture_id] = state
        if stop.line:
            purse = self.own[stop.line].purse
            purse.holders.remove(stop.capture_id)
            if state == "returned":
                budget = self.config.lines.get(stop.line)
                purse.add(MICRO, burst_tokens=budget.burst_tokens if budget else 0)
        for purse, burst in ((self.damage, self.config.burst_tokens), (self.identity, self.config.burst_identity)):
            if stop.capture_id in purse.holders:
                purse.holders.remove(stop.capture_id)
                if state == "returned":
                    purse.add(MICRO, burst_tokens=burst)
