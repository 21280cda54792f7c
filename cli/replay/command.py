"""`sideline replay`: decisions made again from their records, as they were or with something changed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.here import Line, here, model_repository, the_site
from cli.live import wide_console
from cli.meter import Meter
from cli.moments import FORMS, moment
from cli.replay.exact import Replayed, replay, said
from cli.replay.gather import END, EPOCH, Configurations, Range, Records
from cli.replay.known import load_calibrations
from cli.replay.simulate import Unjudged
from cli.replay.whatif import Changes, Compared, Wanted, compare
from evidence.calibration import DEFAULT_PATH
from schemas.faults import Fatal
from schemas.words import MICRO

UNEQUAL: Final = "unequal.txt"
_EXAMPLES: Final = """Examples:

  sideline replay --site fra1 --from 36h

  sideline replay --site fra1 --from 2026-11-20 --to 2026-11-21 --fusions older-calibrations/

  sideline replay --site fra1 --alpha 0.01 --burst 100 --out more-budget/

  sideline replay --site fra1 --alpha 0.01 --burst 100 --unjudged confirmed      the other end of what is possible

  sideline replay --site fra1 --fusion new-models/fusion.json --out new-fusion/

  sideline replay --site fra1 --set reserve=0 --set floor=-5000000 --out lower-floor/
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=_EXAMPLES)(replay_command)


def replay_command(
    site: Annotated[str | None, typer.Option(help="Default: the one used last, or the only one.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help=f"First decisions made then: {FORMS}. Default: all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Decisions made before then; default: all.")
    ] = None,
    fusions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Calibrations of older versions that records name.")
    ] = None,
    fusion: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What if: this calibration had made the scores.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(min=1e-6, max=1.0, help="What if: false alarms allowed per decision, a share.")
    ] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="What if: false alarms allowed at once, tokens.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="What if: any field that `sideline budget` shows."),
    ] = None,
    unjudged: Annotated[
        Unjudged,
        typer.Option(
            help="What if: a sidelined unit that nobody judged is taken to be so, and its token goes that way."
        ),
    ] = Unjudged.CLEARED,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the whole list, or the captures and a picture of a what-if.")
    ] = None,
) -> None:
    """Make decisions again from their records, and compare.

    Without a change every decision of the range is made again from its own record: the score from the recorded evidence
    and calibration, the answer from the recorded accounts, threshold and configuration, and the accounts from one
    decision to the next. All of it has to come out bit for bit; what does not is named, and the exit status is 1.

    With a change (--fusion, --alpha, --burst, --set) the whole recorded sequence goes through the budget again, with
    the verdicts that came, as late as they came. Shown is what would have been sidelined, caught and missed in the
    range, and what audits say of captures that nobody had to look at. docs/replay.md says how far to trust that.
    """
    settings = [
        *([] if alpha is None else [f"alpha_ppm={round(alpha * MICRO)}"]),
        *([] if burst is None else [f"burst_tokens={burst}"]),
        *(change or []),
    ]
    span = _span(since, until)
    if fusion is None and not settings:
        found = asyncio.run(_exact(here(), site, span, fusions))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / UNEQUAL).write_text("".join(f"{fault}\n" for fault in found.faults()))
        raise typer.Exit(0 if found.holds else 1)
    try:
        from cli.replay import chart, report
    except ImportError as error:
        raise Fatal(f"a what-if needs {error.name}: install the group `lab` (make setup)") from None
    changes = Changes(fusion, tuple(settings), unjudged)
    compared = asyncio.run(_what_if(here(), site, span, fusions, changes))
    wide_console().print(report.said(compared, changes.words()), highlight=False, soft_wrap=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for path in (report.write_csv(compared, out), chart.draw(compared, out)):
            print(f"written: {path}")


def _span(since: str | None, until: str | None) -> Range:
    now = datetime.now(UTC)
    span = Range(moment(since, now) if since else EPOCH, moment(until, now) if until else END)
    if span.since >= span.until:
        raise Fatal(f"no time lies between --from {since} and --to {until}")
    return span


async def _exact(line: Line, wanted: str | None, span: Range, fusions: Path | None) -> Replayed:
    site = await the_site(line, wanted)
    calibrations = load_calibrations(_in_force(), fusions)
    store, began = line.store(), time.monotonic()
    try:
        with Meter(wide_console(stderr=True)) as meter:
            records = Records(line, site, meter.say)
            found = await replay(site, records, Configurations(store, site), calibrations, span)
    finally:
        await store.close()
    wide_console().print(said(site, found, time.monotonic() - began), highlight=False, soft_wrap=True)
    return found


async def _what_if(line: Line, wanted: str | None, span: Range, fusions: Path | None, changes: Changes) -> Compared:
    site = await the_site(line, wanted)
    calibrations = load_calibrations(_in_force(), fusions)
    store = line.store()
    try:
        with Meter(wide_console(stderr=True)) as meter:
            records = Records(line, site, meter.say)
            wish = Wanted(line, site, span, changes, calibrations)
            return await compare(wish, records, Configurations(store, site), meter.say)
    finally:
        await store.close()


def _in_force() -> Path | None:
    path = model_repository() / DEFAULT_PATH.name
    return path if path.exists() else None
