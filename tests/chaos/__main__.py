"""`python -m tests.chaos --faults 30 --seed 1`: faults under load, and a report that a sceptic can run again."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from deploy.local.folder import checkout
from schemas.faults import SidelineError
from tests.chaos.faults import Kind, drawn
from tests.chaos.report import write_report
from tests.chaos.rounds import Result, do_all, play
from tests.chaos.stage import Say, stage, world
from tests.chaos.traces import keep_traces

PER_ROUND: Final = 10
OUT: Final = checkout() / ".sideline" / "chaos"
_EXAMPLES: Final = """Examples:

  python -m tests.chaos --faults 30 --seed 1

  python -m tests.chaos --faults 100 --seed 1 --seed 2 --seed 3     (goes on where it was interrupted)

  python -m tests.chaos --faults 5 --seed 4 --only inspector-zombie,store-lost --fresh
"""


def main(
    faults: Annotated[int, typer.Option(min=1, help="How many faults of each seed.")] = 30,
    seed: Annotated[list[int], typer.Option(help="What the faults are drawn from; repeat it for more.")] = [1],  # noqa: B006 - typer's way
    only: Annotated[str, typer.Option(help="Comma-separated kinds to draw from; default: all.")] = "",
    out: Annotated[Path, typer.Option(help="Where results, logs and the report go.")] = OUT,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on.")] = False,
) -> None:
    """Run the line under load, let faults happen to it, and judge everything it left behind.

    Takes about 20 s a fault. Exits with 1 if any promise was broken; the report names the seed, the faults and each
    capture concerned, and the logs are kept.
    """
    kinds = tuple(Kind(word) for word in only.split(",") if word) or tuple(Kind)
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {words}", flush=True)  # noqa: T201 - its output

    try:
        results = asyncio.run(run(faults, seed, kinds=kinds, out=out, fresh=fresh, say=say))
    except SidelineError as error:
        sys.exit(f"chaos: {error}")
    path = write_report(results, out)
    violations = [words for result in results for words in result.violations]
    for words in violations:
        say(f"VIOLATION {words}")
    say(f"{sum(len(one.happened) for one in results)} faults, {len(violations)} violations: {path}")
    raise typer.Exit(1 if violations else 0)


async def run(
    faults: int, seeds: list[int], *, kinds: tuple[Kind, ...] = tuple(Kind), out: Path, fresh: bool, say: Say
) -> list[Result]:
    """Play the rounds that are not on record in `out`, and return all results of these seeds."""
    if fresh:
        await asyncio.to_thread(shutil.rmtree, out, ignore_errors=True)
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    name = "-".join(sorted(kinds)) if len(kinds) < len(Kind) else "all"
    todo: list[tuple[int, int]] = []
    results: dict[tuple[int, int], Result] = {}
    for seed in seeds:
        for number in range(-(-faults // PER_ROUND)):
            try:
                file = _file(out, seed, number, name)
                results[seed, number] = msgspec.json.decode(file.read_bytes(), type=Result)
            except (FileNotFoundError, msgspec.MsgspecError):  # not played, or by another version of this
                todo.append((seed, number))
    if results:
        say(f"{len(results)} rounds are on record in {out}, {len(todo)} are to be played (--fresh begins anew)")
    if todo:
        async with stage(out / "run", os.environ, say=say) as line:
            sites = {key: f"chaos-{key[0]}-{key[1]}-{int(time.time()) % 1_000_000}" for key in todo}
            await line.open_sites({site: world(seed).lines for (seed, _), site in sites.items()})
            for seed, number in todo:
                first = number * PER_ROUND
                round_faults = drawn(min(PER_ROUND, faults - first), seed, first=first, kinds=kinds)
                say(f"seed {seed}, faults {first + 1} to {first + len(round_faults)}")
                disturb = partial(do_all, round_faults)
                result = await play(line, sites[seed, number], disturb, seed=seed, number=number, say=say)
                results[seed, number] = result
                await keep_traces(line, result, out, say=say)
                _file(out, seed, number, name).write_bytes(msgspec.json.encode(result))
                say(f"{result.captures} captures, {result.outcomes}, {len(result.violations)} violations")
    return [results[key] for key in sorted(results)]


def _file(out: Path, seed: int, number: int, name: str) -> Path:
    return out / f"seed-{seed}-round-{number}-{name}.json"


if __name__ == "__main__":
    typer.run(main)
