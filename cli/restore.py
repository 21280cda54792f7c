"""`sideline restore`: rebuild a site's decision store from its topics after the store lost data."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Final

import typer

from budget.config import BudgetConfig
from budget.restore import Restored
from cli.dead.recorded import rejected_captures
from cli.here import Line, here
from cli.site import DEFAULT_LINES
from cli.tape import TopicReader
from schemas.faults import Fatal
from streams.topics import Entity, topic

_EXAMPLES: Final = """Examples:

  sideline restore fra1

  sideline restore fra1 --line inbound-1 --line inbound-2
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(restore)


def restore(
    site: Annotated[str, typer.Argument(help="The site whose outcomes are rebuilt.")],
    line: Annotated[
        list[str] | None, typer.Option(help="A line of the site, where the store does not know it any more.")
    ] = None,
) -> None:
    """Rebuild a site's outcomes, open stops and sequence from its decisions, sidelines, verdicts and dead letters.

    Workers refuse to decide while the store is behind the decisions topic; this is what mends it. What was published
    keeps its bytes, numbering goes on where it ended, and the budget's balance starts again at zero, so that the cap
    holds over the gap. The configuration in force is kept if the store still has it, else the default one is used: set
    yours with `sideline budget` afterwards. It can be run again when it was interrupted.
    """
    restored = asyncio.run(restore_site(here(), site, tuple(line or ())))
    print(f"{site}: {restored.outcomes} outcomes rebuilt, {restored.known} were there, {restored.past} are past the")
    print(f"horizon, {restored.unreadable} values were unreadable; {restored.open_stops} stops wait for a verdict.")
    print(f"{restored.rejections} rejections came back from their dead letters.")
    print(f"The site goes on at seq {restored.seq}. Restart its workers if they gave up: sideline up")


async def restore_site(line: Line, site: str, lines: tuple[str, ...]) -> Restored:
    """Read the site's topics and write what they say into the pinned store.

    Raises:
        Fatal: no store id is pinned, or the store is another one.
        Retryable: `redis` or `kafka` is away.
    """
    if not line.store_id:
        raise Fatal("no store id is pinned here, so there is nothing to restore into: sideline init")
    values: dict[str, list[bytes]] = defaultdict(list)
    names = {entity: topic(entity, site) for entity in (Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS)}
    async with TopicReader(line.bootstrap, list(names.values())) as reader:
        for delivery in await reader.rest():
            if delivery.value is not None:
                values[delivery.topic].append(delivery.value)
    store = line.store()
    try:
        known = await store.sites()
        config = (await store.state(site)).config if known.get(site) else BudgetConfig()  # no lines: its keys are gone
        return await store.restore(
            site,
            sorted({*known.get(site, ()), *lines}) or list(DEFAULT_LINES),
            config,
            decisions=values[names[Entity.DECISIONS]],
            sidelined=values[names[Entity.SIDELINED]],
            dispositions=values[names[Entity.DISPOSITIONS]],
            rejected=await rejected_captures(line.bootstrap, site),
        )
    finally:
        await store.close()
