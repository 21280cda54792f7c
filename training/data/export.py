"""Captures that people judged as a data set in Kaputt's layouts, with weights that undo how they were chosen.

A capture leaves its rows in a journal once its files are on disk, so a run that was cut off goes on where it was; the
tables are written when all is there, the report last of all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from feedback.labels import Docket, Stop, truth_of
from feedback.weights import chance_ppm, estimate, weight
from schemas.faults import Fatal, Poison
from schemas.messages import Reference, View
from schemas.words import DamageKind, Verdict
from training.data.claim import Journal, Order, Told, claim, finish
from training.data.form import Label
from training.data.split import lasting_split
from training.data.tree import Layout, Taken, TakenReference, TakenView, Tree

_AT_ONCE: Final = 8  # captures whose pictures are under way
_MOST_LISTED: Final = 1000  # missing pictures that the report names; it counts all
SPLITS: Final = ("train", "validation", "test")

Say = Callable[[str, int, int], None]  # a stage, how much of it is done, of how much


@dataclass(frozen=True, slots=True)
class Fetched:
    """An event's RGB views with their cameras' depth, verified; `depth_missing` counts depth that was not to be had."""

    views: tuple[TakenView, ...]
    depth_missing: int = 0


Fetch = Callable[[Sequence[View]], Awaitable[Fetched]]
"""Fetches an event's views. Raises Poison where one is not what was announced, Retryable where storage is away."""


@dataclass(slots=True)
class _Counts:
    """What happens while writing."""

    missing: list[str] = field(default_factory=list)
    references_missing: list[str] = field(default_factory=list)
    without_pictures: int = 0
    depth_missing: int = 0
    own_pictures: int = 0  # references that are samples
    audits_refused: int = 0


def labelled(docket: Docket) -> list[Stop]:
    """Return the stops that become samples, the oldest first: with a verdict in time that says something."""
    chosen = [
        stop
        for stop in docket.stops
        if stop.first is not None and stop.first.disposition.verdict is not Verdict.UNSURE and chance_ppm(stop.decision)
    ]
    return sorted(chosen, key=lambda stop: (stop.decided_ms, stop.decision.capture_id))


def product_of(stop: Stop) -> str | None:
    """Return the product of a judged unit: what the line thought, unless a person said that it is another one."""
    wrong = stop.first is not None and stop.first.disposition.verdict is Verdict.WRONG_ITEM
    return None if wrong or stop.decision.identity is None else stop.decision.identity.product_id


async def export(
    order: Order,
    out: Path,
    docket: Docket,
    *,
    passes: int,
    audits_refused: int,
    pictures: Mapping[str, Sequence[View]],
    references: Sequence[Reference],
    fetch: Fetch,
    now_ms: int,
    say: Say,
) -> Told:
    """Write judged captures and the references of their products into `out`, and return what was done.

    `passes` counts the captures of the range that were decided to go on, `audits_refused` those of them that were drawn
    for an audit that the station had no capacity for. `pictures` are the views of each diverted
    capture as it announced them. Run again it goes on where it was; when all is there it changes nothing.

    Raises:
        Fatal: the folder is somebody else's or another order's, or cannot be written to.
        Retryable: the pictures' storage is away; run it again.
    """
    done = claim(out, order)
    if done is not None:
        return done
    counts, cases = _Counts(), labelled(docket)
    try:
        journal = Journal(out)
        writer = _Writer(order, out, journal, fetch, counts)
        with_pictures = [stop for stop in cases if pictures.get(stop.decision.capture_id)]
        counts.without_pictures = len(cases) - len(with_pictures)
        await _each("captures", with_pictures, lambda stop: writer.put(stop, pictures[stop.decision.capture_id]), say)
        shown = {view.sha256 for stop in with_pictures for view in pictures[stop.decision.capture_id]}
        apart = [one for one in references if not shown & {view.sha256 for view in one.views}]
        await _each("references", apart, writer.refer, say)
        rows = journal.rows()
        for split in SPLITS:
            queries, pristine = rows["query", split], rows["reference", split]
            if queries or pristine:
                writer.trees[split].close(queries, pristine)
        counts.own_pictures, counts.audits_refused = len(references) - len(apart), audits_refused
        told = _told(docket, passes, now_ms, rows, counts)
        finish(out, told)
    except OSError as error:
        raise Fatal(f"{out} cannot be written to: {error.strerror}. Run it again once that is mended") from error
    return told


