"""One schedule: a seed's own order of deliveries, answers, deaths, rebalances, repetitions and verdicts, then rest."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from budget.config import BudgetConfig
from budget.keys import SiteKeys
from budget.store import DecisionStore
from evidence.calibration import Calibration
from settings.line import Settings
from streams.fault_points import FaultPoint, watch
from streams.window import Limits
from tests.chaos.core.broker import Broker
from tests.chaos.core.floor import EPOCH_MS, LINE, Floor
from tests.chaos.core.judge import Ended
from tests.chaos.core.process import DRAIN_S, Process, World
from tests.chaos.core.turns import Fate, Life, TurnedLink, Turns
from workers.answers import Answers, Served

PARTITIONS: Final = 2
CAPTURES: Final = (10, 24)  # records that the station appends in a schedule
STORM_STEPS: Final = 260
REST_STEPS: Final = 4_000  # without a fault everything is done in some hundreds
PROCESSES: Final = 2
POINTS: Final = (
    FaultPoint.DELIVERED,
    FaultPoint.LOOKED,
    FaultPoint.INVESTIGATED,
    FaultPoint.DECIDED,
    FaultPoint.PARTLY_SENT,
    FaultPoint.REJECTED,
    FaultPoint.BURIED,
    FaultPoint.HANDLED,
    FaultPoint.ACKNOWLEDGED,
)
CONFIG: Final = BudgetConfig(
    alpha_ppm=100_000,
    burst_tokens=5,
    reserve=0,
    alpha_identity_ppm=50_000,
    burst_identity=3,
    beta_ppm=300_000,
    burst_diverts=12,
    audit_ppm=50_000,
    start_threshold=0,
    captures_per_s=1.0,
    verdict_delay_ms=1_000,
)
Action = Callable[[], Awaitable[None] | None]


@dataclass(slots=True)
class Bench:
    """What outlives schedules: the connection to the store, and what makes requests."""

    store: DecisionStore
    link: TurnedLink
    calibration: Calibration
    answers: Answers
    settings: Settings

    @classmethod
    async def open(cls, url: str, calibration: Calibration) -> Bench:
        """Connect to the store at `url`, which gets an id if it has none."""
        link = TurnedLink(url, Turns())
        store = DecisionStore(url, store_id="")
        await store.close()
        store._link = store._script.link = link
        store_id = await store.initialise()
        settings = Settings(store_id=store_id, decide_within_s=600.0)  # nothing is late because the machine is busy
        answers = Answers(calibration=calibration, served=Served("classifier:1", "embedding:1"), audit_key="key")
        return cls(store, link, calibration, answers, settings)

    async def close(self) -> None:
        """Close the connection."""
        await self.link.close()


@dataclass(slots=True)
class Schedule:
    """Plays one seed."""

    world: World
    rng: random.Random
    limits: Limits
    floor: Floor
    alive: list[Process] = field(default_factory=list)
    zombies: list[Process] = field(default_factory=list)  # alive, and without knowing it no longer in the group
    started: int = 0
    troubles: list[str] = field(default_factory=list)
    storm: bool = True

    async def play(self) -> int:
        """Storm, then rest; return how many steps it took to come to rest, 0 for never."""
        for _ in range(STORM_STEPS):
            await self._step()
        self.storm = False
        for step in range(1, REST_STEPS):
            if self._is_at_rest:
                return step
            await self._step()
        return 0

    async def close(self) -> None:
        """End what lives."""
        for process in [*self.alive, *self.zombies]:
            await process.die(sent=lambda: False)

    async def _step(self) -> None:
        choices = self._always() + (self._faults() if self.storm else [])
        weights, actions = zip(*choices, strict=True)
        done = self.rng.choices(actions, weights)[0]()
        if done is not None:
            await done
        await self.world.turns.settle()
        for process in [process for process in [*self.alive, *self.zombies] if process.life.ended]:
            await self._bury(process)
        for process in [process for process in [*self.alive, *self.zombies] if process.window.fatal.done()]:
            self.troubles.append(f"{process.life.name} stopped: {process.window.fatal.result()}")
            await self._bury(process)

    def _always(self) -> list[tuple[float, Action]]:
        """What goes on in storm and rest, with its weight."""
        turns, broker = self.world.turns, self.world.broker
        can: list[tuple[float, Action]] = [(0.5, self._commit)]
        can += [(1.0, partial(turns.let_go, turn)) for turn in turns.waiting]
        for process in [*self.alive, *self.zombies]:
            if process.takes_more:
                can += [
                    (1.5, partial(process.deliver, part))
                    for part in process.consumer.holds
                    if process.consumer.waiting(part)
                ]
        free = [part for part, owner in enumerate(broker.owners) if owner is None]
        takers = [process for process in self.alive if not process.gives_up]
        can += [(0.7, partial(self._assign, part, takers)) for part in free if takers]
        can += [(1.0, self._learn) for process in self.zombies if not process.gives_up]
        if len(self.alive) < PROCESSES:
            can.append((0.5, self._start))
        if turns.in_flight:
            can.append((0.5, self._arrive))
        if self.floor.to_send:
            can.append((2.0, self.floor.send))
        if self.floor.to_judge():
            can.append((0.4, self.floor.judge))
        if self.floor.unsettled:
            can.append((0.5, self.floor.settle))
        return can

    def _faults(self) -> list[tuple[float, Action]]:
        can: list[tuple[float, Action]] = []
        if self.alive:
            can += [(0.12, self._kill), (0.2, self._rebalance), (0.1, self._expel), (0.15, self._arm)]
        if self.world.turns.waiting:
            can.append((0.3, self._lose))
        if self.floor.settled:
            can.append((0.1, self.floor.settle_again))
        return can

    # Processes and their group

    def _start(self) -> None:
        self.started += 1
        life = Life(f"inspector-{self.started}")
        self.alive.append(Process(self.world, life, self.limits))

    def _assign(self, partition: int, takers: Sequence[Process]) -> None:
        self.rng.choice(takers).assign(partition)

    def _arm(self) -> None:
        life = self.rng.choice(self.alive).life
        life.dies_at, life.passes_left = self.rng.choice(POINTS), self.rng.randint(1, 4)

    async def _kill(self) -> None:
        victim = self.rng.choice([*self.alive, *self.zombies])
        self.world.turns.deaths["anywhere"] += 1
        await self._bury(victim)

    async def _bury(self, process: Process) -> None:
        for group in (self.alive, self.zombies):
            if process in group:
                group.remove(process)
        await process.die(sent=lambda: self.storm and self.rng.random() < 0.3)

    def _commit(self) -> None:
        for process in [*self.alive, *self.zombies]:
            if not process.gives_up:
                process.consumer.commit()

    def _rebalance(self) -> None:
        process = self.rng.choice(self.alive)
        if process.gives_up or not process.consumer.holds:
            return
        partitions = process.consumer.holds
        if self.rng.random() < 0.5:
            partitions = [self.rng.choice(partitions)]
        process.revoke(partitions, limit_s=self.rng.choice((0.0, DRAIN_S)))

    def _expel(self) -> None:
        """The group believes a process dead, which is only slow."""
        process = self.rng.choice(self.alive)
        if process.gives_up:
            return
        self.alive.remove(process)
        self.zombies.append(process)
        for partition in process.consumer.holds:
            if self.world.broker.owners[partition] is process.consumer:
                self.world.broker.owners[partition] = None

    def _learn(self) -> None:
        """A zombie hears that it was expelled, gives up what it held and joins again."""
        process = self.rng.choice([process for process in self.zombies if not process.gives_up])
        process.revoke(process.consumer.holds, limit_s=self.rng.choice((0.0, DRAIN_S)))
        self.zombies.remove(process)
        self.alive.append(process)

    # The way between

    def _lose(self) -> None:
        turn = self.rng.choice(self.world.turns.waiting)
        self.world.turns.let_go(turn, self.rng.choice((Fate.LOST, Fate.LATE)))

    async def _arrive(self) -> None:
        act = self.world.turns.in_flight.pop(self.rng.randrange(len(self.world.turns.in_flight)))
        await act()

    @property
    def _is_at_rest(self) -> bool:
        turns = self.world.turns
        return not (turns.waiting or turns.in_flight or self.zombies or self.world.broker.lag) and self.floor.is_done


@contextlib.contextmanager
def watching(turns: Turns) -> Iterator[None]:
    """Let the fault points end simulated processes in place of this one."""
    for point in FaultPoint:
        watch(point, partial(turns.die_here, point))
    try:
        yield
    finally:
        for point in FaultPoint:
            watch(point, None)


async def play(seed: int, bench: Bench) -> Ended:
    """Play the schedule of a seed on a site of its own, and return what is left to be judged."""
    rng = random.Random(seed)
    site = f"s{uuid.uuid4().hex[:12]}"
    await bench.store.register(site, [LINE], CONFIG)
    ahead_ms = EPOCH_MS - time.time_ns() // 1_000_000
    await bench.link.command("SET", SiteKeys(site).key("clock"), ahead_ms)
    turns, broker = Turns(), Broker(site, PARTITIONS, ahead_ms=ahead_ms)
    bench.link.turns = turns
    world = World(
        turns=turns,
        broker=broker,
        store=bench.store,
        answers=bench.answers,
        calibration=bench.calibration,
        settings=bench.settings,
        sites={site: frozenset({LINE})},
        site=site,
        rng=rng,
    )
    window = rng.randint(2, 8)
    limits = Limits(
        window=window,
        partition_window=rng.randint(1, window),
        run_past_head=rng.randint(2, 12),
        parked=rng.randint(2, 16),
    )
    floor = Floor(site, broker, bench.store, rng, to_send=rng.randint(*CAPTURES))
    schedule = Schedule(world, rng, limits, floor)
    with structlog.testing.capture_logs() as logs, watching(turns):
        try:
            steps = await schedule.play()
        finally:
            await schedule.close()
    state = await bench.store.state(site)
    failed = [f"handler failed: {line}" for line in logs if line["event"] == "handler failed"]
    troubles = (*schedule.troubles, *failed)
    return Ended(seed, broker, floor.acknowledged, state, steps, turns.deaths, troubles)
