"""`sideline inspect`: a folder of pictures through the line, a row per picture."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from budget.config import BudgetConfig
from cli.album import Photo, open_album, products_of
from cli.asking import Answer, Inquiry, Listing
from cli.here import Line, calibration_at_hand
from cli.live import wide_console
from cli.rows import HEADING, row, row_json
from cli.score_card import ScoreCard, score_card
from cli.upkeep import Wanted, running_line
from cli.watch import scrape, worker_ports
from deploy.local.parts import Parts
from schemas.faults import Fatal
from schemas.words import MICRO
from settings.line import Settings

SITE: Final = "inspect"
LINE: Final = "pictures"
TAKEN_UP_WITHIN_S: Final = 30.0
# No scans will come, and big photographs may take a while: only for workers that this command itself starts.
PATIENT: Final = {"SIDELINE_SCAN_WAIT_S": "0", "SIDELINE_DECIDE_WITHIN_S": "30"}
_EXAMPLES: Final = """Examples:

  sideline inspect photos/

  sideline inspect photos/ --manifest labels.csv --threshold 1.5

  sideline inspect photos/ --json | jq 'select(.outcome == "damage") | .file'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(inspect)


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="JPEG, PNG or WebP, in subfolders too.")],
    manifest: Annotated[
        Path | None, typer.Option(help="CSV with path, label, product_id, expected_text; default: DIR/manifest.csv.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=-20, max=20, help="Log-odds from which a picture is sidelined; default: see below."),
    ] = None,
    keep_products: Annotated[
        bool, typer.Option("--keep-products", help="Leave products listed for the manifest's codes in the catalogue.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object per picture, then one with the totals.")
    ] = False,
) -> None:
    """Send each picture of a folder through the line as a capture of its own, and print what became of it.

    Uses the line that runs, or starts one and stops it afterwards. Where a manifest says what a picture's code reads
    (expected_text), a product with that code is listed first, so that the code can identify it; without one, codes
    that were read are shown as claims. Labels `damaged` and `intact` are compared with the answers.

    Scores are log-odds at the prevalence of a real line. Among pictures that somebody chose, damage is not that rare:
    so unless --threshold says otherwise, a picture is sidelined as soon as its evidence speaks for damage rather than
    against it.

    The pictures go to the site `inspect`, whose budget is so large that hardly ever a stop is withheld. They are
    copied into the image root, so that `sideline explain` works. The exit status is 1 unless every picture has an
    outcome.
    """
    photos = open_album(folder, manifest)
    config = generous_budget(even_evidence() if threshold is None else round(threshold * MICRO))
    wanted = Wanted(site=SITE, lines=(LINE,), config=config, inspectors=None, env=PATIENT)
    console = wide_console(stderr=as_json)
    with running_line(wanted, keep_up=False, say=partial(console.print, soft_wrap=True, highlight=False)) as (
        parts,
        line,
    ):
        card = asyncio.run(_inspect(photos, parts, line, keep_products=keep_products, as_json=as_json))
    if as_json:
        print(msgspec.json.encode(card).decode())
    else:
        console.print(card.render())
    if card.answered < card.pictures:
        raise typer.Exit(1)


def generous_budget(threshold: int) -> BudgetConfig:
    """Return a budget for trying things out: as many stops as anyone may send, at a threshold (micro) that stays put.

    Nobody judges these pictures, so every stop keeps its token until the verdict's time is over; the burst is what
    carries them. Only beyond 100,000 stops within eight hours would one be withheld.
    """
    return BudgetConfig(
        alpha_ppm=MICRO,
        burst_tokens=100_000,
        reserve=0,
        alpha_identity_ppm=MICRO,
        burst_identity=100_000,
        beta_ppm=MICRO,
        burst_diverts=100_000,
        audit_ppm=0,
        floor=threshold,
        ceiling=threshold,
        start_threshold=threshold,
    )


def even_evidence() -> int:
    """Return the score of a capture whose evidence speaks neither for damage nor against it, micro-log-odds."""
    calibration = calibration_at_hand(Settings())
    return calibration.prior if calibration is not None else 0


async def _inspect(photos: list[Photo], parts: Parts, line: Line, *, keep_products: bool, as_json: bool) -> ScoreCard:
    began = time.monotonic()

    def say(answer: Answer) -> None:
        print(row_json(answer) if as_json else row(answer), flush=True)

    async with Inquiry(line, SITE, LINE).open() as inquiry:
        listing = await inquiry.list_products(products_of(photos))
        try:
            if listing.fresh:
                await _taken_up(parts, listing.products)
            if not as_json:
                print(HEADING)
            answers = await inquiry.ask([_owned(photo, listing) for photo in photos], say=say)
        finally:
            if not keep_products:
                await inquiry.retire(listing.fresh)
    return score_card(answers, seconds=time.monotonic() - began)


def _owned(photo: Photo, listing: Listing) -> Photo:
    """Name the product that has the photo's code now."""
    return photo if photo.code is None else replace(photo, product_id=listing.owners[photo.code])


async def _taken_up(parts: Parts, products: int) -> None:
    """Wait until every inspector knows all products of the catalogue."""
    ports = worker_ports(await asyncio.to_thread(parts.status))
    deadline = time.monotonic() + TAKEN_UP_WITHIN_S
    while time.monotonic() < deadline:
        gauges = await asyncio.to_thread(scrape, ports)
        held = [seen.products for name, seen in gauges.items() if name.startswith("inspector")]
        if held and min(held) >= products:
            return
        await asyncio.sleep(0.5)
    raise Fatal(f"the inspectors did not take up {products} products within {TAKEN_UP_WITHIN_S:.0f} s")
