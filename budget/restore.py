"""A store rebuilt from what its topics kept: outcomes, open stops, `seq`. Balances restart at zero.

Restoring can only lower balance + pending, so P5a holds in windows across the seam: a decision that was recorded but
never published was never seen by anyone either, and its capture is still on its topic.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
import structlog

from budget.config import BudgetConfig
from budget.heads import render_head
from budget.keys import SITES, STORE, SiteKeys
from budget.link import Argument
from budget.rejections import RejectedCapture
from budget.script import Script, config_arguments
from budget.warm import MIN_NEGATIVES, warm_start
from schemas.codec import decode
from schemas.faults import Fatal, Poison
from schemas.messages import SIDELINED_TAIL, Decision, Disposition, Sidelined, SidelinedHead
from schemas.words import Divert, Severity, Verdict

_log = structlog.get_logger(__name__)
_BATCH: Final = 256
_SCORES: Final = 20_000  # the half-life of the threshold's histogram


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restoration found: `outcomes` written, `known` already there, `past` the horizon, `unreadable` values."""

    outcomes: int
    known: int
    past: int
    unreadable: int
    open_stops: int
    seq: int
    config_version: int
    rejections: int = 0  # written, from dead letters


@dataclass(frozen=True, slots=True)
class RestoredOutcome:
    """One outcome to write, with the state its token should have (`open` unless a verdict closed it)."""

    decision: Decision
    raw: bytes
    sidelined: bytes
    token: str


def check_seq(store_seq: int, last_published_seq: int) -> None:
    """Refuse to decide with a store that is behind the decisions topic.

    Raises:
        Fatal: naming the fix.
    """
    if store_seq < last_published_seq:
        raise Fatal(
            f"the decision store stands at seq {store_seq}, the decisions topic at {last_published_seq}: it lost "
            "decisions; run `sideline restore` before deciding again"
        )


@dataclass(slots=True)
class _Spoken:
    """A disposition and what it turned out to do."""

    disposition: Disposition
    fingerprint: str
    returned: int = 0
    spent: int = 0
    captures: list[str] = field(default_factory=list)
    late: bool = False

    def answer(self) -> str:
        """Return the settlement as the script keeps it."""
        state = "settled" if self.returned + self.spent else "revised" if self.late else "label"
        captures = self.captures or ([self.disposition.capture_id] if self.disposition.capture_id else [])
        return " ".join([self.fingerprint, state, str(self.returned), str(self.spent), *captures])


class Plan:
    """The pure part: which outcome each decision becomes, given every verdict and every sidelined event."""

    def __init__(self, config: BudgetConfig, *, sidelined: Iterable[bytes], dispositions: Iterable[bytes]) -> None:
        """Read verdicts and sidelined events first: they are few, decisions can then pass by one at a time."""
        self.config = config
        self.seq = 0
        self.config_version = 0
        self.line_seqs: dict[str, int] = {}  # of lines with a budget of their own
        self.unreadable = 0
        self.scores: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_SCORES))
        self._sidelined = {event.capture_id: raw for event, raw in self._read(Sidelined, sidelined)}
        self._by_capture: dict[str, list[_Spoken]] = defaultdict(list)
        self._by_unit: dict[str, list[_Spoken]] = defaultdict(list)
        self._spoken: dict[str, _Spoken] = {}
        for disposition, _ in self._read(Disposition, dispositions):
            self._hear(disposition)

    def outcomes(self, decisions: Iterable[bytes]) -> Iterator[RestoredOutcome]:
        """Turn decision values into outcomes, and take the highest `seq` and configuration version from them."""
        for decision, raw in self._read(Decision, decisions):
            self.seq = max(self.seq, decision.seq or 0)
            self.config_version = max(self.config_version, decision.config_version or 0)
            if decision.line_seq is not None:
                self.line_seqs[decision.line] = max(self.line_seqs.get(decision.line, 0), decision.line_seq)
            if decision.versions is not None and decision.score is not None and decision.seq is not None:
                self.scores[decision.versions.fusion].append(decision.score)
            diverted = decision.divert is not Divert.NONE
            yield RestoredOutcome(
                decision,
                raw,
                (self._sidelined.get(decision.capture_id) or sidelined_again(decision)) if diverted else b"",
                self._token(decision) if diverted else "",
            )

    def answers(self) -> Iterator[tuple[str, str]]:
        """Yield what every disposition did, once all decisions have passed."""
        for disposition_id, spoken in self._spoken.items():
            yield disposition_id, spoken.answer()

    def _read(self, kind: type[Any], values: Iterable[bytes]) -> Iterator[tuple[Any, bytes]]:
        for raw in values:
            try:
                yield decode(kind, raw), raw
            except Poison:
                self.unreadable += 1  # a hostile disposition was a dead letter then and is skipped now

    def _hear(self, disposition: Disposition) -> None:
        spoken = _Spoken(disposition, fingerprint(disposition))
        if disposition.verdict is Verdict.UNKNOWN or disposition.disposition_id in self._spoken:
            return
        if disposition.capture_id is not None:
            self._by_capture[disposition.capture_id].append(spoken)
        elif disposition.unit_id is not None:
            self._by_unit[disposition.unit_id].append(spoken)
        else:
            return
        self._spoken[disposition.disposition_id] = spoken

    def _token(self, decision: Decision) -> str:
        """Return the state that the first verdict in time gave this stop; whoever comes later revises."""
        state = "open"
        in_time = timedelta(milliseconds=self.config.verdict_timeout_ms)
        about = [*self._by_capture.get(decision.capture_id, ()), *self._by_unit.get(decision.unit_id, ())]
        for spoken in sorted(about, key=_judged_at):
            if spoken.disposition.capture_id is None and spoken.disposition.judged_at < decision.decided_at:
                continue  # a verdict by unit cannot speak about a stop that came after it
            if state != "open" or spoken.disposition.judged_at - decision.decided_at > in_time:
                spoken.late = True
                continue
            good = spoken.disposition.verdict in {Verdict.DAMAGED, Verdict.WRONG_ITEM}
            state = "judged" if decision.divert is Divert.AUDIT else "returned" if good else "spent"
            spoken.returned += state == "returned"
            spoken.spent += state == "spent"
            spoken.captures.append(decision.capture_id)
        return state


