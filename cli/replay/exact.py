"""Every record of a range made again, and compared with what is on record bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group
from rich.text import Text

from cli.replay.chain import Break, Link, breaks, link_of
from cli.replay.gather import Configurations, Range, Records
from cli.replay.known import Missing
from cli.replay.recompute import Difference, differences, is_whole
from evidence.calibration import Calibration
from schemas.faults import Fatal
from schemas.messages import Decision

SHOWN: Final = 50  # unequal records on the screen; --out has all


@dataclass(slots=True)
class Replayed:
    """How a range came out. `partial` counts the equal ones of older builds, which do not hold all accounts."""

    records: int = 0
    scored: int = 0
    partial: int = 0
    unequal: dict[str, tuple[int | None, list[Difference]]] = field(default_factory=dict)  # capture -> seq, what
    broken: list[Break] = field(default_factory=list)
    again: int = 0
    twice: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def equal(self) -> int:
        """How many records came out as they are."""
        return self.records - len(self.unequal)

    @property
    def holds(self) -> bool:
        """Whether everything came out as it is on record."""
        return not (self.unequal or self.broken or self.twice or self.unreadable)

    def faults(self) -> Iterator[str]:
        """Say each thing that is not as it should be."""
        for capture_id, (seq, found) in self.unequal.items():
            place = "without a seq" if seq is None else f"seq {seq}"
            yield f"{capture_id} ({place}): " + "; ".join(str(one) for one in found)
        for one in self.broken:
            yield f"{one.capture_id} (seq {one.seq}): {one.why}"
        for capture_id in self.twice:
            yield f"{capture_id}: the topic has two different decisions of it"
        for where in self.unreadable:
            yield f"unreadable record at {where}"


async def replay(
    site: str, records: Records, configs: Configurations, calibrations: Mapping[str, Calibration], span: Range
) -> Replayed:
    """Make every decision of the range again.

    Raises:
        Fatal: a version is not at hand, or no decision lies in the range.
        Retryable: `redis` or `kafka` is away.
    """
    found, missing, links, seen = Replayed(), Missing(), list[Link](), Seen()
    async for decision in records.decisions(span.since):
        seen.note(decision)
        if not span.holds(decision.decided_at):
            continue
        await configs.want(decision)
        found.records += 1
        if missing.note(decision, calibrations, configs.known):
            continue
        _compare(found, decision, configs, calibrations)
        link = link_of(decision)
        if link is not None:
            links.append(link)
    missing.check(site)
    seen.check(site, found.records)
    found.broken = list(breaks(links, configs.known))
    found.again, found.twice, found.unreadable = records.read.again, records.read.twice, records.read.unreadable
    return found


class Seen:
    """From when to when the decisions were that came by, for a range that holds none of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._first: Decision | None = None
        self._last: Decision | None = None

    def note(self, decision: Decision) -> None:
        """See one."""
        if self._first is None or decision.decided_at < self._first.decided_at:
            self._first = decision
        if self._last is None or decision.decided_at > self._last.decided_at:
            self._last = decision

    def check(self, site: str, records: int) -> None:
        """Refuse an empty range.

        Raises:
            Fatal: saying what there is.
        """
        if records:
            return
        if self._first is None or self._last is None:
            raise Fatal(f"site {site} has no decision from then on: sideline tail decisions --from-beginning lists all")
        raise Fatal(
            f"no decision of the site lies in the range; {site} has some from {self._first.decided_at.isoformat()} "
            f"to {self._last.decided_at.isoformat()}"
        )


def _compare(
    found: Replayed, decision: Decision, configs: Configurations, calibrations: Mapping[str, Calibration]
) -> None:
    calibration = None
    if decision.score is not None and decision.versions is not None:
        calibration = calibrations[decision.versions.fusion]
    config = configs.known.get(decision.config_version or 0)
    if config is None:
        found.unequal[decision.capture_id] = decision.seq, [Difference("config_version", None, "named")]
        return
    found.scored += decision.score is not None
    if unequal := differences(decision, calibration, config):
        found.unequal[decision.capture_id] = decision.seq, unequal
    elif not is_whole(decision):
        found.partial += 1


def said(site: str, found: Replayed, seconds: float) -> Group:
    """Return the result as a person reads it."""
    lines = [
        Text(
            f"{site}: {found.equal:,} of {found.records:,} decisions come out of their records as they are "
            f"({found.scored:,} with a score; {found.records / max(seconds, 1e-9):,.0f} records/s)",
            style="green" if found.holds else "bold red",
        )
    ]
    if found.again:
        lines.append(Text(f"{found.again:,} records were sent again, with the same bytes"))
    if found.partial:
        lines.append(
            Text(
                f"{found.partial:,} are of a build that recorded neither the lot nor the accounts of identity and "
                "station: what these decided was taken from the divert"
            )
        )
    faults = list(found.faults())
    lines += [Text(fault, style="red") for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(Text(f"... and {len(faults) - SHOWN:,} more: --out DIR writes all", style="red"))
    return Group(*lines)