@dataclass(slots=True)
class _Writer:
    """Fetches pictures and writes them into the tree of their split."""

    order: Order
    out: Path
    journal: Journal
    fetch: Fetch
    counts: _Counts
    trees: dict[str, Tree] = field(init=False)

    def __post_init__(self) -> None:
        layout: Layout = "A" if self.order.layout == "A" else "B"
        self.trees = {split: Tree(self.out, split, layout) for split in SPLITS}

    async def put(self, stop: Stop, views: Sequence[View]) -> None:
        """Write one capture, unless that was done; one whose pictures are not to be had is listed."""
        name = stop.decision.capture_id
        if self.journal.has("query", name):
            return
        split = lasting_split(_group(stop), self.order.seed)
        try:
            fetched = await self.fetch(views)
            rows = await asyncio.to_thread(self.trees[split].put, _taken(stop, fetched.views))
        except Poison as poison:
            self.counts.missing.append(f"{name}: {poison}")
            return
        self.counts.depth_missing += fetched.depth_missing
        self.journal.add("query", split, name, rows)

    async def refer(self, reference: Reference) -> None:
        """Write one reference, unless that was done."""
        name = reference.reference_id
        if self.journal.has("reference", name):
            return
        split = lasting_split(f"product {reference.product_id}", self.order.seed)
        try:
            fetched = await self.fetch(reference.views)
            taken = TakenReference(name, reference.product_id, fetched.views)
            rows = await asyncio.to_thread(self.trees[split].put_reference, taken)
        except Poison as poison:
            self.counts.references_missing.append(f"{name}: {poison}")
            return
        self.counts.depth_missing += fetched.depth_missing
        self.journal.add("reference", split, name, rows)


async def _each(stage: str, things: Sequence[Any], do: Callable[[Any], Awaitable[None]], say: Say) -> None:
    say(stage, 0, len(things))
    done = 0
    for batch in _batches(things):
        await asyncio.gather(*(do(each) for each in batch))
        done += len(batch)
        say(stage, done, len(things))


def _batches(things: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(things)
    while batch := list(itertools.islice(rest, _AT_ONCE)):
        yield batch


def _group(stop: Stop) -> str:
    """Return what must not be torn apart: all captures of a product, else all of a unit."""
    product_id = product_of(stop)
    return f"unit {stop.decision.unit_id}" if product_id is None else f"product {product_id}"


def _taken(stop: Stop, views: tuple[TakenView, ...]) -> Taken:
    return Taken(
        capture_id=stop.decision.capture_id,
        views=views,
        product_id=product_of(stop),
        label=_label(stop),
        facts=_facts(stop),
        weight=weight(stop.decision),
    )


def _label(stop: Stop) -> Label | None:
    if stop.first is None:  # `labelled` lets none through
        return None
    truth = truth_of(stop.first.disposition)
    return None if truth.damaged is None else Label(truth.damaged, truth.kinds, truth.severity)


def _facts(stop: Stop) -> dict[str, str]:
    """Return what figures may be sliced by. Not who judged: a data set travels, and people are not its subject."""
    decision = stop.decision
    facts = {
        "site": decision.site,
        "line": decision.line,
        "station": decision.station,
        "divert": decision.divert.value,
        "verdict": stop.first.disposition.verdict.value if stop.first else "",
        "identity": decision.identity.method.value if decision.identity else "none",
        "withheld": "yes" if decision.withheld else "no",
        "contradicted": "yes" if stop.contradicted else "no",
    }
    if product_of(stop) is None and decision.identity is not None and decision.identity.product_id is not None:
        facts["taken_for"] = decision.identity.product_id
    return facts


def _told(
    docket: Docket,
    passes: int,
    now_ms: int,
    rows: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    counts: _Counts,
) -> Told:
    """Sum up."""
    judged = [stop for stop in docket.stops if stop.first is not None]
    silent = [stop for stop in docket.stops if stop.first is None]
    verdicts: Counter[str] = Counter()
    unknown_kinds = 0
    for stop in judged:
        if stop.first is not None:
            verdicts[f"{stop.decision.divert} {stop.first.disposition.verdict}"] += 1
            unknown_kinds += DamageKind.UNKNOWN in stop.first.disposition.kinds
    samples: dict[str, set[str]] = defaultdict(set)
    pristine: set[str] = set()
    for (role, split), found in rows.items():
        names = {str(row["capture_group"]) for row in found}
        if role == "query":
            samples[split] |= names
        else:
            pristine |= names
    return Told(
        diverts=len(docket.stops),
        verdicts=dict(sorted(verdicts.items())),
        waiting=sum(now_ms < stop.open_until_ms for stop in silent),
        late=sum(bool(stop.later) for stop in silent),
        unjudged=sum(not stop.later and now_ms >= stop.open_until_ms for stop in silent),
        revised=sum(bool(stop.later) for stop in judged),
        contradicted=sum(stop.contradicted for stop in judged),
        unknown_kinds=unknown_kinds,
        no_chance=sum(chance_ppm(stop.decision) == 0 for stop in judged),
        audits_refused=counts.audits_refused,
        dispositions_left_out=dict(sorted(docket.left_out.items())),
        samples={split: len(samples[split]) for split in SPLITS},
        references=len(pristine),
        references_of_samples=counts.own_pictures,
        without_pictures=counts.without_pictures,
        missing=len(counts.missing),
        missing_named=sorted(counts.missing)[:_MOST_LISTED],
        references_missing=len(counts.references_missing),
        references_missing_named=sorted(counts.references_missing)[:_MOST_LISTED],
        depth_missing=counts.depth_missing,
        estimate=estimate(judged, passes),
    )
