"""A line on paper: plays captures through the decision as the design states it and writes what would lie on the topics.

It is written from the promises, not from `budget/`, and can be told to misbehave in the ways a broken script would.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from cli.checker.charge import Charge, Known
from cli.checker.tokens import Accounts, Terms
from cli.tape import Tape
from schemas.codec import cloud_headers, encode, new_uuid7, rfc3339
from schemas.messages import Capture, Decision, Disposition, Evidence, Identity, Message, Sidelined, View
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome, Pattern, Severity, Verdict
from streams.delivery import Delivery
from streams.topics import Entity, topic

SITE = "paper"
START_MS = 1_800_000_000_000
STEP_MS = 80
THRESHOLD = 2 * MICRO
VERDICT_AFTER = 20  # captures


@dataclass
class PaperLine:
    """One run. `debits` maps the number of a stop (1-based) to what it debits instead of one token."""

    seed: int = 7
    terms: Terms = field(
        default_factory=lambda: Terms(alpha=20_000, burst=5 * MICRO, beta=100_000, station_burst=20 * MICRO)
    )
    debits: dict[int, int] = field(default_factory=dict)
    raised: int = 0
    capped: bool = True
    rng: random.Random = field(init=False)
    topics: dict[Entity, list[Delivery]] = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.topics = {entity: [] for entity in Entity}
        self.accounts = Accounts(self.terms.burst, 0)
        self.seq = self.stops = 0
        self.unjudged: deque[tuple[int, Capture, bool]] = deque()
        self.truth: dict[str, Known] = {}

    def play(self, captures: int) -> tuple[Tape, Charge]:
        """Play so many captures, let every verdict come in, and return the topics and what the run is held to."""
        for number in range(captures):
            self._judge_until(number)
            self._answer(number)
        self._judge_until(captures + VERDICT_AFTER)
        wanted = (Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.DEAD)
        tape = Tape(*(tuple(self.topics[entity]) for entity in wanted))
        opening = Accounts(self.terms.burst, 0)
        return tape, Charge(self.truth, self.terms, opening=opening, closing=self.accounts)

    def _answer(self, number: int) -> None:
        at_ms = START_MS + number * STEP_MS
        damaged = self.rng.random() < 0.06
        product = f"product-{self.rng.randrange(9)}"
        capture = self._capture(number, at_ms)
        self.truth[capture.capture_id] = Known(damaged=damaged, product_id=product)
        late = self.rng.random() < 0.004
        score = int(self.rng.gauss(4 if damaged else -3, 2) * MICRO) + self.raised
        before = self.accounts
        refilled = before.balance + max(0, min(self.terms.alpha, self.terms.burst - before.total))
        above = score >= THRESHOLD and not late
        divert = Divert.DAMAGE if above and (refilled >= MICRO or not self.capped) else Divert.NONE
        if divert is Divert.NONE and not late and self.rng.random() < 0.01:
            divert = Divert.AUDIT
        debit = 0
        if divert is Divert.DAMAGE:
            self.stops += 1
            debit = self.debits.get(self.stops, MICRO)
            self.unjudged.append((number, capture, damaged))
        if not late:
            self.seq += 1
            self.accounts = Accounts(refilled - debit, before.pending + (MICRO if divert is Divert.DAMAGE else 0))
        decided_at = datetime.fromtimestamp((at_ms + self.rng.randrange(20, 120)) / 1000, UTC)
        decision = Decision(
            capture_id=capture.capture_id,
            site=SITE,
            line=capture.line,
            station=capture.station,
            unit_id=capture.unit_id,
            captured_at=capture.captured_at,
            views=[view.uri for view in capture.views],
            identity=Identity(product_id=product, method=IdentityMethod.SCAN, confidence_ppm=990_000),
            evidence=Evidence(pattern=Pattern.CLASSIFIER, classifier=score, severity=Severity.MINOR),
            outcome=Outcome.UNDETERMINED if late else Outcome.DECIDED,
            action=Action.NONE if late else (Action.SIDELINE if divert is Divert.DAMAGE else Action.PASS),
            divert=divert,
            withheld=above and divert is not Divert.DAMAGE,
            reason="late" if late else divert.value,
            seq=None if late else self.seq,
            score=None if late else score,
            threshold=None if late else THRESHOLD,
            balance_before=None if late else before.balance,
            balance_after=None if late else self.accounts.balance,
            pending_before=None if late else before.pending,
            pending_after=None if late else self.accounts.pending,
            config_version=1,
            decide_by=datetime.fromtimestamp((at_ms + 3000) / 1000, UTC),
            decided_at=decided_at,
        )
        self._emit(Entity.DECISIONS, "decision", decision, key=capture.capture_id, at_ms=at_ms + 130)
        if divert is not Divert.NONE:
            event = Sidelined(
                capture_id=capture.capture_id,
                site=SITE,
                line=capture.line,
                station=capture.station,
                unit_id=capture.unit_id,
                divert=divert,
                seq=decision.seq,
                decide_by=decision.decide_by,
                decided_at=decided_at,
            )
            self._emit(Entity.SIDELINED, "sidelined", event, key=capture.capture_id, at_ms=at_ms + 130)

    def _capture(self, number: int, at_ms: int) -> Capture:
        capture = Capture(
            capture_id=new_uuid7(at_ms=at_ms, random_bits=self.rng.getrandbits(74)),
            site=SITE,
            line="line-1",
            station="station-1",
            unit_id=f"unit-{number}",
            captured_at=datetime.fromtimestamp(at_ms / 1000, UTC),
            views=[View(uri=f"file:///pictures/{number}.jpg", sha256="0" * 64, size=1000)],
        )
        self._emit(Entity.CAPTURES, "capture", capture, key=capture.unit_id, at_ms=at_ms)
        return capture

    def _judge_until(self, number: int) -> None:
        while self.unjudged and self.unjudged[0][0] + VERDICT_AFTER <= number:
            stopped_at, capture, damaged = self.unjudged.popleft()
            at_ms = START_MS + (stopped_at + VERDICT_AFTER) * STEP_MS
            said = Disposition(
                disposition_id=f"verdict-{stopped_at}",
                site=SITE,
                associate_id="associate-1",
                judged_at=datetime.fromtimestamp(at_ms / 1000, UTC),
                verdict=Verdict.DAMAGED if damaged else Verdict.SELLABLE,
                capture_id=capture.capture_id,
                unit_id=capture.unit_id,
            )
            self._emit(Entity.DISPOSITIONS, "disposition", said, key=capture.unit_id, at_ms=at_ms)
            back = MICRO if damaged else 0
            self.accounts = Accounts(self.accounts.balance + back, self.accounts.pending - MICRO)

    def _emit(self, entity: Entity, event: str, message: Message, *, key: str, at_ms: int) -> None:
        records = self.topics[entity]
        headers = cloud_headers(
            entity=event, event_id=key, source="paper", time=rfc3339(datetime.fromtimestamp(at_ms / 1000, UTC))
        )
        records.append(
            Delivery(
                topic=topic(entity, SITE),
                partition=0,
                offset=len(records),
                key=key.encode(),
                value=encode(message),
                headers=tuple(headers),
                append_ms=at_ms,
            )
        )


@pytest.fixture
def play() -> Callable[..., tuple[Tape, Charge]]:
    """Play captures on the paper line: `play(400, raised=..., debits={3: 2 * MICRO})`."""

    def played(captures: int = 400, **how: object) -> tuple[Tape, Charge]:
        return PaperLine(**how).play(captures)  # type: ignore[arg-type]

    return played
