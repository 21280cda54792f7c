"""A report on disk: `report.json` for machines, `report.html` for people, complete in one file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from training.evaluation import curves, page
from training.evaluation.figures import HEADLINE, Figures, figures
from training.evaluation.metrics import ALWAYS, RATES
from training.evaluation.mistakes import Mistake, pictured, worst_rows
from training.evaluation.rows import About, Row
from training.evaluation.source import Source
from training.evaluation.table import Table
from training.scores import threshold_at

JSON: Final = "report.json"
HTML: Final = "report.html"


@dataclass(frozen=True, slots=True)
class Report:
    """What `report.json` holds."""

    made_at: str
    command: str
    about: About
    figures: Figures


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is made with. Without `source` it has no pictures of mistakes."""

    command: str
    prevalence: float
    least: int  # captures that a slice needs to be named the worst
    source: Source | None = None
    rates: Sequence[float] = ()  # of false positives that recall is told at, besides `metrics.RATES`


def write(
    about: About,
    rows: Sequence[Row],
    out: Path,
    wanted: Wanted,
    *,
    say: Callable[[str, int, int], None],
) -> Report:
    """Make a report of rows and write both files, each whole or not at all.

    Raises:
        Fatal: there is no capture with a truth.
    """
    say("figures", 0, 1)
    rates = sorted({*RATES, *wanted.rates}, reverse=True)
    found = figures(about, rows, prevalence=wanted.prevalence, least=wanted.least, rates=rates)
    say("figures", 1, 1)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    report = Report(made_at=made_at, command=wanted.command, about=about, figures=found)
    out.mkdir(parents=True, exist_ok=True)
    _put(out / JSON, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    table = Table.of(rows)
    alarms = _mistakes(table, wanted.source, damaged=False, say=say)
    misses = _mistakes(table, wanted.source, damaged=True, say=say)
    drawings = draw(table, found)
    _put(out / HTML, page.render(report, drawings, alarms, misses).encode())
    return report


def draw(table: Table, found: Figures) -> dict[str, bytes]:
    """Return the curves by title."""
    tables = {each.way: table.where(table.answered(each.way)) for each in found.ways}
    both = {way: part for way, part in tables.items() if part.damaged.any() and not part.damaged.all()}
    if not both:
        return {}
    head = tables.get(HEADLINE, next(iter(both.values())))
    way = HEADLINE if HEADLINE in tables else next(iter(both))
    scores = head.scores(way)
    return {
        "Recall by false positive rate": curves.roc(both),
        "Precision by recall": curves.precision_recall(both),
        "What was said, and what was found": curves.reliabilities(
            {each.way: each.reliability for each in found.ways if each.way in both}
        ),
        f"Scores, {way.value}": curves.histogram(scores, head.damaged, threshold_at(scores, head.damaged, ALWAYS)),
    }


def _mistakes(
    table: Table, source: Source | None, *, damaged: bool, say: Callable[[str, int, int], None]
) -> list[Mistake]:
    if source is None:
        return []
    worst = worst_rows(table, HEADLINE, damaged=damaged)
    stage = "misses" if damaged else "false alarms"
    return pictured(worst, HEADLINE, source, lambda done: say(stage, done, len(worst)))


def _put(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(path.suffix + ".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
