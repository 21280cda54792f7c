"""`sideline tail`: what is being decided, sidelined, judged or refused, a line each."""

from __future__ import annotations

import asyncio
import enum
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli.here import Line, here, the_site
from cli.screen import Screen, on_one_line
from cli.tape import TopicReader
from cli.wording import dead_line, decision_line, disposition_line, record_json, sidelined_line
from schemas.codec import decode, read_dead_letter
from schemas.faults import Poison
from schemas.messages import Decision, Disposition, Sidelined
from streams.delivery import Delivery
from streams.topics import Entity, topic


class Stream(enum.StrEnum):
    """What can be watched."""

    DECISIONS = "decisions"
    SIDELINED = "sidelined"
    VERDICTS = "verdicts"
    DEAD = "dead"


ENTITIES = {
    Stream.DECISIONS: Entity.DECISIONS,
    Stream.SIDELINED: Entity.SIDELINED,
    Stream.VERDICTS: Entity.DISPOSITIONS,
    Stream.DEAD: Entity.DEAD,
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(tail)


_EXAMPLES = """Examples:

  sideline tail decisions

  sideline tail dead --from-beginning --no-follow

  sideline tail sidelined --site demo-3f9k --json | jq .value.kinds
"""


def tail(
    stream: Annotated[Stream, typer.Argument(help="What to watch.")],
    site: Annotated[str | None, typer.Option(help="The site; default: the one registered last.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Also what is there already.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on with what comes, until Ctrl-C.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Whole records, one JSON object a line.")] = False,
) -> None:
    """Print what is decided, sidelined, judged or refused, one readable line each.

    Dead letters show their reason and where the original lies. The global dead letters (references and products) are
    included in `dead`.
    """
    try:
        asyncio.run(_tail(here(), stream, site, from_beginning=from_beginning, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit from None


async def _tail(
    line: Line, stream: Stream, site: str | None, *, from_beginning: bool, follow: bool, as_json: bool
) -> None:
    console = Screen(soft_wrap=True, highlight=False)
    of_site = await the_site(line, site)
    entity = ENTITIES[stream]
    names = [topic(entity, of_site), *([topic(entity)] if entity is Entity.DEAD else [])]
    async with TopicReader(line.bootstrap, names, start="earliest" if from_beginning else "latest") as reader:
        for delivery in sorted(await reader.rest(), key=lambda one: (one.append_ms, one.partition, one.offset)):
            _show(console, stream, delivery, as_json=as_json)
        if follow:
            async for delivery in reader.follow():
                _show(console, stream, delivery, as_json=as_json)


def _show(console: Console, stream: Stream, delivery: Delivery, *, as_json: bool) -> None:
    if as_json:
        print(record_json(delivery), flush=True)
    else:
        console.print(on_one_line(said(stream, delivery)))


def said(stream: Stream, delivery: Delivery) -> Text:
    """Return the line for a record; one that cannot be read says so instead of ending the command."""
    try:
        match stream:
            case Stream.DECISIONS:
                return decision_line(decode(Decision, delivery.value))
            case Stream.SIDELINED:
                return sidelined_line(decode(Sidelined, delivery.value))
            case Stream.VERDICTS:
                return disposition_line(decode(Disposition, delivery.value))
            case Stream.DEAD:
                return dead_line(delivery, read_dead_letter(delivery.headers))
    except Poison as error:
        where = f"{delivery.topic}[{delivery.partition}]@{delivery.offset}"
        return Text(f"{where} cannot be read: {error}", style="red")
