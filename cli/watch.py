"""What can be seen of a running line: its answers as they come, its budget, its parts, and what it waits for.

This is for looking at only. The figures a run ends with are computed from the topics read back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from budget.records import BudgetState
from cli.here import Line
from cli.tape import TopicReader
from cli.wording import verdict_word
from deploy.local.parts import Parts, PartStatus
from schemas.codec import decode, read_dead_letter
from schemas.faults import Poison, SidelineError
from schemas.messages import Decision
from schemas.words import IdentityMethod, Outcome
from streams.delivery import Delivery
from streams.topics import Entity, topic

BUDGET_EVERY_S: Final = 1.0
WAITS_EVERY_S: Final = 1.0
PARTS_EVERY_S: Final = 5.0  # a look at all parts includes real inferences and costs a tenth of a core's second
SCRAPE_LIMIT_S: Final = 1.0
RECENT: Final = 400  # answers that the live latencies are taken from
WAITED_FOR: Final = {
    "redis": "Redis (decisions)",
    "gallery": "Redis (gallery)",
    "triton": "Triton",
    "kafka": "Kafka",
    "images": "the picture storage",
}


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a worker says of itself on its metrics page."""

    away: tuple[str, ...]  # dependencies whose breakers are open
    in_work: int
    partitions: int
    references: int
    products: int


@dataclass
class Watch:
    """A line as it is seen now."""

    site: str
    asked_for: int | None = None
    phase: str = "starting"
    started_at: float = field(default_factory=time.monotonic)
    sent: dict[str, datetime] = field(default_factory=dict)  # capture -> when its station sent it
    answered: set[str] = field(default_factory=set)
    refused: set[tuple[str, int, int]] = field(default_factory=set)  # places of records that became dead letters
    verdicts: int = 0
    words: Counter[str] = field(default_factory=Counter)
    methods: Counter[IdentityMethod] = field(default_factory=Counter)
    conflicts: int = 0
    delays_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    budget: BudgetState | None = None
    parts: list[PartStatus] = field(default_factory=list)
    gauges: Mapping[str, Gauges] = field(default_factory=dict)
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=3))

    def note(self, words: str) -> None:
        """Keep something that was done to the line, for the view."""
        self.notes.append(f"{time.monotonic() - self.started_at:.0f} s: {words}")

    @property
    def unanswered(self) -> int:
        """Captures that were sent and have no outcome that was seen."""
        return max(0, len(self.sent) - len(self.answered & self.sent.keys()) - len(self.refused))

    def see_decision(self, decision: Decision) -> None:
        """Count a decision, once however often it is emitted."""
        if decision.capture_id in self.answered:
            return
        self.answered.add(decision.capture_id)
        self.words[verdict_word(decision)] += 1
        if decision.identity is not None:
            self.methods[decision.identity.method] += 1
            self.conflicts += decision.identity.conflict
        sent_at = self.sent.get(decision.capture_id)
        if sent_at is not None and decision.outcome == Outcome.DECIDED:
            self.delays_ms.append((decision.decided_at - sent_at).total_seconds() * 1000)

    def waiting_for(self) -> list[str]:
        """Say in words what the line waits for; empty while it waits for nothing."""
        away: dict[str, int] = {}
        for gauges in self.gauges.values():
            for name in gauges.away:
                away[name] = away.get(name, 0) + gauges.in_work
        waits = [f"{WAITED_FOR.get(name, name)}: {_held(held)}" for name, held in away.items()]
        down = [part.name for part in self.parts if part.state not in {"running", "elsewhere"}]
        unwell = [part for part in self.parts if part.healthy is False and part.name not in down]
        waits += [f"{name} to run" for name in down]
        waits += [f"{part.name}: {part.detail}" for part in unwell if not part.detail.startswith("waiting")]
        inspectors = {name: gauges for name, gauges in self.gauges.items() if name.startswith("inspector")}
        if inspectors and not any(gauges.partitions for gauges in inspectors.values()):
            waits.append("the inspectors' group to agree on partitions")
        return waits


def _held(captures: int) -> str:
    return f"{captures} captures held" if captures != 1 else "1 capture held"


@contextlib.asynccontextmanager
async def watching(watch: Watch, line: Line, parts: Parts) -> AsyncIterator[None]:
    """Keep a watch up to date while the block runs. What is away is looked for again; nothing here can fail a run."""
    looks = (_follow(watch, line), _budget(watch, line), _parts(watch, parts), _gauges(watch))
    tasks = [asyncio.create_task(look) for look in looks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(watch: Watch, line: Line) -> None:
    names = [topic(entity, watch.site) for entity in (Entity.DECISIONS, Entity.DISPOSITIONS, Entity.DEAD)]
    seen: dict[tuple[str, int], int] = {}  # how far each partition was seen, as reading again starts from the beginning
    while True:
        with contextlib.suppress(SidelineError, OSError):
            async with TopicReader(line.bootstrap, names) as reader:
                async for delivery in reader.follow():
                    place = (delivery.topic, delivery.partition)
                    if delivery.offset > seen.get(place, -1):
                        seen[place] = delivery.offset
                        _see(watch, delivery, names)
        await asyncio.sleep(1.0)


def _see(watch: Watch, delivery: Delivery, names: list[str]) -> None:
    decisions, dispositions, dead = names
    with contextlib.suppress(Poison):
        if delivery.topic == decisions:
            watch.see_decision(decode(Decision, delivery.value))
        elif delivery.topic == dispositions:
            watch.verdicts += 1
        elif delivery.topic == dead:
            letter = read_dead_letter(delivery.headers)
            if letter.topic == topic(Entity.CAPTURES, watch.site):
                watch.refused.add((letter.topic, letter.partition, letter.offset))


async def _budget(watch: Watch, line: Line) -> None:
    store = line.store()
    try:
        while True:
            with contextlib.suppress(SidelineError):
                watch.budget = await store.state(watch.site)
            await asyncio.sleep(BUDGET_EVERY_S)
    finally:
        await store.close()


async def _parts(watch: Watch, parts: Parts) -> None:
    while True:
        with contextlib.suppress(SidelineError, OSError):
            watch.parts = await asyncio.to_thread(parts.status)
        await asyncio.sleep(PARTS_EVERY_S)


async def _gauges(watch: Watch) -> None:
    while True:
        watch.gauges = await asyncio.to_thread(scrape, worker_ports(watch.parts))
        await asyncio.sleep(WAITS_EVERY_S)


def worker_ports(parts: Iterable[PartStatus]) -> dict[str, int]:
    """Return the health ports of the workers among the parts."""
    kinds = ("inspector", "tracker", "curator", "settler", "herald")
    return {part.name: part.ports[0] for part in parts if part.name.startswith(kinds) and part.ports}


def scrape(ports: Mapping[str, int]) -> dict[str, Gauges]:
    """Read the metrics pages of workers; one that does not answer is left out."""
    found = {}
    for name, port in ports.items():
        with contextlib.suppress(OSError, ValueError):
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_LIMIT_S)
            with page:
                found[name] = gauges_of(page.read().decode())
    return found


def gauges_of(page: str) -> Gauges:
    """Read what matters here off a metrics page."""
    away: list[str] = []
    values: Counter[str] = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == "sideline_breaker_open" and sample.value:
                away.append(sample.labels["dependency"])
            elif not sample.labels:
                values[sample.name] = int(sample.value)
    return Gauges(
        away=tuple(away),
        in_work=values["sideline_events_in_work"],
        partitions=values["sideline_partitions_assigned"],
        references=values["sideline_gallery_references"],
        products=values["sideline_gallery_products"],
    )