def fingerprint(disposition: Disposition) -> str:
    """Return what tells a redelivered disposition from another one that uses its id."""
    return hashlib.sha256(msgspec.json.encode(disposition)).hexdigest()[:32]


def sidelined_again(decision: Decision) -> bytes:
    """Render the sidelined event of a divert whose first rendering was never published, from its decision."""
    head = SidelinedHead(
        capture_id=decision.capture_id,
        site=decision.site,
        line=decision.line,
        station=decision.station,
        unit_id=decision.unit_id,
        product_id=decision.identity.product_id if decision.identity else None,
        views=decision.views,
        severity=decision.evidence.severity if decision.evidence else Severity.UNKNOWN,
        claims=decision.identity.claims if decision.identity and decision.identity.conflict else [],
    )
    tail = {name: getattr(decision, name, False) for name in SIDELINED_TAIL}  # whether to look twice is forgotten
    return b",".join((render_head(head), msgspec.json.encode(tail)[1:]))


async def restore_site(
    script: Script,
    site: str,
    lines: Sequence[str],
    plan: Plan,
    decisions: Iterable[bytes],
    rejected: Iterable[RejectedCapture],
) -> Restored:
    """Write what a plan says into a store. Can be repeated after an interruption; the site decides again at its end."""
    keys = SiteKeys(site)
    if script.store_id:
        await script.link.command("SET", STORE, script.store_id, "NX")  # an empty store becomes the pinned one again
    await script.verify()
    config = config_arguments(plan.config, by="sideline restore", why="restored from the topics")
    await script.ask(keys, "restore_begin", (str(len(lines)), *lines, *config))
    counts: dict[bytes, int] = defaultdict(int)
    outcomes = plan.outcomes(decisions)
    while batch := list(islice(outcomes, _BATCH)):
        calls = [script.call(keys, "restore_outcome", _arguments(one), _outcome_keys(keys, one)) for one in batch]
        for one, answer in zip(batch, await script.link.run_many(calls), strict=True):
            await script.check(site, answer, about=one.decision.capture_id)
            counts[answer[0]] += 1
    rejections = iter(rejected)  # behind the decisions: a rejection that became one is known by then
    while refused := list(islice(rejections, _BATCH)):
        calls = [
            script.call(keys, "restore_rejection", one.arguments(), (keys.outcome(one.capture_id),)) for one in refused
        ]
        counts[b"rejections"] += sum(answer[0] == b"restored" for answer in await script.link.run_many(calls))
    answers = plan.answers()
    while spoken := list(islice(answers, _BATCH)):
        await script.link.run_many(
            [
                script.call(keys, "restore_verdict", (answer,), (keys.verdict(disposition_id),))
                for disposition_id, answer in spoken
            ]
        )
    of_lines = [each for pair in plan.line_seqs.items() for each in pair]
    ended = await script.ask(keys, "restore_end", (plan.seq, plan.config_version, *of_lines))
    for fusion_version, scores in plan.scores.items():
        if len(scores) >= MIN_NEGATIVES:
            start = warm_start(scores, prior_captures=len(scores))
            extra = (keys.threshold(fusion_version), keys.scores(fusion_version))
            arguments: list[Argument] = [fusion_version, *start.arguments()]
            await script.ask(keys, "warm", arguments, extra)
    await script.link.command("HSETNX", SITES, site, str(int(datetime.now(UTC).timestamp() * 1000)))
    restored = Restored(
        outcomes=counts[b"restored"],
        known=counts[b"known"],
        past=counts[b"past"],
        unreadable=plan.unreadable,
        open_stops=int(ended[1]),
        seq=int(ended[2]),
        config_version=int(ended[3]),
        rejections=counts[b"rejections"],
    )
    _log.info("site restored", site=site, outcomes=restored.outcomes, open_stops=restored.open_stops, seq=restored.seq)
    return restored


def _outcome_keys(keys: SiteKeys, one: RestoredOutcome) -> tuple[str, str, str]:
    unit_id = one.decision.unit_id
    return keys.outcome(one.decision.capture_id), keys.unit(unit_id), keys.last(unit_id)


def _arguments(one: RestoredOutcome) -> tuple[Argument, ...]:
    decision = one.decision
    return (
        decision.capture_id,
        decision.unit_id,
        decision.divert.value,
        one.token,
        int(decision.decided_at.timestamp() * 1000),
        "",  # the digest is not on the topic: any bytes under this id get this outcome
        one.raw,
        one.sidelined,
        decision.line if decision.line_seq is not None and decision.divert is Divert.DAMAGE else "",
        int(bool(decision.rejections)),
    )


def _judged_at(spoken: _Spoken) -> datetime:
    return spoken.disposition.judged_at
