"""`sideline dataset`: what a data set is, what is wrong with it, and how to make one of what people judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.export import EXAMPLES as EXPORT_EXAMPLES
from cli.export import export
from cli.screen import Screen

if TYPE_CHECKING:  # commands are imported before their work is
    from training.data.check import Report

_EXAMPLES: Final = """Examples:

  sideline dataset check kaputt/

  sideline dataset check photos/ --deep

  sideline dataset check photos/labels.csv --json | jq '.findings[] | select(.gravity == "spoils")'
"""
_STYLES: Final = {"spoils": "bold red", "warns": "yellow", "tells": "dim"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dataset = typer.Typer(
        no_args_is_help=True,
        help="Say what is in a data set and what is wrong with it; make one of what people judged.",
    )
    dataset.callback()(_group)
    dataset.command("check", epilog=_EXAMPLES)(check)
    dataset.command("export", epilog=EXPORT_EXAMPLES)(export)
    app.add_typer(dataset, name="dataset", epilog=_EXAMPLES)


def _group() -> None:
    """Say what is in a data set and what is wrong with it; make one of what people judged."""


def check(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder, or a manifest (.csv).")],
    kind: Annotated[
        str, typer.Option(help="auto, kaputt, kaputt-crops, armbench, manifest or folder; auto looks for itself.")
    ] = "auto",
    deep: Annotated[
        bool, typer.Option("--deep", help="Read and decode every picture; otherwise 400 of them, and all headers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the page.")] = False,
) -> None:
    """Count what a data set holds, and say what is wrong with it.

    Reads Kaputt's trees (archives apart, merged, the sample, and what `sideline booth write` makes), ARMBench's image
    defects, a folder with a manifest.csv, a folder with sub-folders damaged/ and intact/, a bare folder.

    Looks for files that are missing, cut off or unreadable, the same picture twice or in two splits, products in two
    splits, labels that contradict each other, unknown kinds, missing references, masks and depth that cannot be, and
    for statistics (file size, dimensions, compression, camera) that give the label away.

    The exit status is 1 when something would spoil training or measuring, 0 with warnings only.
    """
    from training.data.check import check as check_data
    from training.data.read import open_data_set

    data = open_data_set(path, kind=kind)
    with _progress(quiet=as_json) as say:
        report = check_data(data, deep=deep, say=say)
    if as_json:
        print(msgspec.json.encode(_plain(report)).decode())
    else:
        _print(report)
    if report.spoiled:
        raise typer.Exit(1)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many pictures were looked at, on stderr."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Screen(stderr=True),
        transient=True,
        disable=quiet,
    ) as progress:
        task = progress.add_task("pictures", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _plain(report: Report) -> dict[str, object]:
    return {
        "name": report.name,
        "spoiled": report.spoiled,
        "pictures": report.pictures,
        "decoded": report.decoded,
        "census": report.census,
        "findings": [
            {
                "matter": finding.matter.name.lower(),
                "gravity": finding.matter.gravity,
                "count": finding.count,
                "words": finding.matter.words,
                "examples": finding.examples,
            }
            for finding in report.findings
        ],
    }


def _print(report: Report) -> None:
    from cli.live import wide_console

    console = wide_console()
    census, whole = report.census, report.census.whole
    heading = f"{escape(report.name)}: {whole.samples:,} samples, {report.pictures:,} pictures"
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("split", "samples", "views", "damaged", "intact", "unlabelled", "products", "references", "depth"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, part in {**census.splits, "all": whole}.items():
        if split == "all" and [whole] == list(census.splits.values()):
            continue
        numbers = (
            part.samples, part.views, part.damaged, part.intact, part.unlabelled, part.products, part.references,
            part.with_depth,
        )  # fmt: skip
        table.add_row(escape(split), *(f"{number:,}" for number in numbers))
    console.print(table)
    for name, counts in (("kinds", census.kinds), ("severity", census.severities), ("material", census.materials)):
        if counts:
            listed = ", ".join(f"{escape(word)} {number:,}" for word, number in counts.items())
            console.print(f"[bold]{name}[/]: {listed}", highlight=False)
    if (per := census.references_per_product) is not None:
        console.print(f"[bold]references a product[/]: {per[0]} to {per[2]}, median {per[1]:g}", highlight=False)
    if report.decoded < report.pictures:
        console.print(f"{report.decoded} of {report.pictures} pictures were decoded; --deep decodes all", style="dim")
    console.print()
    for finding in report.findings:
        gravity = str(finding.matter.gravity)
        console.print(f"[{_STYLES[gravity]}]{gravity:<7}[/]{finding.count:>7,} {finding.matter.words}", highlight=False)
        for example in finding.examples:
            console.print(f"               {escape(example)}", style="dim", highlight=False, soft_wrap=True)
    spoiling = sum(finding.matter.gravity == "spoils" for finding in report.findings)
    console.print(
        f"[bold red]{spoiling} matter{'s' * (spoiling != 1)} would spoil training or measuring[/]"
        if spoiling
        else "[green]nothing found that would spoil training or measuring[/]"
    )
