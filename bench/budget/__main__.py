"""Compare thresholds for the same budget: `make bench-budget`, or python -m bench.budget --help."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from bench.budget.figures import report
from bench.budget.plots import draw_recall, draw_thresholds
from bench.budget.streams import Name
from bench.budget.trial import Trial, trial


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Paired: each controller sees the same captures.")] = 30,
    captures: Annotated[int, typer.Option(min=1_000, help="Of each stream.")] = 400_000,
    streams: Annotated[str, typer.Option(help="Comma-separated; default: all.")] = "",
    first_seed: Annotated[int, typer.Option(help="The others follow it.")] = 1,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    out: Annotated[Path, typer.Option(metavar="DIR", help="For table.md, recall.png, thresholds.png.")] = Path(
        ".sideline/bench-budget"
    ),
) -> None:
    """Print what each controller catches, with intervals over paired seeds, and draw it."""
    names = _chosen(streams)
    console = Console(stderr=True)
    trials: list[Trial] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(processes) as pool:
        bar = progress.add_task("streams x seeds", total=len(names) * seeds)
        waiting = [
            pool.submit(trial, name, seed, captures) for seed in range(first_seed, first_seed + seeds) for name in names
        ]
        for done in as_completed(waiting):
            trials.append(done.result())
            progress.advance(bar)
    out.mkdir(parents=True, exist_ok=True)
    text = report(trials)
    (out / "table.md").write_text(text + "\n")
    draw_recall(trials, out / "recall.png")
    draw_thresholds(first_seed, captures, out / "thresholds.png")
    print(text)  # noqa: T201 - the command's answer
    console.print(f"pictures and table: {out}", highlight=False)


def _chosen(streams: str) -> list[Name]:
    wanted = [name.strip() for name in streams.split(",") if name.strip()]
    for name in wanted:
        if name not in set(Name):
            raise typer.BadParameter(f"there is no stream {name!r}; there are: {'; '.join(Name)}")
    return [Name(name) for name in wanted] or list(Name)


if __name__ == "__main__":
    typer.run(main)
