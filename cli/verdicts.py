"""Reads a site's topics for labelled data: who was diverted, what people said, and where the pictures are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from budget.store import DecisionStore
from cli.here import Line
from cli.tape import TopicReader
from evidence.views import ViewFetcher
from feedback.labels import Docket, Heard, Stop, join
from gallery.store import GalleryStore
from schemas.codec import decode
from schemas.faults import Poison, Retryable
from schemas.messages import Decision, Disposition, Message, Reference, Sidelined, View
from schemas.words import Divert, ViewKind
from settings.line import Settings
from streams.topics import Entity, topic
from workers.fetching import fetch_pictures

if TYPE_CHECKING:
    from training.data.export import Fetch, Fetched

PATIENCE_S: Final = 10.0  # with storage that is away, for each capture
EARLY_MS: Final = 3_600_000  # the store dates decisions, the broker records: their clocks may differ by this much
_BITS: Final = 1024

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Heap:
    """What the topics hold of a range: diverts with verdicts, their pictures, and how many captures passed."""

    docket: Docket
    pictures: dict[str, list[View]]
    passes: int
    audits_refused: int  # passes whose lot said audit, for which the station had no capacity
    unreadable: int


async def gather(line: Line, site: str, since: datetime, until: datetime) -> Heap:
    """Read dispositions, decisions and sidelined events of the captures decided from `since` to before `until`.

    Dispositions are read to the end of their topic: a verdict may come hours after the range has ended. Only diverts
    are kept, so memory grows with them, not with the captures.

    Raises:
        Fatal: the site has no topics, or its store has lost its configuration.
        Retryable: `kafka` or `redis` is away.
    """
    start_ms = round(since.timestamp() * 1000) - EARLY_MS
    stops: dict[str, Stop] = {}
    passes: dict[int, int] = defaultdict(int)  # a bit for each seq: a decision may come twice, and there are millions
    refused: dict[int, int] = defaultdict(int)  # the same
    unreadable: Counter[str] = Counter()
    heard = await _heard(line, site, start_ms, unreadable)
    store = line.store()
    try:
        timeouts = Timeouts(store, site)
        async for decision, _ in read(line, topic(Entity.DECISIONS, site), Decision, start_ms, unreadable):
            if not since <= decision.decided_at < until or decision.seq is None:
                continue
            if decision.divert in {Divert.NONE, Divert.AUDIT}:
                passes[decision.seq // _BITS] |= 1 << decision.seq % _BITS
            if decision.divert is Divert.NONE and _drawn(decision):
                refused[decision.seq // _BITS] |= 1 << decision.seq % _BITS
            if decision.divert is not Divert.NONE and decision.capture_id not in stops:
                stops[decision.capture_id] = Stop(decision, await timeouts.of(decision))
    finally:
        await store.close()
    docket = join(site, stops.values(), heard)
    pictures = {
        event.capture_id: event.pictures
        async for event, _ in read(line, topic(Entity.SIDELINED, site), Sidelined, start_ms, unreadable)
        if event.capture_id in stops
    }
    return Heap(docket, pictures, _count(passes), _count(refused), unreadable.total())


def _drawn(decision: Decision) -> bool:
    return decision.audit_draw_ppm is not None and decision.audit_draw_ppm < decision.audit_ppm


def _count(bits: Mapping[int, int]) -> int:
    return sum(each.bit_count() for each in bits.values())


async def _heard(line: Line, site: str, start_ms: int, unreadable: Counter[str]) -> list[Heard]:
    """Return the verdicts of a site in the order of the broker's times."""
    found = [
        (place, said)
        async for said, place in read(line, topic(Entity.DISPOSITIONS, site), Disposition, start_ms, unreadable)
    ]
    return [Heard(said, place[0]) for place, said in sorted(found, key=lambda each: each[0])]


async def references(line: Line, products: Collection[str]) -> list[Reference]:
    """Return the references of some products that are in force in the gallery, with their views as they were announced.

    Raises:
        Retryable: `kafka` or `gallery` is away.
    """
    newest: dict[str, Reference] = {}
    async for found, _ in read(line, topic(Entity.REFERENCES), Reference, 0, Counter()):  # the curator tells of those
        if found.product_id in products or found.reference_id in newest:
            newest[found.reference_id] = found
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    in_force = []
    try:
        for name, reference in sorted(newest.items()):
            facts = await gallery.facts(name)
            if facts is not None and facts.state.held and reference.views and reference.product_id in products:
                in_force.append(reference)
    finally:
        await gallery.close()
    return in_force


@asynccontextmanager
async def fetching(line: Line) -> AsyncIterator[Fetch]:
    """Open the pictures' storage as the line does, and pair depth with cameras as the line does."""
    from training.data.export import Fetched
    from training.data.tree import TakenView

    settings = Settings()
    fetcher = ViewFetcher(
        roots=settings.image_roots or [line.folder.images],
        buckets=settings.s3_buckets,
        s3_endpoint=settings.s3_endpoint,
    )

    async def fetch(views: Sequence[View]) -> Fetched:
        try:
            pictures = await fetch_pictures(fetcher, views, patience_s=PATIENCE_S)
        except Poison as poison:
            if isinstance(poison.__cause__, Retryable):
                raise poison.__cause__ from poison
            raise
        wanted = {view.camera_id for view in views if view.kind is ViewKind.DEPTH}
        taken = tuple(
            TakenView(raw, pictures.depth.get(number), camera_id=views[number].camera_id)
            for number, raw in pictures.rgb
        )
        return Fetched(taken, len(wanted) - len(pictures.depth))

    try:
        yield fetch
    finally:
        await fetcher.close()


class Timeouts:
    """How long the verdict of a stop may take."""

    def __init__(self, store: DecisionStore, site: str) -> None:
        """Ask the store, once for each configuration."""
        self._store = store
        self._site = site
        self._known: dict[int, int] = {}

    async def of(self, decision: Decision) -> int:
        """Return milliseconds, by the configuration that the decision names; today's where that is not known."""
        version = decision.config_version or 0
        if version not in self._known:
            config = await self._store.configuration(self._site, version)
            self._known[version] = (config or (await self._store.state(self._site)).config).verdict_timeout_ms
        return self._known[version]


async def read(
    line: Line, name: str, kind: type[M], since_ms: int, unreadable: Counter[str]
) -> AsyncGenerator[tuple[M, tuple[int, int, int]], None]:
    """Yield a topic's messages with append time, partition and offset; those that cannot be read are counted."""
    async with TopicReader(line.bootstrap, [name]) as reader, aclosing(reader.since(since_ms)) as deliveries:
        async for each in deliveries:
            try:
                message = decode(kind, each.value)
            except Poison:
                unreadable[name] += 1
                continue
            yield message, (each.append_ms, each.partition, each.offset)
