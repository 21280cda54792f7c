"""The figures of a run, computed from the topics read back, and the file they end in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from cli.checker.alarms import is_false_alarm, settling_verdicts, worst_false_alarms
from cli.checker.catch import catch
from cli.checker.charge import Charge
from cli.checker.findings import Finding
from cli.checker.reading import Reading
from cli.checker.undetermined import explaining
from schemas.messages import Decision
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome

FILE: Final = "summary.json"


class Identities(msgspec.Struct, frozen=True, kw_only=True):
    """How units were identified; `wrong` named another product than the booth showed, `conflict` met two claims."""

    scan: int
    barcode: int
    image: int
    none: int
    wrong: int
    conflict: int


class WorstWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The run of decisions whose false alarms came closest to their cap."""

    first_seq: int
    last_seq: int
    false_alarms: int
    allowed: float


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """How long the partitions of a killed inspector were silent."""

    killed: str
    partitions: int
    seconds: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `summary.json` says. Latencies are ms from the broker's append of a capture to its decision.

    `sidelined` counts stops for damage or identity; audits are passes that a person also sees, so `diverts` counts
    them too. `false_positives` are stops for damage that no verdict confirmed (P5a); `true_positives` and `missed`
    are counted against the booth's truth.
    """

    captures: int
    decisions: int
    passed: int
    sidelined: int
    withheld: int
    undetermined: int
    dead_letters: int
    redelivered: int  # times a decision was emitted again, with the same bytes
    false_positives: int
    true_positives: int
    missed: int
    budget_allowed: float  # alpha x decided captures + burst
    p50_ms: float
    p99_ms: float
    captures_per_s: float
    identity: Identities
    # Beyond what the acceptance asks for.
    site: str = ""
    seed: int = 0
    scenario: str = "steady"
    alpha: float = 0.0
    burst: float = 0.0
    allowance_used: float = 0.0
    worst_window: WorstWindow | None = None
    rejected: int = 0
    diverts: int = 0
    sidelined_events: int = 0
    identity_sidelines: int = 0
    audits: int = 0
    damaged: int = 0
    random_true_positives: float = 0.0
    luck: float = 1.0  # probability that random stops catch as many
    hindsight_true_positives: int = 0  # of one threshold, chosen afterwards, at as many stops of intact units
    undetermined_reasons: dict[str, int] = {}
    undetermined_explained: dict[str, int] = {}  # by outage
    takeovers: list[Takeover] = []
    story: list[tuple[str, str, str]] = []  # what the scenario has to say: what, how many, what that means
    seconds: float = 0.0
    failures: list[str] = []


def summarise(
    reading: Reading,
    charge: Charge,
    findings: Sequence[Finding],
    *,
    site: str,
    seed: int,
    scenario: str,
    takeovers: Sequence[Takeover] = (),
    story: Sequence[tuple[str, str, str]] = (),
    seconds: float = 0.0,
) -> Summary:
    """Compute the figures of a run from its topics and the booth's truth."""
    decided = reading.decided()
    decisions = list(decided.values())
    in_sequence = reading.in_sequence()
    confirmed = {key: verdict.confirms for key, verdict in settling_verdicts(reading, charge.terms).items()}
    alarms = sum(is_false_alarm(one, confirmed) for one in in_sequence)
    allowed = charge.terms.allowed(len(in_sequence))
    found = catch(in_sequence, charge.truth)
    damaged = sum(fact.damaged for fact in charge.truth.values())
    delays_ms = latencies_ms(reading)
    undetermined = [one for one in decisions if one.outcome == Outcome.UNDETERMINED]
    explained = (explaining(reading, one.capture_id, charge.outages) for one in undetermined)
    return Summary(
        captures=len(reading.captures),
        decisions=len(decisions),
        passed=sum(one.action == Action.PASS for one in decisions),
        sidelined=sum(one.action == Action.SIDELINE for one in decisions),
        withheld=sum(one.withheld for one in decisions),
        undetermined=len(undetermined),
        dead_letters=len(reading.dead),
        redelivered=sum(len(emissions) - 1 for emissions in reading.decisions.values()),
        false_positives=alarms,
        true_positives=found.hits,
        missed=damaged - found.hits,
        budget_allowed=round(allowed, 2),
        p50_ms=percentile(delays_ms, 0.50),
        p99_ms=percentile(delays_ms, 0.99),
        captures_per_s=_rate(reading),
        identity=_identities(decisions, charge),
        site=site,
        seed=seed,
        scenario=scenario,
        alpha=charge.terms.alpha / MICRO,
        burst=charge.terms.burst / MICRO,
        allowance_used=round(alarms / allowed, 4) if allowed else 0.0,
        worst_window=_worst_window(reading, charge),
        rejected=len(reading.captures.keys() - decided.keys()),  # a refused capture has a dead letter, no decision
        diverts=sum(one.divert != Divert.NONE for one in decisions),
        sidelined_events=len(reading.sidelined),
        identity_sidelines=sum(one.divert == Divert.IDENTITY for one in decisions),
        audits=sum(one.divert == Divert.AUDIT for one in decisions),
        damaged=damaged,
        random_true_positives=round(found.by_chance, 2),
        luck=float(f"{found.luck:.3g}"),
        hindsight_true_positives=found.in_hindsight,
        undetermined_reasons=dict(Counter(one.reason for one in undetermined)),
        undetermined_explained=dict(Counter(outage.what for outage in explained if outage is not None)),
        takeovers=list(takeovers),
        story=list(story),
        seconds=round(seconds, 1),
        failures=[str(finding) for finding in findings],
    )


