"""What goes into the decision store and what comes out of it, as frozen records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from budget.config import BudgetConfig
from schemas.faults import Poison, Reason
from schemas.words import ID_PATTERN, MICRO, UUID7_PATTERN, Outcome

_ID: Final = re.compile(ID_PATTERN)
_UUID7: Final = re.compile(UUID7_PATTERN)
_SHA256: Final = re.compile(r"^[0-9a-f]{64}(?!\n)$")
SCORE_LIMIT: Final = 1_000 * MICRO  # a thousand log-odds; keeps every product in the script below 2**53
MAX_REASON: Final = 512
LAST_MS: Final = 253_402_300_799_999  # the year 9999 ends
MAX_HEAD_BYTES: Final = 64 * 1024  # an ordinary head is below 1.5 kB; this only keeps a mistake out of the store


@dataclass(frozen=True, slots=True)
class Request:
    """One capture's evidence, asking for its outcome.

    Times are Unix milliseconds, `score` is in micro-log-odds. The two heads are JSON texts without their closing brace
    and without the fields that the store's script writes (`budget.heads` renders them). `digest` is the SHA-256 of the
    capture's raw bytes; the same capture id with another digest is refused. `audit_draw_ppm` is the caller's keyed hash
    of the capture id, uniform in 0..999999 and independent of the score; `recheck_draw_ppm` another one. `redrive` is
    the number of the permission under which a rejected capture was worked on once more, 0 for none. `reason` is that of
    the outcome asked for; with a decision it says why, should the store hear of it after the deadline.

    Raises:
        Poison: `unreadable` for an id that no one may use.
        ValueError: for what only a mistake in the caller can produce.
    """

    site: str
    line: str
    capture_id: str
    unit_id: str
    digest: str
    append_ms: int
    decide_by_ms: int
    ask: Outcome
    reason: str = ""
    score: int | None = None
    major: bool = False
    identity_conflict: bool = False
    audit_draw_ppm: int = MICRO - 1
    recheck_draw_ppm: int = MICRO - 1
    fusion_version: str = ""
    decision_head: bytes = b""
    sidelined_head: bytes = b""
    redrive: int = 0

    def __post_init__(self) -> None:
        """Refuse what the script must never see."""
        for name, value in (("site", self.site), ("line", self.line), ("unit_id", self.unit_id)):
            if not _ID.match(value):
                raise Poison(Reason.UNREADABLE, f"{name} {value!r} is no id: {ID_PATTERN}")
        if not _UUID7.match(self.capture_id):
            raise Poison(Reason.UNREADABLE, f"capture_id {self.capture_id!r} is no lower-case UUIDv7")
        mistake = next((text for text, wrong in self._mistakes() if wrong), None)
        if mistake:
            raise ValueError(mistake)

    def _mistakes(self) -> Iterator[tuple[str, bool]]:
        decided = self.ask is Outcome.DECIDED
        yield f"cannot ask for the outcome {self.ask}", self.ask is Outcome.UNKNOWN
        yield "a decision needs a score", decided and self.score is None
        yield "a decision needs the fusion version that made its score", decided and not _ID.match(self.fusion_version)
        yield f"the outcome {self.ask} needs a reason", not decided and not self.reason
        yield f"a reason has at most {MAX_REASON} characters", len(self.reason) > MAX_REASON
        yield f"a score is within ±{SCORE_LIMIT} micro-log-odds", abs(self.score or 0) > SCORE_LIMIT
        for name, draw in (("audit_draw_ppm", self.audit_draw_ppm), ("recheck_draw_ppm", self.recheck_draw_ppm)):
            yield f"{name} is within 0..{MICRO - 1}", not 0 <= draw < MICRO
        yield "times are Unix milliseconds up to the year 9999", not 0 <= self.decide_by_ms <= LAST_MS
        yield "digest is a SHA-256 in lower-case hex", not _SHA256.match(self.digest)
        for head in (self.decision_head, self.sidelined_head) if decided else (self.decision_head,):
            broken = not head.startswith(b'{"') or len(head) > MAX_HEAD_BYTES
            yield f"a head is a JSON object without its closing brace, at most {MAX_HEAD_BYTES} bytes", broken


@dataclass(frozen=True, slots=True)
class Record:
    """The one outcome of a capture as it is on record; every emission sends exactly these bytes.

    `redrives` counts the rejections before it that somebody had worked on once more. `grant` is the number of a
    permission to work on this rejection once more, 0 for none; it may have ended meanwhile, which `decide` sees.
    """

    capture_id: str
    outcome: Outcome
    reason: str
    digest: str
    decision: bytes
    sidelined: bytes | None
    decided_at: str
    created: bool
    redrives: int = 0
    grant: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a verdict did: `settled` moved tokens, `revised` came after the first one, `label` met no token.

    `captures` are the diverted captures it spoke about, for whoever keeps labels.
    """

    state: Literal["settled", "revised", "label"]
    returned: int
    spent: int
    captures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """Where the threshold of one fusion version stands. All but the counts are micro-log-odds."""

    threshold: int
    location: int
    scale: int
    captures: int
    moves: int


