"""`sideline init`, `sideline site` and `sideline budget`: the store, the topics, the sites and what each may cost."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import re
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from budget.associates import outliers
from budget.config import BudgetConfig, LineBudget
from budget.records import ConfigChange
from budget.store import DecisionStore
from cli.certify import certified_start
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

  sideline budget fra1 --set alpha_ppm=5000 --set burst_tokens=50 --why "second station opened"

  sideline budget fra1 --set lines.inbound-1.alpha_ppm=2000 --set lines.inbound-1.burst_tokens=20

  sideline budget fra1 --set lines.inbound-1=none

  sideline budget fra1 --override -2.5 --for 30m --why "new lamps on line 2"

  sideline budget fra1 --certify triton_models/fusion.json --why "a new site"

  sideline budget fra1 --history
"""
_ASSOCIATES_EXAMPLES: Final = """Example:

  sideline associates fra1
"""
_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[smh])")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}


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
        fresh.touch(mode=0o600)  # a URL may hold a password
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
    app.command(rich_help_panel=_GROUP, epilog=_ASSOCIATES_EXAMPLES)(associates)


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
    override: Annotated[
        float | None, typer.Option(help="Set the threshold by hand, in log-odds; needs --for and --why.")
    ] = None,
    lasting: Annotated[str, typer.Option("--for", help="How long the override holds: 45s, 30m, 8h.")] = "",
    certify: Annotated[
        Path | None,
        typer.Option(
            metavar="FUSION_JSON", help="Set start_threshold to what the negatives in there certify at alpha."
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Who changes it; default: the user of this shell.")] = "",
    why: Annotated[str, typer.Option(help="Kept with the new version of the configuration.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Show who changed what, when and why.")] = False,
) -> None:
    """Show a site's budget and its configuration, or change the configuration while the line runs.

    A configuration that cannot hold is refused, with the number it needs. Lowering a burst destroys tokens at once,
    raising it grants none. An override ends by itself; so that nobody wonders later, it needs a reason.
    """
    changes = [*(change or []), *_by_hand(override, lasting, why)]
    asyncio.run(_budget(here(), site, changes, certify=certify, by=by or _whoever(), why=why, history=history))


def associates(site: Annotated[str, typer.Argument(help="The site.")]) -> None:
    """Show how often each associate confirms a stop, and whose verdicts stand out.

    Beside that: how second looks agree. Counted are the recent ones: whenever an associate has a thousand, all counts
    are halved.
    """
    asyncio.run(_associates(here(), site))


def _by_hand(override: float | None, lasting: str, why: str) -> list[str]:
    """Return the changes that an override means."""
    if override is None:
        if lasting:
            raise Fatal("--for says how long --override holds; give both")
        return []
    match = _DURATION.fullmatch(lasting)
    if match is None or not int(match["number"]):
        raise Fatal(f"--for {lasting!r}: an override must end; write 45s, 30m or 8h")
    if not why:
        raise Fatal("--override needs --why: whoever looks at the decisions later has to know")
    until_ms = time.time_ns() // 1_000_000 + int(match["number"]) * _UNIT_MS[match["unit"]]
    return [f"override_threshold={round(override * MICRO)}", f"override_until_ms={until_ms}"]


def _whoever() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "unknown"


async def _budget(
    line: Line, site: str, changes: list[str], *, certify: Path | None, by: str, why: str, history: bool
) -> None:
    async with _opened(line) as store:
        state = await store.state(site)
        if certify is not None:
            alpha_ppm = changed(state.config, changes).alpha_ppm
            changes = [*changes, f"start_threshold={certified_start(certify, alpha_ppm=alpha_ppm)}"]
        if changes:
            version = await store.configure(site, changed(state.config, changes), by=by, why=why)
            state = await store.state(site)
            print(f"configuration {version} is in force")
        if history:
            _print_history(await store.changes(site))
            return
        print(f"seq {state.seq}, balance {state.balance / MICRO:.2f}, pending {state.pending / MICRO:.2f} tokens")
        for name, own in state.lines.items():
            if own.burst_tokens:
                told = f"balance {own.balance / MICRO:.2f}, pending {own.pending / MICRO:.2f} tokens"
                print(f"line {name}: seq {own.seq}, {told}")
        for name, value in msgspec.structs.asdict(state.config).items():
            shown = msgspec.json.encode(value).decode() if name == "lines" else "" if value is None else value
            print(f"  {name:24}{shown}")


def _print_history(changes: Sequence[ConfigChange]) -> None:
    before: dict[str, object] = {}
    for one in changes:
        now = msgspec.structs.asdict(one.config)
        different = [f"{name}={value}" for name, value in now.items() if before.get(name, value) != value]
        at = (
            datetime.fromtimestamp(one.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if one.at_ms else "unknown time"
        )
        about = " ".join((f"by {one.by}" if one.by else "", f"({one.why})" if one.why else "")).strip()
        print(f"{one.version:4}  {at}  {about}  {', '.join(different)}".rstrip())
        before = now


async def _associates(line: Line, site: str) -> None:
    async with _opened(line) as store:
        await store.state(site)  # says so if there is no such site
        found = await store.associates(site)
    if not found:
        print("no verdict has come yet")
    for name, one in found.items():
        parts = [f"{one.judged} stops judged"]
        if one.judged:
            parts.append(f"{one.confirmed / one.judged:.0%} confirmed")
        if one.rechecked:
            parts.append(f"{one.agreed} of {one.rechecked} second looks agreed")
        if one.audits:
            parts.append(f"{one.audits_damaged} of {one.audits} audits damaged")
        print(f"{name}\t{', '.join(parts)}")
    for outlier in outliers(found):
        print(f"stands out: {outlier}")


def changed(config: BudgetConfig, changes: Sequence[str]) -> BudgetConfig:
    """Return a configuration with changes as people type them, FIELD=VALUE each.

    Raises:
        Fatal: no such field, or a value that it cannot have.
    """
    fields = msgspec.to_builtins(config)
    for change in changes:
        name, equals, value = change.partition("=")
        new = None if value in {"", "none"} else value
        if equals and name.startswith("lines."):
            _change_line(fields["lines"], name.removeprefix("lines."), new)
        elif equals and name in fields and name != "lines":
            fields[name] = new
        else:
            raise Fatal(f"{change!r}: write FIELD=VALUE with a field of: {', '.join(fields)}")
    try:
        return msgspec.convert(fields, BudgetConfig, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # a shell may pass bytes that are no text
        raise Fatal(f"budget configuration refused: {error}") from error


def _change_line(lines: dict[str, dict[str, object]], name: str, value: str | None) -> None:
    """Change `LINE.FIELD`, or take the budget of `LINE` away. A line's name may hold dots, a field's does not."""
    if value is None:
        if lines.pop(name, None) is None:
            raise Fatal(f"line {name} has no budget of its own")
        return
    line, _, field = name.rpartition(".")
    known = msgspec.structs.fields(LineBudget)
    if not line or field not in {each.name for each in known}:
        raise Fatal(f"lines.{name}: write lines.LINE.FIELD with a field of: {', '.join(each.name for each in known)}")
    lines.setdefault(line, {})[field] = value
