"""`sideline up`, `down`, `status` and `logs`: the parts of the line on this machine."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.here import Line, here
from cli.screen import Screen
from cli.site import initialise
from deploy.local.folder import default_run_dir
from deploy.local.parts import Parts, PartStatus

_STYLES: Final = {"running": "green", "elsewhere": "green", "failed": "red", "stopped": "dim"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=_UP)(up)
    app.command(epilog=_DOWN)(down)
    app.command(epilog=_STATUS)(status)
    app.command(epilog=_LOGS)(logs)


_UP = """Examples:

  sideline up

  sideline up --inspectors 2

  sideline up --epcis

  SIDELINE_KAFKA_BOOTSTRAP=kafka.example:9092 sideline up
"""

_DOWN = """Examples:

  sideline down

  SIDELINE_RUN_DIR=~/other/.sideline sideline down
"""

_STATUS = """Examples:

  sideline status

  sideline status --json | jq -r '.[] | select(.healthy == false) | .name'
"""

_LOGS = """Examples:

  sideline logs inspector-1

  sideline logs kafka -n 200 -f
"""


def up(
    inspectors: Annotated[int, typer.Option(min=1, max=64, help="How many inspectors to run.")] = 1,
    epcis: Annotated[
        bool | None,
        typer.Option("--epcis/--no-epcis", help="Run the herald, or stop it; left out, it stays as it is."),
    ] = None,
    servers_only: Annotated[bool, typer.Option("--servers-only", help="Leave the workers out.")] = False,
) -> None:
    """Start Kafka, Redis, Triton and the workers; what runs already stays as it is.

    What is missing is downloaded once per user; system packages are installed with apt-get where that is allowed.
    Servers named by SIDELINE_KAFKA_BOOTSTRAP, SIDELINE_REDIS_DECISIONS_URL, SIDELINE_REDIS_GALLERY_URL or
    SIDELINE_TRITON_URL are used instead of our own.
    """
    parts = _parts()
    endpoints = parts.up(say=_say)
    if not servers_only:
        line = here()
        store_id, sites = asyncio.run(_set_up(line))
        parts.start_workers(
            inspectors=inspectors,
            epcis=epcis,
            env={"SIDELINE_STORE_ID": store_id},
            until="readyz" if sites else "livez",  # a worker is ready once it has a site to serve
            say=_say,
        )
        if not sites:
            _say("no site is registered yet: sideline site add NAME")
    _say(f"up: {endpoints.kafka_bootstrap} (Kafka), {endpoints.triton_url} (Triton), {parts.folder.root} (run folder)")


def down() -> None:
    """Stop everything that `up` started; data stays."""
    _parts().down(say=_say)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="An array of parts for programs.")] = False,
) -> None:
    """Show every part: does it run, since when, is it healthy.

    The exit status is 1 unless every part runs and is healthy.
    """
    found = _parts().status()
    if as_json:
        typer.echo(json.dumps([asdict(part) for part in found], indent=2))
    elif not found:
        typer.echo("nothing was started yet: sideline up")
    else:
        Screen().print(_table(found))
    raise typer.Exit(0 if found and all(_is_well(part) for part in found) else 1)


def logs(
    name: Annotated[str, typer.Argument(help="The part, as `sideline status` shows it.")],
    lines: Annotated[int, typer.Option("-n", min=0, help="How many lines of the past to print.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
) -> None:
    """Print the end of a part's log."""
    log = _parts().logs(name)
    log.touch()
    # tail follows through rotations, and replaces this process, so that there is nothing to clean up after Ctrl-C.
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)])  # noqa: S606, S607


def _parts() -> Parts:
    return Parts(default_run_dir(os.environ))


def _say(text: str) -> None:
    typer.echo(text)


async def _set_up(line: Line) -> tuple[str, list[str]]:
    """Make store and topics where they are missing; return the store's id and the registered sites."""
    store_id = await initialise(line)
    store = line.store()
    try:
        return store_id, list(await store.sites())
    finally:
        await store.close()


def _is_well(part: PartStatus) -> bool:
    return part.state in {"running", "elsewhere"} and part.healthy is not False


def _table(found: list[PartStatus]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, justify in (("part", "left"), ("state", "left"), ("up", "right"), ("pid", "right"), ("port", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("what it says", overflow="fold")
    for part in found:
        unwell = part.healthy is False
        table.add_row(
            part.name,
            Text(f"{part.state}, not ready", "yellow")
            if unwell
            else Text(part.state, _STYLES.get(part.state, "yellow")),
            _span(part.uptime_s) if part.pid else "",
            str(part.pid or ""),
            str(part.ports[0]) if part.ports else "",
            part.detail,
        )
    return table


def _span(seconds: float) -> str:
    """Write a duration as people say it: `42 s`, `7 min`, `5 h`, `3 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