def latencies_ms(reading: Reading) -> list[float]:
    """Return for each decided capture the ms from the broker's append time to the store's decision, sorted."""
    return sorted(
        emissions[0].message.decided_at.timestamp() * 1000 - min(one.append_ms for one in reading.captures[capture_id])
        for capture_id, emissions in reading.decisions.items()
        if emissions[0].message.outcome == Outcome.DECIDED and capture_id in reading.captures
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the sorted values do not exceed; 0 when there are none."""
    if not ordered:
        return 0.0
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 1)


def write_summary(summary: Summary, run_dir: Path) -> Path:
    """Write `summary.json` in the run folder and return its path."""
    path = run_dir / FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    return path


def _worst_window(reading: Reading, charge: Charge) -> WorstWindow | None:
    in_sequence = reading.in_sequence()
    confirmed = {key: verdict.confirms for key, verdict in settling_verdicts(reading, charge.terms).items()}
    window = worst_false_alarms(in_sequence, confirmed, charge.terms)
    if window is None:
        return None
    return WorstWindow(
        first_seq=in_sequence[window.first].seq or 0,
        last_seq=in_sequence[window.last].seq or 0,
        false_alarms=window.events,
        allowed=round(window.allowed / MICRO, 2),
    )


def _rate(reading: Reading) -> float:
    sent_ms = [one.append_ms for deliveries in reading.captures.values() for one in deliveries]
    answered_ms = [emissions[0].message.decided_at.timestamp() * 1000 for emissions in reading.decisions.values()]
    if not sent_ms or not answered_ms:
        return 0.0
    return round(len(reading.decisions) / max(1e-3, (max(answered_ms) - min(sent_ms)) / 1000), 2)


def _identities(decisions: Sequence[Decision], charge: Charge) -> Identities:
    methods = Counter(one.identity.method if one.identity else IdentityMethod.NONE for one in decisions)
    return Identities(
        scan=methods[IdentityMethod.SCAN],
        barcode=methods[IdentityMethod.BARCODE],
        image=methods[IdentityMethod.IMAGE],
        none=methods[IdentityMethod.NONE] + methods[IdentityMethod.UNKNOWN],
        wrong=sum(_is_wrong(one, charge) for one in decisions),
        conflict=sum(one.identity is not None and one.identity.conflict for one in decisions),
    )


def _is_wrong(decision: Decision, charge: Charge) -> bool:
    named = decision.identity.product_id if decision.identity else None
    fact = charge.truth.get(decision.capture_id)
    return named is not None and fact is not None and fact.product_id is not None and named != fact.product_id
