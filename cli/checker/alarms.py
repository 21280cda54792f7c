"""Promises P5a and P5b on the topics: which stops nobody confirmed, and the windows that came closest to a cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cli.checker.findings import Finding, Rule
from cli.checker.reading import FirstVerdict, Reading
from cli.checker.tokens import Terms
from cli.checker.windows import Window, worst_window
from schemas.messages import Decision
from schemas.words import MICRO, Divert

FLOOD_USE: Final = 0.9  # share of the allowance that a flood must use up, or the cap was not what held it back


def settling_verdicts(reading: Reading, terms: Terms) -> dict[str, FirstVerdict]:
    """Return for each stop that holds a token the verdict that settled it: the first in time, by capture or by unit."""
    settled: dict[str, FirstVerdict] = {}
    for capture_id, decision in reading.decided().items():
        if decision.divert not in {Divert.DAMAGE, Divert.IDENTITY}:
            continue
        decided_ms = decision.decided_at.timestamp() * 1000
        by_unit = reading.unit_verdicts.get(decision.unit_id, ())
        heard = [
            *reading.verdicts.get(capture_id, ()),
            *(one for one in by_unit if one.append_ms >= decided_ms),  # an earlier one spoke of an earlier visit
        ]
        in_time = [one for one in heard if one.append_ms - decided_ms <= terms.verdict_timeout_ms]
        if in_time:
            settled[capture_id] = min(in_time, key=lambda one: one.append_ms)
    return settled


def is_false_alarm(decision: Decision, confirmed: Mapping[str, bool]) -> bool:
    """Whether a unit was stopped for damage and nobody has confirmed it: no verdict yet counts as a no."""
    return _is_unconfirmed(decision, Divert.DAMAGE, confirmed)


def _is_unconfirmed(decision: Decision, divert: Divert, confirmed: Mapping[str, bool]) -> bool:
    return decision.divert == divert and not confirmed.get(decision.capture_id, False)


def worst_false_identities(
    in_sequence: Sequence[Decision], confirmed: Mapping[str, bool], terms: Terms
) -> Window | None:
    """Return the window in which unconfirmed stops for identity came closest to their own cap; None without one."""
    if terms.alpha_identity is None or terms.burst_identity is None:
        return None
    false = [_is_unconfirmed(one, Divert.IDENTITY, confirmed) for one in in_sequence]
    return worst_window(false, rate=terms.alpha_identity, burst=terms.burst_identity)


def worst_false_alarms(in_sequence: Sequence[Decision], confirmed: Mapping[str, bool], terms: Terms) -> Window | None:
    """Return the window of seq in which false alarms came closest to their cap."""
    return worst_window([is_false_alarm(one, confirmed) for one in in_sequence], rate=terms.alpha, burst=terms.burst)


def worst_diverts(in_sequence: Sequence[Decision], terms: Terms) -> Window | None:
    """Return the window of seq in which diverts of all kinds came closest to the station's cap; None without one."""
    if terms.beta is None or terms.station_burst is None:
        return None
    diverted = [one.divert != Divert.NONE for one in in_sequence]
    return worst_window(diverted, rate=terms.beta, burst=terms.station_burst)


def check_windows(in_sequence: Sequence[Decision], confirmed: Mapping[str, bool], terms: Terms) -> list[Finding]:
    """Promises P5a and P5b."""
    worst = (
        (Rule.FALSE_ALARMS, "false alarms", worst_false_alarms(in_sequence, confirmed, terms)),
        (Rule.IDENTITIES, "false identity stops", worst_false_identities(in_sequence, confirmed, terms)),
        (Rule.STATION, "diverts", worst_diverts(in_sequence, terms)),
    )
    return [
        Finding(
            rule,
            f"seq {in_sequence[window.first].seq} to {in_sequence[window.last].seq} hold {window.events} {what}, "
            f"allowed are {window.allowed / MICRO:.2f}",
        )
        for rule, what, window in worst
        if window is not None and not window.holds
    ]


def check_flood(in_sequence: Sequence[Decision], confirmed: Mapping[str, bool], terms: Terms) -> list[Finding]:
    """With every score raised it must be the budget that holds the stops back, and nearly all of it must be used."""
    findings = []
    if not any(one.withheld for one in in_sequence):
        findings.append(Finding(Rule.FLOOD, "no decision was withheld, so the cap never bound"))
    alarms = sum(is_false_alarm(one, confirmed) for one in in_sequence)
    allowed = terms.allowed(len(in_sequence))
    if alarms < FLOOD_USE * allowed:
        findings.append(
            Finding(
                Rule.FLOOD,
                f"{alarms} false alarms use {alarms / allowed:.0%} of the {allowed:.1f} "
                f"allowed, less than {FLOOD_USE:.0%}",
            )
        )
    return findings
