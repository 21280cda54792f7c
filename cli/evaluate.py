"""`sideline evaluate`: models measured on captures they never saw."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from cli.here import model_repository
from cli.live import wide_console
from cli.meter import Meter
from schemas.faults import Fatal

if TYPE_CHECKING:  # the modules behind a source are imported when it is asked for
    from booth.catalogue import Split
    from booth.world import SiteStyle
    from training.evaluation.source import Source

_EXAMPLES: Final = """Examples:

  sideline evaluate --booth 21 --captures 2000 --out /tmp/evaluation

  sideline evaluate --data photos/ --split test --out /tmp/evaluation

  sideline evaluate --rows /tmp/evaluation/rows.jsonl --prevalence 0.0005 --rate 0.02 --out /tmp/again

  sideline evaluate --booth 21 --captures 60000 --products 2000 --processes 16 --out night   (recall at FPR 0.0005)
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(evaluate)


def evaluate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="For rows.jsonl, report.json and report.html.")],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A data set; what can be read: sideline dataset check --help.")
    ] = None,
    booth: Annotated[int | None, typer.Option(metavar="SEED", min=0, help="A world of the photo booth.")] = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows of an earlier trial: a report without asking any model.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of the data set (default: all) or the booth (default: test).")
    ] = None,
    captures: Annotated[int, typer.Option(min=1, help="Of the booth.")] = 2000,
    products: Annotated[int, typer.Option(min=1, max=10_000, help="Of the booth.")] = 200,
    damage_rate: Annotated[float, typer.Option(min=0, max=1, help="Of the booth.")] = 0.3,
    site_style: Annotated[str, typer.Option(help="Of the booth: standard, dim, tray, sharp or mixed.")] = "mixed",
    depth: Annotated[float, typer.Option(min=0, max=1, help="Of the booth: share of captures with depth.")] = 0.5,
    redesigned: Annotated[
        float, typer.Option(min=0, max=1, help="Of the booth: share of captures in a design newer than references.")
    ] = 0.05,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model repository with fusion.json; default: the line's own.")
    ] = None,
    prevalence: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Of damage on the line that precisions are stated for.")
    ] = 0.001,
    rate: Annotated[
        list[float] | None,
        typer.Option(min=1e-6, max=0.5, help="Another false positive rate to tell recall at; again for more."),
    ] = None,
    min_slice: Annotated[
        int, typer.Option(min=1, help="Captures of a class without which no slice is named the worst.")
    ] = 30,
    looks: Annotated[int, typer.Option(min=0, help="Captures looked up among choices of every size.")] = 1000,
    processes: Annotated[int | None, typer.Option(min=1, help="Default: as many as there are cores.")] = None,
) -> None:
    """Measure models on captures they never saw, and write a report.

    Every capture goes through the line's own functions in four ways: the classifier alone, with its references and a
    right scan, with references found by looks alone, and as it arrived. The report tells the official figures, recall
    at the false positive rates that a line can bear, whether probabilities are true, how products are told, what
    references add, and where all of it is weakest; each with the doubt there is. Products that the models were shown
    are refused.

    Stopped and called again with the same options it goes on where it was. The exit status is 1 where nothing can be
    measured.
    """
    from training.evaluation.disjoint import check_apart
    from training.evaluation.report import HTML, Wanted, write
    from training.evaluation.rows import read
    from training.evaluation.summary import words
    from training.evaluation.trial import run

    if (data is not None and booth is not None) or (data is None and booth is None and rows is None):
        raise Fatal("say what to evaluate on: --data DIR, --booth SEED, or --rows FILE of an earlier trial")
    repository = models or model_repository()
    source: Source | None = None
    if booth is not None:
        world = {"damage_rate": damage_rate, "depth": depth, "redesigned": redesigned}
        source = _booth(booth, split or "test", captures, products, site_style, world)
    elif data is not None:
        source = _disk(data, split)
    console, given = wide_console(stderr=True), rows
    with Meter(console) as meter:
        if rows is None:
            if source is None:  # refused above; the type checker cannot know
                raise AssertionError
            check_apart((product.product_id for product in source.catalogue()), repository)
            rows = run(
                source,
                repository,
                out,
                processes=processes or len(os.sched_getaffinity(0)),
                looks_of=looks,
                say=lambda progress: meter.say(progress.stage, progress.done, progress.of),
            )
        about, found = read(rows)
        if given is not None and source is not None and source.name != about.source:
            raise Fatal(
                f"{rows} holds rows of {about.source}, not of {source.name}: leave the source out, or name that"
            )
        wanted = Wanted(_command(), prevalence, min_slice, source, rate or ())
        report = write(about, found, out, wanted, say=meter.say)
    print(words(report.figures))
    console.print(f"the whole of it: {out / HTML}", soft_wrap=True, highlight=False)


def _booth(seed: int, split: str, captures: int, products: int, site_style: str, world: dict[str, float]) -> Source:
    from booth.stage import SITE_STYLES
    from training.evaluation.booth_source import Booth

    if split not in {"run", "train", "test"}:
        raise Fatal(f"the booth has no split {split!r}; it has run, train and test")
    if site_style not in {*SITE_STYLES, "mixed"}:
        raise Fatal(f"the booth has no site style {site_style!r}; it has {', '.join(SITE_STYLES)} and mixed")
    style = cast("SiteStyle", site_style)
    return Booth(seed, captures, products=products, split=cast("Split", split), site_style=style, **world)


def _disk(folder: Path, split: str | None) -> Source:
    from training.data.read import open_data_set
    from training.evaluation.disk_source import Disk

    data = open_data_set(folder)
    source = Disk(data, split)
    if not source.shots():
        splits = ", ".join(sorted({sample.split or "none" for sample in data.samples}))
        raise Fatal(f"{folder} has no captures of the split {split!r}; its splits: {splits}")
    return source


def _command() -> str:
    return shlex.join(["sideline", *sys.argv[1:]])
