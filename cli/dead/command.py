"""`sideline dead`: list what could not be processed, show one, send it again."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from budget.store import DecisionStore
from cli.dead.fates import UNFINISHED, Fate, Told
from cli.dead.letters import Letter, Wanted, capture_of, listed, read
from cli.dead.redriver import ANSWER_WITHIN_S, Redriver
from cli.dead.shown import counted, letter_json, rows, shown
from cli.here import Line, here, the_site
from cli.meter import Meter
from cli.moments import FORMS, moment
from cli.screen import Screen, plain_json
from schemas.codec import decode
from schemas.faults import Fatal
from schemas.messages import Decision
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, site_of
from telemetry.plain import plain

AT_ONCE: Final = 8  # captures on their way: the line answers more, and live captures come first
_STAGE: Final = "dead letters"
_EXAMPLES: Final = """Examples:

  sideline dead list --since 24h

  sideline dead list --reason view_missing --station station-4

  sideline dead show 1:42

  sideline dead redrive 1:42

  sideline dead redrive --reason view_missing --since 6h --dry-run
"""
Site = Annotated[str | None, typer.Option(help="Default: the one used last, or the only one.")]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only those; may be repeated.")]
Entities = Annotated[list[Entity] | None, typer.Option("--entity", help="Only what was on such topics; repeatable.")]
Station = Annotated[str | None, typer.Option(help="Only what says that it is of this station.")]
Since = Annotated[str | None, typer.Option(help=f"Only what came from then on: {FORMS}.")]
Name = Annotated[
    str, typer.Argument(metavar="POSITION_OR_ID", help="As `sideline dead list` shows it: 1:42, or an id.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dead = typer.Typer(no_args_is_help=True, help="Look at dead letters and send them again.", epilog=_EXAMPLES)
    dead.command("list", epilog=_EXAMPLES)(list_letters)
    dead.command("show", epilog=_EXAMPLES)(show)
    dead.command("redrive", epilog=_EXAMPLES)(redrive)
    app.add_typer(dead, name="dead")


def list_letters(
    site: Site = None,
    reason: Reasons = None,
    entity: Entities = None,
    station: Station = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="Name at most so many, the newest.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="All that are meant, one JSON object a line.")] = False,
) -> None:
    """Count dead letters of a site, and of the topics all sites share, by what they were and why; name the newest."""
    wanted = _wanted("", reason, entity, station, since)
    letters = asyncio.run(_list(here(), site, wanted))
    if as_json:
        for one in letters:
            print(plain_json(msgspec.json.encode(letter_json(one))))
        return
    console = Screen(soft_wrap=True, highlight=False)
    if not letters:
        console.print("no dead letters" + ("" if wanted.everything else " that are meant"))
        return
    console.print(counted(letters))
    newest = letters[len(letters) - min(limit, len(letters)) :]
    if newest:
        console.print()
    for line in rows(newest):
        console.print(line)


def show(name: Name, site: Site = None) -> None:
    """Show dead letters: reason, worker, times, key, headers and value, and what is on record of their capture.

    Passwords, tokens and the queries of URIs are hidden; what does not print is escaped or shown in hex.
    """
    asyncio.run(_show(here(), site, Wanted(name=name)))


def redrive(
    name: Annotated[
        str | None, typer.Argument(metavar="[POSITION_OR_ID]", help="One: its position, or an id in it.")
    ] = None,
    site: Site = None,
    reason: Reasons = None,
    entity: Entities = None,
    station: Station = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="All there are, where no filter is given.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was sent again before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before sending several.")] = False,
) -> None:
    """Send dead letters again: the original key, bytes and headers, to the topic they came from.

    A rejected capture gets its one decision this way, if it is permitted: the command writes the permission into the
    decision store first. Whatever fails again comes back as a dead letter, at most three times. It can be interrupted,
    and run again.
    """
    wanted = _wanted(name or "", reason, entity, station, since)
    if wanted.everything and not everything:
        raise Fatal("say which: a position or an id, a filter such as --reason view_missing, or --all")
    tally = Tally()
    try:
        asyncio.run(_redrive(here(), site, wanted, tally, again=again, dry_run=dry_run, yes=yes))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        tally.tell()
    if any(tally.fates[fate] for fate in UNFINISHED):
        raise typer.Exit(1)


class Tally:
    """What came of each letter, as it is told and as it is counted."""

    def __init__(self) -> None:
        """Begin with none."""
        self.fates: Counter[Fate] = Counter()
        self.done = 0

    def note(self, letter: Letter, told: Told) -> None:
        """Tell what came of one."""
        self.done += 1
        self.fates[told.fate] += 1
        print(plain(f"{letter.position}  {letter.reason}: {told}"), flush=True)

    def tell(self) -> None:
        """Count them all."""
        if not self.done:
            return
        counts = ", ".join(f"{number} {fate.value}" for fate, number in self.fates.most_common())
        print(f"{self.done} letters: {counts}")


async def _list(line: Line, site: str | None, wanted: Wanted) -> list[Letter]:
    return await listed(line.bootstrap, await the_site(line, site), wanted)


async def _show(line: Line, site: str | None, wanted: Wanted) -> None:
    of_site, found = await the_site(line, site), 0
    console = Screen(soft_wrap=True, highlight=False)
    async with _store(line) as store:
        async for letter, delivery in read(line.bootstrap, of_site, wanted):
            if found:
                console.rule()
            await _show_one(console, store, letter, delivery)
            found += 1
    if not found:
        raise Fatal(f"no dead letter is {wanted.name!r}: sideline dead list --site {of_site}")


async def _show_one(console: Console, store: DecisionStore, letter: Letter, delivery: Delivery) -> None:
    record = decision = None
    if letter.entity is Entity.CAPTURES:
        capture = capture_of(delivery)
        if capture is not None and capture.site == site_of(letter.topic):
            record = await store.look(capture.site, capture.capture_id)
    if record is not None:
        decision = decode(Decision, record.decision)
    resent = await store.resent(letter.key)
    console.print(shown(letter, delivery, record=record, decision=decision, resent=resent))


async def _redrive(
    line: Line, site: str | None, wanted: Wanted, tally: Tally, *, again: bool, dry_run: bool, yes: bool
) -> None:
    of_site = await the_site(line, site)
    meant = {one.key for one in await listed(line.bootstrap, of_site, wanted)}  # what comes back stays for the next run
    if not meant:
        raise Fatal(f"no dead letter of {of_site} is meant: sideline dead list --site {of_site}")
    if len(meant) > 1 and not (dry_run or yes):
        typer.confirm(f"send {len(meant)} dead letters of {of_site} again?", abort=True)
    outbox = Outbox(line.bootstrap, client_id="sideline-dead")
    try:
        async with _store(line) as store:
            redriver = Redriver(store, outbox, again=again, answer_within_s=ANSWER_WITHIN_S)
            with Meter(Screen(stderr=True)) as meter:
                work = Work(redriver, tally, meter, of=len(meant), dry_run=dry_run)
                await work.through(pair async for pair in read(line.bootstrap, of_site, wanted) if pair[0].key in meant)
    finally:
        await outbox.close()


class Work:
    """Letters on their way: captures several at a time, because each waits for its answer; others in their order."""

    def __init__(self, redriver: Redriver, tally: Tally, meter: Meter, *, of: int, dry_run: bool) -> None:
        """Take what does it, and who hears of it."""
        self._redriver, self._tally, self._meter = redriver, tally, meter
        self._of, self._dry_run = of, dry_run
        self._room = asyncio.Semaphore(AT_ONCE)

    async def through(self, letters: AsyncIterator[tuple[Letter, Delivery]]) -> None:
        """Do all of them; the first error ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                async for letter, delivery in letters:
                    await self._room.acquire()
                    if letter.entity is Entity.CAPTURES:
                        group.create_task(self._one(letter, delivery))
                    else:
                        await self._one(letter, delivery)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _one(self, letter: Letter, delivery: Delivery) -> None:
        try:
            if self._dry_run:
                case = await self._redriver.examine(letter, delivery)
                told = case if isinstance(case, Told) else case.told()
            else:
                told = await self._redriver.redrive(letter, delivery)
        finally:
            self._room.release()
        self._tally.note(letter, told)
        self._meter.say(_STAGE, self._tally.done, self._of)


@asynccontextmanager
async def _store(line: Line) -> AsyncIterator[DecisionStore]:
    store = line.store()
    try:
        yield store
    finally:
        await store.close()


def _wanted(
    name: str, reasons: list[str] | None, entities: list[Entity] | None, station: str | None, since: str | None
) -> Wanted:
    return Wanted(
        name=name,
        reasons=frozenset(reasons or ()),
        entities=frozenset(entities or ()),
        station=station or "",
        since=None if since is None else moment(since, datetime.now(UTC)),
    )
