"""`sideline gallery`: look at the references of products, withdraw one, let one in by hand."""

from __future__ import annotations

import asyncio
import getpass
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer

from cli.here import Line, here
from cli.screen import plain_json
from cli.tape import TopicReader
from cli.touched import touched
from cli.wording import verdict_word
from gallery.facts import Facts, State
from gallery.store import GalleryStore
from schemas.codec import cloud_headers, decode, encode, rfc3339
from schemas.faults import Fatal, Poison
from schemas.messages import Reference
from streams.outbox import Outbox
from streams.topics import Entity, topic
from telemetry.plain import plain

DONE_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.05
_EXAMPLES: Final = """Examples:

  sideline gallery list --state candidate

  sideline gallery show ref-4006381333931-1

  sideline gallery withdraw capture.01890a5d-ac96-774b-bcce-b302099a8057 --why "torn corner"

  sideline gallery promote capture.01890a5d-ac96-774b-bcce-b302099a8057 --why "seen at the vendor's"
"""
Name = Annotated[str, typer.Argument(metavar="REFERENCE", help="Its id, as `sideline gallery list` shows it.")]
Why = Annotated[str, typer.Option(help="Kept with the reference and on the references topic.")]
Who = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who says so; default: you.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    gallery = typer.Typer(no_args_is_help=True, help="Look at references, withdraw and promote them.", epilog=_EXAMPLES)
    gallery.command("list", epilog=_EXAMPLES)(list_references)
    gallery.command("show", epilog=_EXAMPLES)(show)
    gallery.command("withdraw", epilog=_EXAMPLES)(withdraw)
    gallery.command("promote", epilog=_EXAMPLES)(promote)
    app.add_typer(gallery, name="gallery")


def list_references(
    product: Annotated[str | None, typer.Option(help="Only those of this product.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only those that stand so; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the last changed first.")] = 50,
) -> None:
    """List references with where they stand, since when, who says that they are pristine, and why they stand so."""
    asyncio.run(_list(here(), product, frozenset(state or ()), limit))


def show(reference_id: Name) -> None:
    """Show everything that is known of a reference: its life, the capture it was, the check that let it in."""
    asyncio.run(_show(here(), reference_id))


def withdraw(reference_id: Name, why: Why, who: Who = None) -> None:
    """Take a reference out of every inspector within seconds, and list each decision that was measured against it."""
    asyncio.run(_withdraw(here(), reference_id, f"{_name(who)}: {why}"))


def promote(reference_id: Name, why: Why, who: Who = None) -> None:
    """Let a candidate, retired or withdrawn reference in by hand: whoever does it vouches for it."""
    asyncio.run(_promote(here(), reference_id, f"{_name(who)}: {why}"))


async def _list(line: Line, product: str | None, states: frozenset[State], limit: int) -> None:
    async with _opened(line) as store:
        found = {
            key: facts
            async for key, facts in store.all_facts()
            if (product is None or facts.product_id == product) and (not states or facts.state in states)
        }
    rows = sorted(found.items(), key=lambda pair: (-pair[1].since_ms, pair[0]))[:limit]
    for key, facts in rows:
        print(f"{key}  {facts.product_id}  {facts.state.value} since {_moment(facts.since_ms)}: {plain(facts.why)}")
    print(f"{len(rows)} of {len(found)} references")


async def _show(line: Line, reference_id: str) -> None:
    async with _opened(line) as store:
        facts = await _known(store, reference_id)
    told = msgspec.json.encode({"reference_id": reference_id, **msgspec.to_builtins(facts)})
    print(plain_json(msgspec.json.format(told)))


async def _withdraw(line: Line, reference_id: str, why: str) -> None:
    async with _opened(line) as store:
        facts = await _known(store, reference_id)
        if facts.state is State.WITHDRAWN:
            raise Fatal(f"reference {reference_id} is withdrawn already: {facts.why}")
        now = datetime.now(UTC)
        await _publish(
            line,
            Reference(
                reference_id=reference_id, product_id=facts.product_id, source=why, enrolled_at=now, withdrawn=True
            ),
        )
        took_s = await _until(store, reference_id, State.WITHDRAWN)
    print(f"withdrawn after {took_s:.1f} s; inspectors that follow the gallery have it out within a second more")
    held = [step.at_ms for step in facts.history if step.state.held]
    number = 0
    async for decision in touched(line, reference_id, since_ms=min(held, default=facts.enrolled_ms)):
        number += 1
        print(f"  {decision.capture_id}  {decision.site}  {rfc3339(decision.decided_at)}  {verdict_word(decision)}")
    print(f"{number} decisions were measured against it")


async def _promote(line: Line, reference_id: str, why: str) -> None:
    async with _opened(line) as store:
        facts = await _known(store, reference_id)
        if facts.state.held:
            raise Fatal(f"reference {reference_id} is {facts.state.value} already")
        message = await _last_message(line, reference_id)
        fresh = msgspec.structs.replace(
            message, source=why, enrolled_at=datetime.now(UTC), judged=None, withdrawn=False
        )
        await _publish(line, fresh)
        took_s = await _until(store, reference_id, State.TRUSTED)
    print(f"trusted after {took_s:.1f} s, on the word of {plain(why)}")


async def _last_message(line: Line, reference_id: str) -> Reference:
    """Return the newest message that has the reference's pictures."""
    newest: Reference | None = None
    async with TopicReader(line.bootstrap, [topic(Entity.REFERENCES)]) as reader:
        for delivery in await reader.rest():
            if delivery.key != reference_id.encode():
                continue
            try:
                message = decode(Reference, delivery.value)
            except Poison:
                continue
            newest = message if message.views else newest
    if newest is None:
        raise Fatal(f"no message with pictures of {reference_id} is left on its topic: publish a new reference")
    return newest


async def _publish(line: Line, reference: Reference) -> None:
    outbox = Outbox(line.bootstrap, client_id="sideline-gallery")
    try:
        await outbox.send(
            topic(Entity.REFERENCES),
            key=reference.reference_id.encode(),
            value=encode(reference),
            headers=cloud_headers(
                entity="reference",
                event_id=f"{reference.reference_id}.{rfc3339(reference.enrolled_at)}",
                source="/sideline/gallery",
                time=rfc3339(reference.enrolled_at),
            ),
        )
    finally:
        await outbox.close()


async def _until(store: GalleryStore, reference_id: str, state: State) -> float:
    """Wait until a reference stands as it should, and return how long it took in seconds."""
    started = time.monotonic()
    while time.monotonic() - started < DONE_WITHIN_S:
        facts = await store.facts(reference_id)
        if facts is not None and facts.state is state:
            return time.monotonic() - started
        await asyncio.sleep(LOOK_EVERY_S)
    raise Fatal(
        f"published, but the curator did not make {reference_id} {state.value} within {DONE_WITHIN_S:.0f} s: "
        "sideline logs curator"
    )


async def _known(store: GalleryStore, reference_id: str) -> Facts:
    facts = await store.facts(reference_id)
    if facts is None:
        raise Fatal(f"the gallery knows no reference {reference_id}: sideline gallery list")
    return facts


@asynccontextmanager
async def _opened(line: Line) -> AsyncIterator[GalleryStore]:
    store = GalleryStore(line.endpoints.redis_gallery_url)
    try:
        yield store
    finally:
        await store.close()


def _name(who: str | None) -> str:
    return who if who is not None else f"hand-{re.sub(r'[^A-Za-z0-9._-]', '-', getpass.getuser())}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
