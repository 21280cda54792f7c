"""The report of a run: what was done to the line, what it cost, and every promise that was broken."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt

from tests.chaos.measure import Happened, growth, quantile
from tests.chaos.rounds import Result

COLOURS: Final = {"decided": "#2a7f62", "undetermined": "#d1495b", "rejected": "#5f5f5f"}


def write_report(results: Sequence[Result], folder: Path) -> Path:
    """Write the report and one timeline a round; return the report's path."""
    for result in results:
        draw_timeline(result, folder / f"seed-{result.seed}-round-{result.number}.png")
    path = folder / "report.md"
    path.write_text(render(results))
    return path


def render(results: Sequence[Result]) -> str:
    """Return the report as Markdown."""
    happened = [one for result in results for one in result.happened]
    violations = [f"seed {one.seed}, round {one.number}: {words}" for one in results for words in one.violations]
    captures = sum(result.captures for result in results)
    outcomes: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    for result in results:
        outcomes.update(result.outcomes)
        dead.update(result.dead)
    minutes = sum(one.seconds for one in results) / 60
    expected = sum(one.expected for one in happened)
    seeds = sorted({result.seed for result in results})
    named = " ".join(map(str, seeds))
    lines = [
        "# Faults under load",
        "",
        f"{len(happened)} faults of seed {named} in {minutes:.0f} minutes on {os.cpu_count()} cores.",
        f'Run it again: `make chaos FAULTS={len(happened) // max(1, len(seeds))} SEED="{named}"`.',
        "",
        f"**{len(violations)} violations.**" if not violations else f"**{len(violations)} VIOLATIONS:**",
        "",
        *(f"- {words}" for words in violations),
        *([""] if violations else []),
        "| what | how many |",
        "|---|---:|",
        f"| captures acknowledged to their stations | {captures} |",
        f"| records on the captures topics, resends and garbage included | {sum(r.delivered for r in results)} |",
        f"| decisions on the topics, each one value | {sum(r.answered for r in results)} |",
        f"| copies of them, sent again from the record | {sum(r.copies for r in results)} |",
        *(f"| outcome `{name}` | {number} |" for name, number in sorted(outcomes.items())),
        f"| `undetermined` expected: rate x silence beyond the deadline, over the partitions | {expected:.0f} |",
        f"| `undetermined` with no fault near them | {sum(r.unexplained for r in results)} |",
        *(f"| dead letters `{name}` | {number} |" for name, number in sorted(dead.items())),
        "",
        "Recovery is the time from the beginning of a fault to the last capture that it kept from its decision,",
        "0 where no capture missed one.",
        "",
        "| fault | times | recovery p50, s | p99, s | undetermined | expected |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(kind, rows) for kind, rows in sorted(_by_kind(happened).items())),
        "",
        "What the longest-lived process of each worker held, medians of the first and the last quarter of its life:",
        "",
        "| worker | minutes | memory, MiB | descriptors |",
        "|---|---:|---:|---:|",
        *_growth(results),
        "",
        *(f"![seed {r.seed}, round {r.number}](seed-{r.seed}-round-{r.number}.png)" for r in results),
        "",
    ]
    return "\n".join(lines)


def _by_kind(happened: Sequence[Happened]) -> dict[str, list[Happened]]:
    kinds: dict[str, list[Happened]] = defaultdict(list)
    for one in happened:
        kinds[one.what].append(one)
    return kinds


def _row(kind: str, rows: Sequence[Happened]) -> str:
    times = [one.recovery_s for one in rows]
    undetermined, expected = sum(one.undetermined for one in rows), sum(one.expected for one in rows)
    return (
        f"| {kind} | {len(rows)} | {quantile(times, 0.5):.1f} | {quantile(times, 0.99):.1f} | {undetermined} | "
        f"{expected:.0f} |"
    )


def _growth(results: Sequence[Result]) -> list[str]:
    return [
        f"| {one.worker} | {one.minutes:.1f} | {one.rss_from_mib:.0f} to {one.rss_to_mib:.0f} | "
        f"{one.files_from:.0f} to {one.files_to:.0f} |"
        for one in growth([sample for result in results for sample in result.samples])
    ]


def draw_timeline(result: Result, file: Path) -> None:
    """Draw when each capture came and how long it waited, over the faults of a round."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(13, 4.2), layout="constrained")
    start = min([one.at_ms for one in result.answers], default=result.began_ms)
    for outcome, colour in COLOURS.items():
        points = [one for one in result.answers if one.outcome == outcome]
        axes.scatter(
            [(one.at_ms - start) / 1000 for one in points],
            [max(0.02, one.waited_s) for one in points],
            s=7,
            color=colour,
            label=f"{outcome} ({len(points)})",
            linewidths=0,
        )
    for place, one in enumerate(result.happened):
        began, ended = (one.from_ms - start) / 1000, (one.to_ms - start) / 1000
        axes.axvspan(began, max(ended, began + 0.3), color="#e0a800", alpha=0.35, linewidth=0)
        axes.text(began, 40 * 0.6 ** (place % 3), one.what, fontsize=7, rotation=15, va="bottom")
    axes.axhline(3.0, color="#888888", linewidth=0.8, linestyle="--")
    axes.set(yscale="log", ylim=(0.02, 120), xlabel="s", ylabel="from the broker to the decision, s")
    axes.set_title(f"seed {result.seed}, round {result.number}: {len(result.violations)} violations", loc="left")
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)
