"""A what-if on the screen, as a table of every capture, and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.replay.estimate import Estimate
from cli.replay.tally import Sample, Tally, sample, tally
from cli.replay.whatif import Compared
from schemas.words import Divert

CSV: Final = "captures.csv"


def said(compared: Compared, changes: Sequence[str]) -> Group:
    """Return the table, and below it how far it can be trusted."""
    drawn = sample(compared.rows, compared.labels)
    tallies = [tally(compared.rows, way, compared.labels, drawn) for way in compared.ways]
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(compared.rows):,} decided captures, with {', '.join(changes)}")
    table.add_column("")
    for way in compared.ways:
        table.add_column(way.name, justify="right")
    lines: tuple[tuple[str, Callable[[Tally], str]], ...] = (
        ("sidelined for damage", lambda one: f"{one.diverts.get(Divert.DAMAGE, 0):,}"),
        ("sidelined for identity", lambda one: f"{one.diverts.get(Divert.IDENTITY, 0):,}"),
        ("audited", lambda one: f"{one.diverts.get(Divert.AUDIT, 0):,}"),
        ("withheld, and what was lacking", _withheld),
        ("caught: sidelined, a verdict says damaged", lambda one: f"{one.caught:,}"),
        ("missed: passed, a verdict says damaged", lambda one: f"{one.missed:,}"),
        ("false alarms by verdict", lambda one: f"{one.false_alarms:,}"),
        ("sidelined, nobody judged them", lambda one: f"{one.unknown:,}"),
        ("caught, estimated (95 %)", lambda one: _about(one.caught_about)),
        ("missed, estimated (95 %)", lambda one: _about(one.missed_about)),
        ("false alarms, estimated (95 %)", lambda one: _about(one.false_about)),
        ("worst window: unconfirmed of allowed", lambda one: f"{one.unconfirmed} of {one.allowed:.1f}"),
    )
    for name, cell in lines:
        table.add_row(name, *map(cell, tallies))
    return Group(table, *(Text(line) for line in trust(compared, drawn)))


def trust(compared: Compared, drawn: Sample) -> list[str]:
    """Say in words what the figures rest on."""
    judged = sum(row.capture_id in compared.labels for row in compared.rows)
    lines = [
        f"Simulated without a change, {compared.agreeing:.2%} of the captures are diverted as they were.",
        f"A verdict is known of {judged:,} of {len(compared.rows):,} captures. A sidelined unit that nobody judged is",
        f"taken to be {compared.unjudged.value} after the usual delay (--unjudged), and counted as not judged.",
    ]
    if drawn.weights:
        lines.append(
            f"Estimates rest on {drawn.judged:,} judged of {drawn.drawn:,} audits, each standing for up to "
            f"{drawn.largest:,.0f} passes."
        )
    else:
        lines.append("No audit has a verdict, so nothing can be said of captures that nobody judged.")
    if drawn.undrawn:
        lines.append(f"{drawn.undrawn:,} captures passed while no audit was configured: no estimate reaches them.")
    return lines


def write_csv(compared: Compared, folder: Path) -> Path:
    """Write a line per capture and return the file. Scores and thresholds are micro-log-odds."""
    path = folder / CSV
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        sides = ("recorded", "unchanged", "changed")  # the three ways
        columns = ("divert", "withheld", "reason", "score", "threshold")
        writer.writerow(
            ["seq", "capture_id", "unit_id", "line", "decided_at", "verdict", "audit_ppm"]
            + [f"{side}_{column}" for side in sides for column in columns]
        )
        for row, *outcomes in zip(compared.rows, *(way.outcomes for way in compared.ways), strict=True):
            label = compared.labels.get(row.capture_id)
            writer.writerow(
                [
                    row.seq,
                    row.capture_id,
                    row.request.unit_id,
                    row.request.line,
                    row.decided_at.isoformat(timespec="milliseconds"),
                    "" if label is None else label.verdict.value,
                    row.audit_ppm,
                ]
                + [
                    cell
                    for one in outcomes
                    for cell in (one.divert.value, int(one.withheld), one.reason, one.score, one.threshold)
                ]
            )
    return path


def _withheld(counted: Tally) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counted.withheld.items()))
    return reasons or "0"


def _about(estimate: Estimate | None) -> str:
    return "unknown" if estimate is None else str(estimate)
