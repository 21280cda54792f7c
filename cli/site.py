"""`sideline init`, `sideline site` and `sideline budget`: the store, the topics, the sites and what each may cost."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
import typer

from budget.config import BudgetConfig
from budget.store import DecisionStore
from cli.here import Line, here
from schemas.faults import Fatal
from schemas.words import ID_PATTERN, MICRO
from streams.topics import create_topics

DEFAULT_LINES: Final = ("line-1",)
_GROUP: Final = "Sites and budgets"
_SITE_EXAMPLES: Final = """Examples:

  sideline site add fra1

  sideline site add fra1 --line inbound-1 --line inbound-2

  sideline site list
"""
_BUDGET_EXAMPLES: Final = """Examples:

  sideline budget fra1

  sideline budget fra1 --set alpha_ppm=5000 --set burst_tokens=50
"""


async def initialise(line: Line, *, partitions: int | None = None) -> str:
    """Make the decision store's id, if it has none, and all topics; return the id. Run it as often as you like.

    The id is kept in the run folder, so that every later command and worker there is pinned to this store.

    Raises:
        Fatal: the store is another one than pinned.
        Retryable: `redis` or `kafka` is away.
    """
    async with _opened(line) as store:
        store_id = await store.initialise()
        _pin(line, store_id)
        await create_topics(line.bootstrap, list(await store.sites()), partitions=partitions)
    return store_id


async def add_site(
    line: Line,
    site: str,
    lines: tuple[str, ...] = DEFAULT_LINES,
    *,
    config: BudgetConfig | None = None,
    partitions: int | None = None,
) -> None:
    """Make a site's topics, then register it; workers that run take it up within seconds.

    Topics come first: a worker that sees the site finds them. Adding a known site adds its lines and changes nothing.

    Raises:
        Fatal: no id, a configuration that cannot hold, or no store.
        Retryable: `redis` or `kafka` is away.
    """
    for name in (site, *lines):
        if not re.match(ID_PATTERN, name):
            raise Fatal(f"{name!r} is no name for a site or line: letters, digits, dot, dash and underscore, 1 to 64")
    async with _opened(line) as store:
        await store.verify()
        await create_topics(line.bootstrap, [site], partitions=partitions)
        await store.register(site, lines, config or BudgetConfig())


@contextlib.asynccontextmanager
async def _opened(line: Line) -> AsyncIterator[DecisionStore]:
    """Open the line's decision store for a command."""
    store = line.store()
    try:
        yield store
    finally:
        await store.close()


def _pin(line: Line, store_id: str) -> None:
    """Keep the store's id beside the endpoints."""
    file = line.folder.endpoints_file
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
    if known.get("store_id") != store_id:
        fresh = file.with_suffix(".part")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode({**known, "store_id": store_id})) + b"\n")
        fresh.replace(file)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_GROUP, epilog="Example:  sideline init")(init)
    site = typer.Typer(no_args_is_help=True, help="Register sites and show them.", epilog=_SITE_EXAMPLES)
    site.command("add", epilog=_SITE_EXAMPLES)(site_add)
    site.command("list", epilog=_SITE_EXAMPLES)(site_list)
    app.add_typer(site, name="site", rich_help_panel=_GROUP)
    app.command(rich_help_panel=_GROUP, epilog=_BUDGET_EXAMPLES)(budget)


def init() -> None:
    """Give the decision store its id and make the topics. Idempotent."""
    store_id = asyncio.run(initialise(here()))
    print(f"decision store {store_id}")
    print("elsewhere, pin it for every worker: SIDELINE_STORE_ID=" + store_id)


def site_add(
    name: Annotated[str, typer.Argument(help="The site: letters, digits, dot, dash, underscore.")],
    line: Annotated[list[str] | None, typer.Option(help="A line of the site; may be given more than once.")] = None,
) -> None:
    """Register a site with its lines and make its topics. Adding it again adds lines and changes nothing else."""
    lines = tuple(line or DEFAULT_LINES)
    asyncio.run(add_site(here(), name, lines))
    print(f"site {name} is registered with {', '.join(lines)}; workers take it up within seconds")


def site_list() -> None:
    """Show the registered sites."""

    async def gather() -> dict[str, frozenset[str]]:
        async with _opened(here()) as store:
            return await store.sites()

    sites = asyncio.run(gather())
    for name, lines in sites.items():
        print(f"{name}\t{', '.join(sorted(lines))}")
    if not sites:
        print("no site is registered: sideline site add NAME")


def budget(
    site: Annotated[str, typer.Argument(help="The site.")],
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the configuration.")
    ] = None,
) -> None:
    """Show a site's budget and its configuration, or change the configuration while the line runs.

    A configuration that cannot hold is refused, with the number it needs. Lowering a burst destroys tokens at once,
    raising it grants none.
    """
    asyncio.run(_budget(here(), site, change or []))


async def _budget(line: Line, site: str, changes: list[str]) -> None:
    async with _opened(line) as store:
        state = await store.state(site)
        if changes:
            version = await store.configure(site, _changed(state.config, changes))
            state = await store.state(site)
            print(f"configuration {version} is in force")
        print(f"seq {state.seq}, balance {state.balance / MICRO:.2f}, pending {state.pending / MICRO:.2f} tokens")
        for name, value in msgspec.structs.asdict(state.config).items():
            print(f"  {name:24}{'' if value is None else value}")


def _changed(config: BudgetConfig, changes: list[str]) -> BudgetConfig:
    fields = msgspec.to_builtins(config)
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in fields:
            raise Fatal(f"{change!r}: write FIELD=VALUE with a field of: {', '.join(fields)}")
        fields[name] = None if value in {"", "none"} else value
    try:
        return msgspec.convert(fields, BudgetConfig, strict=False)
    except msgspec.ValidationError as error:
        raise Fatal(f"budget configuration refused: {error}") from error
