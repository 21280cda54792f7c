"""A recorded range as it would have gone with another calibration or another budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from budget.config import BudgetConfig
from cli.here import Line
from cli.replay.exact import Seen
from cli.replay.gather import Configurations, Range, Records, Say, gather, hear
from cli.replay.known import Missing
from cli.replay.rows import Row, in_sequence
from cli.replay.simulate import Label, Outcome, Simulation, Unjudged, labels_of, recorded
from cli.site import changed as with_changes
from evidence.calibration import Calibration
from feedback.labels import join
from schemas.faults import Fatal

_SAY_EVERY = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be otherwise: the file of another calibration, and fields of the budget's configuration."""

    fusion: Path | None = None
    settings: Sequence[str] = ()
    unjudged: Unjudged = Unjudged.CLEARED

    def words(self) -> list[str]:
        """Say what is changed, as it was typed."""
        return [*self.settings, *([] if self.fusion is None else [f"the calibration {self.fusion}"])]


@dataclass(frozen=True, slots=True)
class Cap:
    """The largest alpha (ppm) and burst (tokens) that were in force in a range: what P5a allows at most."""

    alpha_ppm: int
    burst_tokens: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way that a range went, or might have gone: an outcome for each row, and the cap that it had to keep."""

    name: str
    outcomes: Sequence[Outcome]
    cap: Cap


@dataclass(frozen=True, slots=True)
class Compared:
    """The captures of a range, the verdicts on them, and the three ways: on record, simulated unchanged, changed."""

    rows: Sequence[Row]
    labels: Mapping[str, Label]
    unjudged: Unjudged
    on_record: Way
    unchanged: Way
    changed: Way

    @property
    def ways(self) -> tuple[Way, Way, Way]:
        """All three."""
        return self.on_record, self.unchanged, self.changed

    @property
    def agreeing(self) -> float:
        """Share of captures that the simulation without a change diverts as the line did."""
        pairs = zip(self.on_record.outcomes, self.unchanged.outcomes, strict=True)
        return sum(one.divert is other.divert for one, other in pairs) / len(self.rows)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose records, which of them, what is changed, and the calibrations at hand by version."""

    line: Line
    site: str
    span: Range
    changes: Changes
    calibrations: Mapping[str, Calibration]


async def compare(wanted: Wanted, records: Records, configs: Configurations, say: Say) -> Compared:
    """Read the whole sequence, run it as it was and with the changes, and return what lies in the range.

    Raises:
        Fatal: a configuration is not at hand or cannot hold, the calibration is of other models, records are unsound,
            or no decision lies in the range.
        Retryable: `redis` or `kafka` is away.
    """
    other = None if wanted.changes.fusion is None else Calibration.load(wanted.changes.fusion)
    seen = Seen()
    sequence = await gather(records, configs, other, seen.note)
    if unsound := len(records.read.unreadable) + len(records.read.twice):
        raise Fatal(f"{unsound} records cannot be read or contradict another: replay without a change names them")
    missing = Missing()
    missing.configs = sequence.missing
    missing.check(wanted.site)
    rows = in_sequence(sequence.rows)
    inside = [wanted.span.holds(row.decided_at) for row in rows]
    seen.check(wanted.site, sum(inside))
    docket = join(wanted.site, sequence.stops, await hear(wanted.line, wanted.site))
    labels = labels_of(docket)
    calibrations = {**wanted.calibrations, **({} if other is None else {other.version: other})}
    changed = {version: _apply(config, wanted.changes) for version, config in configs.known.items()}
    shown = [row for row, wanted_one in zip(rows, inside, strict=True) if wanted_one]

    def simulated(name: str, in_force: Mapping[int, BudgetConfig], *, rescore: bool) -> Way:
        simulation = Simulation(rows, labels, in_force, calibrations, rescore=rescore, unjudged=wanted.changes.unjudged)
        outcomes = simulation.run(_telling(say, name, len(rows)))
        kept = [outcome for outcome, wanted_one in zip(outcomes, inside, strict=True) if wanted_one]
        return Way(name, kept, _cap(shown, in_force))

    return Compared(
        rows=shown,
        labels=labels,
        unjudged=wanted.changes.unjudged,
        on_record=Way("on record", recorded(shown), _cap(shown, configs.known)),
        unchanged=simulated("as it was", configs.known, rescore=False),
        changed=simulated("with changes", changed, rescore=True),
    )


def _apply(config: BudgetConfig, changes: Changes) -> BudgetConfig:
    if not changes.settings:
        return config
    try:
        return with_changes(config, changes.settings).check()
    except Fatal as error:
        raise Fatal(f"what if: {error}") from None


def _cap(rows: Sequence[Row], configs: Mapping[int, BudgetConfig]) -> Cap:
    in_force = [configs[version] for version in {row.config_version for row in rows}]
    return Cap(max(one.alpha_ppm for one in in_force), max(one.burst_tokens for one in in_force))


def _telling(say: Say, stage: str, total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if done % _SAY_EVERY == 0 or done == total:
            say(stage, done, total)

    return tell
