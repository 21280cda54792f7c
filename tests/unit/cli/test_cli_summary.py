"""The summary says what the topics say."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cli.checker.charge import Charge
from cli.checker.check import check
from cli.checker.reading import read
from cli.checker.tokens import Terms
from cli.summary import Summary, percentile, summarise, write_summary
from cli.summary_table import render
from cli.tape import Tape
from schemas.words import MICRO

Play = Callable[..., tuple[Tape, Charge]]
ASKED_FOR = {
    "captures", "decisions", "passed", "sidelined", "withheld", "undetermined", "dead_letters", "redelivered",
    "false_positives", "true_positives", "missed", "budget_allowed", "p50_ms", "p99_ms", "captures_per_s", "identity",
}  # fmt: skip


def summary_of(tape: Tape, charge: Charge) -> Summary:
    """Judge and summarise a run."""
    reading = read(tape)
    return summarise(reading, charge, check(reading, charge), site="paper", seed=7, scenario="steady")


class TestSummary:
    """The figures add up."""

    def test_each_capture_is_counted_once(self, play: Play) -> None:
        """Passed, sidelined and undetermined make up all captures."""
        summary = summary_of(*play(500))

        assert 500 == summary.captures == summary.decisions
        assert 500 == summary.passed + summary.sidelined + summary.undetermined
        assert summary.diverts == summary.sidelined + summary.audits == summary.sidelined_events

    def test_stops_are_right_or_false(self, play: Play) -> None:
        """Each stop for damage is a true or a false positive, and each damaged unit is caught or missed."""
        summary = summary_of(*play(500))

        assert summary.sidelined == summary.true_positives + summary.false_positives
        assert summary.damaged == summary.true_positives + summary.missed

    def test_allowance(self, play: Play) -> None:
        """The allowance is alpha times the decided captures plus burst."""
        summary = summary_of(*play(500))

        assert (500 - summary.undetermined) * 0.02 + 5 == pytest.approx(summary.budget_allowed)

    def test_latency_runs_from_append_to_decision(self, play: Play) -> None:
        """Latency is the decision's time less the capture's append time."""
        summary = summary_of(*play(500))

        assert 20 <= summary.p50_ms <= summary.p99_ms <= 120

    def test_redelivered(self, play: Play) -> None:
        """A decision emitted again counts as redelivered and nowhere else."""
        tape, charge = play(100)
        again = dataclasses.replace(tape.decisions[3], offset=10_000)

        summary = summary_of(dataclasses.replace(tape, decisions=(*tape.decisions, again)), charge)

        assert (1, 100) == (summary.redelivered, summary.decisions)

    def test_file(self, play: Play, tmp_path: Path) -> None:
        """The file has all keys the acceptance names."""
        path = write_summary(summary_of(*play(100)), tmp_path)

        written = msgspec.json.decode(path.read_bytes(), type=dict[str, object])

        assert "summary.json" == path.name
        assert set() == ASKED_FOR - written.keys()
        assert {"scan", "barcode", "image", "none", "wrong", "conflict"} == set(
            msgspec.convert(written["identity"], dict)
        )

    def test_nothing_happened(self) -> None:
        """A run without a single capture has a summary too."""
        charge = Charge({}, Terms(alpha=20_000, burst=5 * MICRO))

        assert 0 == summary_of(Tape(), charge).captures

    @pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (0.0, 1.0)])
    def test_percentile(self, share: float, value: float) -> None:
        """A percentile is the smallest value that so many do not exceed."""
        assert value == percentile([1.0, 2.0, 3.0, 4.0], share)


class TestTable:
    """The table a person reads."""

    def test_says_what_failed(self, play: Play) -> None:
        """Broken promises are listed in words below the figures."""
        summary = summary_of(*play(500, debits={3: 2 * MICRO}))
        console = Console(width=160, file=io.StringIO(), record=True)

        console.print(render(summary))

        assert "the token accounts add up: " in console.export_text()
