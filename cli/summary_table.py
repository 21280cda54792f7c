"""The summary of a run as a person reads it: one table, then what failed, if anything did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.summary import Summary

LIKELY: Final = 0.5
Row = tuple[str, str, str]  # what, how many, and what that means


def render(summary: Summary) -> RenderableType:
    """Return the summary as a table, followed by the verdict on the run."""
    table = Table(
        box=None, show_header=False, padding=(0, 3, 0, 0), title=_title(summary), title_justify="left", pad_edge=False
    )
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    for section in (_outcomes(summary), _damage(summary), _identity(summary), summary.story, _speed(summary)):
        if not section:
            continue
        table.add_row()
        for row in section:
            table.add_row(*row)
    return Group(table, Text(), _verdict(summary))


def _title(summary: Summary) -> str:
    return f"{summary.captures} captures · site {summary.site} · seed {summary.seed} · {summary.scenario}"


def _outcomes(summary: Summary) -> Iterator[Row]:
    yield "passed", str(summary.passed), f"{summary.audits} of them also go to a person, as audits"
    yield "sidelined", str(summary.sidelined), f"{summary.identity_sidelines} of them for their identity"
    yield "withheld", str(summary.withheld), "above the threshold, but the budget had no token"
    yield "undetermined", str(summary.undetermined), _undetermined(summary)
    if summary.rejected:
        yield "rejected", str(summary.rejected), "captures that nobody can process; see the dead letters"
    yield "dead letters", str(summary.dead_letters), "each with its reason: sideline tail dead"
    yield "redelivered", str(summary.redelivered), "decisions emitted again, with the same bytes"


def _undetermined(summary: Summary) -> str:
    if not summary.undetermined:
        return "no decision in time"
    reasons = ", ".join(f"{number} {reason}" for reason, number in summary.undetermined_reasons.items())
    explained = ", ".join(f"{number} while {what}" for what, number in summary.undetermined_explained.items())
    return f"{reasons}; explained: {explained}" if explained else reasons


def _damage(summary: Summary) -> Iterator[Row]:
    chance = f"by chance {summary.random_true_positives:.1f}"
    if summary.luck < LIKELY:
        chance += f", and so many once in {_once_in(summary.luck)} runs"
    yield "damaged units stopped", str(summary.true_positives), f"of {summary.damaged}; {chance}"
    best = summary.damaged - summary.hindsight_true_positives
    yield "damaged units missed", str(summary.missed), f"{best} with one threshold in hindsight and as many false stops"
    allowed = f"allowed {summary.budget_allowed:g} = {summary.alpha:.1%} x decided + {summary.burst:g}"
    yield "false alarms", str(summary.false_positives), f"{allowed}; {summary.allowance_used:.0%} used"
    if (worst := summary.worst_window) is not None:
        yield (
            "  closest to the cap",
            str(worst.false_alarms),
            f"seq {worst.first_seq} to {worst.last_seq}, allowed {worst.allowed:g}",
        )


def _identity(summary: Summary) -> Iterator[Row]:
    by = summary.identity
    yield "identified by scan", str(by.scan), f"{by.conflict} conflicts between sources"
    yield "identified by a code in the picture", str(by.barcode), ""
    yield "identified by looks", str(by.image), ""
    yield "not identified", str(by.none), f"{by.wrong} identified as another product than they are"


def _speed(summary: Summary) -> Iterator[Row]:
    yield "latency p50 / p99", f"{summary.p50_ms:.0f} / {summary.p99_ms:.0f} ms", "broker's append to the decision"
    yield "captures per second", f"{summary.captures_per_s:g}", f"{summary.seconds:.0f} s in all"
    for takeover in summary.takeovers:
        yield (
            f"takeover from {takeover.killed}",
            f"{takeover.seconds:.1f} s",
            f"from kill -9 until its {takeover.partitions} partitions were served again",
        )


def _once_in(luck: float) -> str:
    return f"{1 / luck:,.0f}" if luck > 1e-12 else "a trillion"  # noqa: PLR2004


def _verdict(summary: Summary) -> Text:
    if not summary.failures:
        return Text("Every promise that this run could test was kept.", style="bold green")
    lines = [f"This run broke {len(summary.failures)} of its promises:", *(f"- {words}" for words in summary.failures)]
    return Text("\n".join(lines), style="bold red")
