"""The first verdict in time on each divert is its label: the settler's rule, told again from the topics.

Verdicts count in the order and at the times in which the broker got them, which is how the settler meets them. One rule
is the store's alone: its clock, not the broker's, says whether a verdict came in time, so a verdict that the settler
took up seconds after the timeout may be in time here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.messages import Decision, Disposition
from schemas.words import DamageKind, Divert, Severity, Verdict

SPOKEN: Final = (Verdict.DAMAGED, Verdict.SELLABLE, Verdict.WRONG_ITEM)  # verdicts that know something of the unit


@dataclass(frozen=True, slots=True)
class Heard:
    """A disposition as the broker got it; `append_ms` is the broker's time, Unix milliseconds."""

    disposition: Disposition
    append_ms: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What a verdict says of damage. `damaged` is None where it says nothing: a wrong item may be whole or not."""

    damaged: bool | None
    kinds: frozenset[DamageKind] = frozenset()
    severity: Severity = Severity.NONE  # UNKNOWN where damaged and nobody said how badly


@dataclass(slots=True)
class Stop:
    """A divert, from its decision until `timeout_ms` later open for a first verdict."""

    decision: Decision
    timeout_ms: int
    first: Heard | None = None  # in time
    later: list[Heard] = field(default_factory=list)  # they revise, and count for nothing but to be known

    @property
    def decided_ms(self) -> int:
        """When it was decided, Unix milliseconds."""
        return round(self.decision.decided_at.timestamp() * 1000)

    @property
    def open_until_ms(self) -> int:
        """From this moment on a verdict is too late."""
        return self.decided_ms + self.timeout_ms

    @property
    def contradicted(self) -> bool:
        """Whether people disagree, or the label disagrees with itself: sellable, with kinds of damage."""
        said = [heard.disposition for heard in ([self.first] if self.first else []) + self.later]
        spoken = {one.verdict for one in said if one.verdict in SPOKEN}
        return len(spoken) > 1 or any(_at_odds(one) for one in said)

    def hear(self, heard: Heard) -> None:
        """Take a verdict on this stop."""
        if self.first is None and heard.append_ms < self.open_until_ms:
            self.first = heard
        else:
            self.later.append(heard)


@dataclass(frozen=True, slots=True)
class Docket:
    """All diverts with what was said of them. `left_out` counts dispositions by why they settled nothing here.

    `refused` ones are dead letters (no subject, a verdict unknown today, another site, an id used twice for two
    things), `repeated` ones came again, `elsewhere` ones speak of captures that were not diverted, or not in the range.
    """

    stops: tuple[Stop, ...]
    left_out: Counter[str]


def join(site: str, stops: Iterable[Stop], heard: Sequence[Heard]) -> Docket:
    """Give every stop its verdicts. `heard` is in the order of the broker's times."""
    by_capture: dict[str, Stop] = {}
    by_unit: dict[str, list[Stop]] = defaultdict(list)
    for stop in stops:
        if stop.decision.divert is Divert.NONE or stop.decision.capture_id in by_capture:
            continue  # a decision comes again with the same bytes
        by_capture[stop.decision.capture_id] = stop
        by_unit[stop.decision.unit_id].append(stop)
    left_out: Counter[str] = Counter()
    known: dict[str, Disposition] = {}
    for one in heard:
        said = one.disposition
        if said.disposition_id in known:
            left_out["repeated" if known[said.disposition_id] == said else "refused"] += 1
            continue
        if said.site != site or said.verdict is Verdict.UNKNOWN or (said.capture_id is None and said.unit_id is None):
            left_out["refused"] += 1
            continue
        known[said.disposition_id] = said
        meant = _meant(one, by_capture, by_unit)
        left_out["elsewhere"] += not meant
        for stop in meant:
            stop.hear(one)
    return Docket(tuple(by_capture.values()), +left_out)


def truth_of(disposition: Disposition) -> Truth:
    """Return what a verdict says of damage; kinds and severities of tomorrow are left out."""
    match disposition.verdict:
        case Verdict.DAMAGED:
            graded = disposition.severity in {Severity.MINOR, Severity.MAJOR}
            return Truth(
                damaged=True,
                kinds=frozenset(disposition.kinds) - {DamageKind.UNKNOWN},
                severity=disposition.severity if graded else Severity.UNKNOWN,
            )
        case Verdict.SELLABLE:
            return Truth(damaged=False)
    return Truth(damaged=None, severity=Severity.UNKNOWN)


def _meant(heard: Heard, by_capture: dict[str, Stop], by_unit: dict[str, list[Stop]]) -> list[Stop]:
    """Return the stops a verdict speaks of: its capture's, else all open ones of the unit, else the unit's newest."""
    said = heard.disposition
    if said.capture_id is not None:
        return [by_capture[said.capture_id]] if said.capture_id in by_capture else []
    seen = [stop for stop in by_unit.get(said.unit_id or "", ()) if stop.decided_ms <= heard.append_ms]
    waiting = [stop for stop in seen if stop.first is None and heard.append_ms < stop.open_until_ms]
    return waiting or sorted(seen, key=lambda stop: stop.decided_ms)[-1:]


def _at_odds(said: Disposition) -> bool:
    graded = said.severity in {Severity.MINOR, Severity.MAJOR}
    return said.verdict is Verdict.SELLABLE and (bool(said.kinds) or graded)
