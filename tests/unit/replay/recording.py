"""A site on paper: captures decided by `budget.model`, written as the records that its topics would hold."""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from budget.config import BudgetConfig, LineBudget
from budget.model import Expected, Model
from budget.records import Request
from budget.threshold import Threshold
from budget.warm import warm_start
from evidence.calibration import Calibration
from evidence.fusion import fuse
from feedback.labels import Heard
from schemas.codec import decode, encode, new_uuid7
from schemas.messages import Decision, Disposition, Evidence, Identity, Versions
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome, Pattern, Severity, Verdict

SITE: Final = "paper"
START_MS: Final = 1_800_000_000_000
DELAY_MS: Final = 30_000
CALIBRATION: Final = msgspec.structs.replace(Calibration.load(), version="fusion-paper")
CONFIG: Final = BudgetConfig(
    alpha_ppm=10_000,
    burst_tokens=6,
    reserve=1,
    alpha_identity_ppm=5_000,
    burst_identity=2,
    beta_ppm=60_000,
    burst_diverts=12,
    audit_ppm=20_000,
    lines={"line-2": LineBudget(alpha_ppm=5_000, burst_tokens=3)},
    captures_per_s=1.0,
    verdict_delay_ms=DELAY_MS,
    verdict_timeout_ms=200_000,
)
VERSIONS: Final = Versions(
    software="0.1.0", classifier=CALIBRATION.classifier, embedding=CALIBRATION.embedding, fusion=CALIBRATION.version
)


def utc(at_ms: int) -> datetime:
    """Return Unix milliseconds as a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


def decision_of(request: Request, answer: Expected, *, at_ms: int, **head: Any) -> Decision:  # noqa: ANN401
    """Return the record of an answer, after a journey through its bytes."""
    tail = {name: getattr(answer, name) for name in Expected.__dataclass_fields__ if name != "recheck"}
    tail |= {"action": Action(answer.action), "divert": Divert(answer.divert)}
    fields: dict[str, Any] = {
        "capture_id": request.capture_id,
        "site": SITE,
        "line": request.line,
        "station": "station-1",
        "unit_id": request.unit_id,
        "captured_at": utc(at_ms),
        "audit_draw_ppm": request.audit_draw_ppm,
        "score": request.score,
        "decide_by": utc(request.decide_by_ms),
        "decided_at": utc(at_ms),
    }
    return decode(Decision, encode(Decision(**{**fields, **tail, **head})))


@dataclass
class Recording:
    """Plays captures, writes their records, and remembers what people said."""

    seed: int = 7
    config: BudgetConfig = CONFIG
    damage_rate: float = 0.02
    judged: float = 0.95  # share of diverts that somebody looks at
    warm: bool = True
    decisions: list[Decision] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    configs: dict[int, BudgetConfig] = field(default_factory=dict)
    truth: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Register the site, warm as an inspector would."""
        self.rng, self.now_ms = random.Random(self.seed), START_MS
        self.model = Model(self.config, frozenset({"line-1", "line-2"}))
        self.configs[1] = self.config
        self._due: list[tuple[int, int, str, Verdict]] = []
        if self.warm:
            start = warm_start(CALIBRATION.negatives, alpha_ppm=self.config.alpha_ppm)
            balance = self.model.damage.balance
            self.model.thresholds[CALIBRATION.version] = Threshold.warm(start, balance=balance, config=self.config)

    def configure(self, **changes: Any) -> None:  # noqa: ANN401 - fields of many types
        """Put a changed configuration in force."""
        version = self.model.configure(msgspec.structs.replace(self.model.config, **changes), now_ms=self.now_ms)
        self.configs[version] = self.model.config

    def play(self, captures: int) -> Recording:
        """Decide so many captures, and let people judge what is diverted."""
        for _ in range(captures):
            self.now_ms += self.rng.choice([20, 400, 1_500])
            self._judge()
            self._decide()
        return self

    def _decide(self) -> None:
        rng = self.rng
        damaged = rng.random() < self.damage_rate
        conflict = rng.random() < 0.01
        evidence = Evidence(
            pattern=Pattern.CLASSIFIER if conflict else Pattern.GALLERY_BY_CODE,
            classifier=round(rng.gauss(4e6 if damaged else -3e6, 2e6)),
            severity=Severity.MAJOR if damaged else Severity.NONE,
            major=damaged and rng.random() < 0.5,
            discrepancy=None if conflict else round(rng.gauss(9e5 if damaged else 3e5, 2e5)),
        )
        identity = Identity(
            product_id="P-1", method=IdentityMethod.SCAN, confidence_ppm=rng.randrange(MICRO), conflict=conflict
        )
        capture_id = new_uuid7(at_ms=self.now_ms, random_bits=rng.getrandbits(74))
        late = rng.random() < 0.01
        request = Request(
            site=SITE,
            line=rng.choice(["line-1", "line-1", "line-2"]),
            capture_id=capture_id,
            unit_id=f"unit-{rng.randrange(10**6)}",
            digest="0" * 64,
            append_ms=self.now_ms,
            decide_by_ms=self.now_ms - 1 if late else self.now_ms + 2_000,
            ask=Outcome.DECIDED,
            score=fuse(evidence, identity, CALIBRATION),
            major=evidence.major,
            identity_conflict=conflict,
            audit_draw_ppm=rng.randrange(MICRO),
            fusion_version=CALIBRATION.version,
            decision_head=b'{"',
            sidelined_head=b'{"',
        )
        answer, _ = self.model.decide(request, now_ms=self.now_ms)
        self.truth[capture_id] = damaged
        self.decisions.append(
            decision_of(request, answer, at_ms=self.now_ms, identity=identity, evidence=evidence, versions=VERSIONS)
        )
        if answer.divert != "none" and rng.random() < self.judged:
            verdict = Verdict.DAMAGED if damaged else Verdict.WRONG_ITEM if conflict else Verdict.SELLABLE
            heapq.heappush(self._due, (self.now_ms + DELAY_MS, len(self.decisions), capture_id, verdict))

    def _judge(self) -> None:
        while self._due and self._due[0][0] <= self.now_ms:
            at_ms, number, capture_id, verdict = heapq.heappop(self._due)
            self.model.settle(f"d{number}", verdict, capture_id=capture_id, unit_id=None, now_ms=at_ms)
            disposition = Disposition(
                disposition_id=f"d{number}",
                site=SITE,
                associate_id="associate-1",
                judged_at=utc(at_ms),
                verdict=verdict,
                capture_id=capture_id,
            )
            self.heard.append(Heard(disposition, at_ms))

    @property
    def by_version(self) -> Mapping[str, Calibration]:
        """The calibration, under its name."""
        return {CALIBRATION.version: CALIBRATION}
