"""`sideline explain`: why a capture was answered as it was, in words and as a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from budget.config import BudgetConfig
from cli.find import Found, find
from cli.here import Line, calibration_at_hand, here
from cli.history.render import rendered
from cli.history.tell import tell_history
from cli.history.where import where_of
from cli.pictures import Pictures
from cli.poster import Tile, draw
from cli.screen import Screen, plain_json
from cli.story import Story, tell
from cli.wording import STYLES
from gallery.store import GalleryStore
from schemas.faults import Retryable
from settings.line import Settings

_EXAMPLES = """Examples:

  sideline explain 01890a5d-ac96-774b-bcce-b302099a8057

  sideline explain 01890a5d-ac96-774b-bcce-b302099a8057 --out why.png

  sideline explain 01890a5d-ac96-774b-bcce-b302099a8057 --json | jq .decision.evidence

  sideline explain 01890a5d-ac96-774b-bcce-b302099a8057 --history
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(explain)


def explain(
    capture_id: Annotated[str, typer.Argument(help="The capture, as `sideline tail` shows it.")],
    site: Annotated[str | None, typer.Option(help="Its site; default: all are searched.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the picture goes; default: the run folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The record and the story as JSON; no picture.")] = False,
    history: Annotated[bool, typer.Option(help="What happened to it, moment by moment, decided or not.")] = False,
) -> None:
    """Explain a decision: the outcome, the evidence and what each piece of it adds, the budget, the people.

    Also writes a picture (PNG) with the views, the place of the evidence, the references it was compared with, the
    score against the threshold in force, the budget and the versions. Works for undetermined and refused captures too.

    With --history: every delivery, attempt and emission on one time line, from all topics, both stores and the logs of
    the run folder, and where the capture stands: also when it waits, or is lost. Attempts are in the logs of workers
    that run with SIDELINE_LOG_LEVEL=debug.
    """
    if history:
        asyncio.run(_history(here(), capture_id.lower(), site, as_json=as_json))
        return
    asyncio.run(_explain(here(), capture_id.lower(), site, out, as_json=as_json))


async def _explain(line: Line, capture_id: str, site: str | None, out: Path | None, *, as_json: bool) -> None:
    settings = Settings()
    found = await find(line, capture_id, site)
    story = tell(found, calibration=calibration_at_hand(settings), config=await _config(line, found))
    if as_json:
        print(plain_json(msgspec.json.format(msgspec.json.encode(_record(found, story)))))
        return
    Screen(highlight=False).print(said(story))
    path = out or line.folder.root / "explained" / f"{capture_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = Pictures(settings, image_root=line.folder.images)
    draw(story, views=await _views(found, pictures), references=await _references(line, found, pictures), path=path)
    print(f"\npicture: {path}")


async def _history(line: Line, capture_id: str, site: str | None, *, as_json: bool) -> None:
    told = await tell_history(where_of(line), capture_id, site)
    if as_json:
        print(plain_json(msgspec.json.format(msgspec.json.encode(told))))
        return
    Screen(highlight=False).print(rendered(told), soft_wrap=True, end="")


def said(story: Story) -> Group:
    """Return the story as a person reads it in a terminal."""
    style = STYLES.get(story.tone, "bold")
    sections: Iterable[tuple[str, tuple[str, ...]]] = (
        ("where", story.where),
        ("score", story.terms),
        ("kinds", tuple(f"{share.chance:4.0%} {share.kind}" for share in story.kinds[:3])),
        ("identity", story.identity),
        ("budget", story.budget_words),
        ("verdicts", story.verdicts),
        ("times", story.times),
        ("versions", story.versions),
        ("ids", story.ids),
    )
    parts: list[Text | Padding] = [Text(story.headline, style=style), Text(story.why)]
    for name, lines in sections:
        if lines:
            parts.append(Text(f"\n{name}", style="bold"))
            parts += [Padding(Text(line), (0, 0, 0, 2)) for line in lines]
    return Group(*parts)


async def _config(line: Line, found: Found) -> BudgetConfig | None:
    if found.decision is None or found.decision.config_version is None:
        return None
    store = line.store()
    try:
        return await store.configuration(found.site, found.decision.config_version)
    finally:
        await store.close()


async def _views(found: Found, pictures: Pictures) -> list[Tile]:
    known = [] if found.capture is None else found.capture.views
    uris = found.decision.views if found.decision is not None else [view.uri for view in known]
    evidence = found.decision.evidence if found.decision is not None else None
    tiles = []
    for number, uri in enumerate(uris):
        camera = f", {known[number].camera_id}" if number < len(known) else ""
        place = evidence.place if evidence is not None and evidence.view == number else []
        tiles.append(await pictures.tile(uri, f"view {number + 1} of {len(uris)}{camera}", place=place))
    return tiles


async def _references(line: Line, found: Found, pictures: Pictures) -> list[Tile]:
    if found.decision is None or found.decision.evidence is None:
        return []
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    tiles = []
    try:
        for reference_id in found.decision.evidence.references:
            uris = await gallery.uris(reference_id)
            if not uris:
                tiles.append(Tile(reference_id, missing="withdrawn since"))
            tiles += [await pictures.tile(uri, reference_id) for uri in uris]
    except Retryable as error:
        tiles.append(Tile("gallery", missing=str(error)))
    finally:
        await gallery.close()
    return tiles


def _record(found: Found, story: Story) -> dict[str, object]:
    return {
        "capture_id": found.capture_id,
        "site": found.site,
        "decision": found.decision,
        "refused": found.refused,
        "verdicts": found.verdicts,
        "story": asdict(story),
    }
