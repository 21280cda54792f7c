"""`sideline dataset export`: what people judged becomes a data set to train and measure on."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.table import Table

from cli.here import here, the_site
from cli.live import wide_console
from cli.meter import Meter
from cli.moments import FORMS, moment
from schemas.faults import Fatal

if TYPE_CHECKING:  # commands are imported before their work is
    from training.data.claim import Order, Told

EXAMPLES: Final = """Examples:

  sideline dataset export --since 7d --out week/

  sideline dataset export --site fra1 --since 2026-11-01 --until 2026-12-01 --layout B --out november/

  sideline dataset export --since 7d --out week/ && sideline dataset check week/
"""
_NOW: Final = "0m"
_SHOWN: Final = 5  # missing pictures on the screen; the report names more


def export(
    since: Annotated[str, typer.Option(metavar="TIME", help=f"First captures decided then: {FORMS}.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder, or one that this command was stopped in.")],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Captures decided before then; default: now.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Default: the one used last, or the only one.")] = None,
    layout: Annotated[
        str, typer.Option(help="A: a folder for each kind of file, B: all under one (Kaputt's two).")
    ] = "A",
    seed: Annotated[int, typer.Option(help="Of the split by products; keep it from one export to the next.")] = 0,
) -> None:
    """Write what people judged as a data set: pictures, labels, weights, references.

    Every divert with a verdict in time becomes a sample: stops for damage or identity, and audits. The first verdict is
    the label; where later ones contradict it, the sample says so. `unsure` is no label. Passes that nobody looked at
    are not there; the column `weight` says how many captures a sample stands for, 1 for a stop, one over the audit's
    probability for an audit. docs/feedback.md explains what to do with it.

    Pictures are read like the line reads them and must be the ones that were announced; those that are gone are listed.
    Stopped and called again with the same options it goes on where it was; when all is there it changes nothing.
    """
    from training.data.claim import REPORT

    try:
        order, told, unreadable = asyncio.run(_export(since, until, site, layout, seed, out))
    except ImportError as error:
        raise Fatal(f"writing data sets needs {error.name}: install the group `lab` (make setup)") from None
    _print(order, told, unreadable)
    print(f"\nThe whole of it: {out / REPORT}. Next: sideline dataset check {out}")


async def _export(
    since: str, until: str | None, site: str | None, layout: str, seed: int, out: Path
) -> tuple[Order, Told, int]:
    import cli.verdicts as topics
    from training.data.claim import Order, claim, known_order
    from training.data.export import export as write
    from training.data.export import labelled, product_of

    now = datetime.now(UTC)
    begun = known_order(out)
    if layout.upper() not in {"A", "B"}:
        raise Fatal(f"there is no layout {layout!r} to write; there are A and B")
    line, said = here(), until or _NOW
    order = Order(
        site=await the_site(line, site),
        since=begun.since if begun and begun.since_said == since else moment(since, now),
        until=begun.until if begun and begun.until_said == said else moment(said, now),
        layout=layout.upper(),
        seed=seed,
        since_said=since,
        until_said=said,
    )
    if order.since >= order.until:
        raise Fatal(f"nothing lies between {order.since.isoformat()} and {order.until.isoformat()}")
    if (done := claim(out, order)) is not None:
        return order, done, 0
    console = wide_console(stderr=True)
    with Meter(console) as meter:
        heap = await topics.gather(line, order.site, order.since, order.until)
        products = {product for stop in labelled(heap.docket) if (product := product_of(stop)) is not None}
        pristine = await topics.references(line, products) if products else []
        async with topics.fetching(line) as fetch:
            told = await write(
                order,
                out,
                heap.docket,
                passes=heap.passes,
                audits_refused=heap.audits_refused,
                pictures=heap.pictures,
                references=pristine,
                fetch=fetch,
                now_ms=round(now.timestamp() * 1000),
                say=meter.say,
            )
    return order, told, heap.unreadable


def _print(order: Order, told: Told, unreadable: int) -> None:
    console = wide_console()
    span = f"{order.since:%Y-%m-%d %H:%M} to {order.until:%Y-%m-%d %H:%M} UTC"
    samples = sum(told.samples.values())
    table = Table(title=f"{order.site}, {span}: {samples:,} samples", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("diverted for", "damaged", "sellable", "wrong_item", "unsure"):
        table.add_column(column, justify="left" if column == "diverted for" else "right")
    for divert in ("damage", "identity", "audit"):
        verdicts = [
            told.verdicts.get(f"{divert} {verdict}", 0) for verdict in ("damaged", "sellable", "wrong_item", "unsure")
        ]
        table.add_row(divert, *(f"{number:,}" for number in verdicts))
    console.print(table)
    splits = ", ".join(f"{split} {number:,}" for split, number in told.samples.items())
    console.print(f"samples by product: {splits}; references {told.references:,}", highlight=False)
    for number, words in (
        (told.waiting, "diverts still wait for a verdict: export again later, into another folder"),
        (told.late, "diverts were judged after their time only, and left out"),
        (told.unjudged, "diverts were judged by nobody"),
        (told.revised, "samples have later verdicts, which changed nothing"),
        (told.contradicted, "verdicts contradict each other or themselves (fact `contradicted`)"),
        (told.unknown_kinds, "verdicts name a kind of damage that is not known here; it was left out"),
        (told.audits_refused, "passes were drawn for an audit that the station had no capacity for: estimates are low"),
        (told.no_chance, "judged diverts do not say how likely they were, and were left out"),
        (told.without_pictures, "judged diverts do not name pictures that could be proved, and were left out"),
        (told.missing, "judged diverts have a picture that is gone or is not the one announced, and were left out"),
        (told.references_missing, "references have such a picture"),
        (told.references_of_samples, "references show the very pictures of a sample, and were left out"),
        (told.depth_missing, "depth views are gone"),
        (unreadable, "records on the topics could not be read"),
    ):
        if number:
            console.print(f"{number:>7,} {words}", highlight=False)
    for named in (told.missing_named + told.references_missing_named)[:_SHOWN]:
        console.print(f"        {named}", style="dim", highlight=False, soft_wrap=True, markup=False)
    _print_estimate(told)
    sys.stdout.flush()


def _print_estimate(told: Told) -> None:
    said = told.estimate
    if not said.passes_estimated:
        return
    print(
        f"Audits stand for {said.passes_estimated:,.0f} passes (standard error {said.passes_error:,.0f}); "
        f"{said.passes:,} were counted."
    )
    if said.recall is not None:
        print(
            f"Damaged: {said.damaged_stopped:,} stopped; {said.damaged_passed:,.0f} passed, standard error "
            f"{said.damaged_passed_error:,.0f}, from {said.damaged_audited:,} audits: recall {said.recall:.2f}."
        )