@dataclass(frozen=True, slots=True)
class LineState:
    """Where the budget of one line stands. Tokens are millionths; a burst of 0: it has none any more."""

    alpha_ppm: int
    burst_tokens: int
    seq: int
    balance: int
    pending: int


@dataclass(frozen=True, slots=True)
class AssociateState:
    """What the verdicts of one associate said lately; the script halves all of it whenever one reaches a thousand."""

    judged: int = 0  # stops for damage or identity, of which this was the first verdict
    confirmed: int = 0
    audits: int = 0
    audits_damaged: int = 0
    rechecked: int = 0  # verdicts of this associate that somebody else looked at again, neither knowing of it
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """Who put a version of the configuration in force, when, and why."""

    version: int
    at_ms: int
    by: str
    why: str
    config: BudgetConfig


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One consistent picture of a site's budget. Tokens are millionths, the counts below run since registration."""

    site: str
    config: BudgetConfig
    config_version: int
    seq: int
    balance: int
    pending: int
    identity_balance: int
    identity_pending: int
    diverts_balance: int
    thresholds: dict[str, ThresholdState] = field(default_factory=dict)
    open_stops: int = 0  # diverts of every kind that wait for their first verdict
    lines: dict[str, LineState] = field(default_factory=dict)  # lines with a budget of their own

    undetermined: int = 0
    late: int = 0  # of the undetermined
    rejected: int = 0
    redriven: int = 0  # rejections that another outcome took the place of, by an explicit redrive
    damage_diverts: int = 0
    identity_diverts: int = 0
    audit_diverts: int = 0
    withheld: int = 0  # the score asked for a sideline, some budget had no token
    withheld_balance: int = 0
    withheld_reserve: int = 0
    withheld_line: int = 0  # the line's own budget had no token
    withheld_diverts: int = 0
    withheld_identity: int = 0  # an identity conflict that met no token
    withheld_audit: int = 0  # an audit that the diverts' own budget had no token for
    overridden: int = 0  # decisions taken with a threshold set by hand

    confirmed: int = 0  # damage sidelines whose first verdict found damage or a wrong item
    cleared: int = 0  # damage sidelines whose first verdict found neither
    expired: int = 0  # damage sidelines no one judged in time
    identity_confirmed: int = 0
    identity_cleared: int = 0
    identity_expired: int = 0
    audit_damaged: int = 0
    audit_cleared: int = 0
    audit_expired: int = 0
    revised: int = 0
    labels: int = 0
    destroyed: int = 0  # millionths of tokens that a lowered burst took away
    associates_uncounted: int = 0  # verdicts of more associates than are kept

    @property
    def decided(self) -> int:
        """Captures decided from a score: as many as there are sequence numbers."""
        return self.seq

    @property
    def passed(self) -> int:
        """Captures decided to go on, audited ones among them."""
        return self.seq - self.damage_diverts - self.identity_diverts

    @property
    def false_alarms(self) -> int:
        """Damage sidelines not confirmed by their first in-time verdict."""
        return self.cleared + self.expired
