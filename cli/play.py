"""One session of the booth on a running line: stock, play, wait for every answer and verdict, then leave."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from booth.associate import Associate, Lies, honest
from booth.station import Booth, Sent
from booth.turns import Goods
from cli.checker.charge import Known
from cli.faults import Disturbances, Fault, disturb
from cli.here import Line
from cli.learned import BORN
from cli.watch import Watch
from deploy.local.parts import Parts
from gallery.lives import Lives
from gallery.store import GalleryStore
from schemas.faults import Fatal, Retryable

STOCKED_WITHIN_S: Final = 120.0
GRACE_S: Final = 20.0  # after the last deadline, for captures that wait behind an outage
SETTLED_WITHIN_S: Final = 45.0
LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Script:
    """What is to be played."""

    site: str
    seed: int
    captures: int | None  # None: until told to stop
    rate_per_s: float
    faults: tuple[Fault, ...] = ()
    verdict_delay_s: float = 2.0
    error_rate: float = 0.0
    people: tuple[str, ...] = ("associate-1",)
    lies: Lies = honest


@dataclass(frozen=True, slots=True)
class Played:
    """What was played: the truth of every capture that Kafka acknowledged, and what was done to the line."""

    truth: dict[str, Known]
    sent: dict[str, Sent]
    disturbances: Disturbances
    interrupted: bool


@dataclass
class _Session:
    sent: dict[str, Sent] = field(default_factory=dict)
    decide_by: datetime = datetime(1, 1, 1, tzinfo=UTC)  # the latest deadline so far


async def play(script: Script, world: Goods, *, parts: Parts, line: Line, watch: Watch) -> Played:
    """Play a script on a line until all captures have their answers and all stops their verdicts.

    Ctrl-C ends the playing, not the waiting; a second one ends everything.

    Raises:
        Fatal: the gallery was not stocked in time.
    """
    session = _Session()

    def on_sent(sent: Sent) -> None:
        session.sent[sent.capture_id] = sent
        session.decide_by = max(session.decide_by, sent.decide_by)
        watch.sent[sent.capture_id] = sent.sent_at

    booth = Booth(
        world,
        kafka_bootstrap=line.bootstrap,
        site=script.site,
        lines=world.lines,
        image_root=line.folder.images,
        seed=script.seed,
    )
    associate = Associate(
        kafka_bootstrap=line.bootstrap,
        site=script.site,
        truth=lambda capture_id: session.sent[capture_id].truth if capture_id in session.sent else None,
        delay_s=script.verdict_delay_s,
        error_rate=script.error_rate,
        seed=script.seed,
        people=script.people,
        lies=script.lies,
    )
    await _forget_learned(line, world)
    watch.phase = "stocking the gallery"
    await booth.stock()
    await _stocked(line, watch, world.reference_ids())
    async with _beside(associate.work()):
        watch.phase, watch.started_at = "playing", time.monotonic()
        interrupted, disturbances = await _until_stopped(script, booth, parts, watch, on_sent)
        watch.phase = "waiting for the last answers"
        await _answered(watch, session)
        watch.phase = "waiting for the last verdicts"
        await _settled(line, script.site)
    truths = {key: sent.truth for key, sent in session.sent.items()}
    truth = {key: Known(damaged=fact.damaged, product_id=fact.product_id) for key, fact in truths.items()}
    return Played(truth, session.sent, disturbances, interrupted)


async def _until_stopped(
    script: Script, booth: Booth, parts: Parts, watch: Watch, on_sent: Callable[[Sent], None]
) -> tuple[bool, Disturbances]:
    """Play, with the faults beside it, until both are done or somebody says stop."""
    stop = asyncio.Event()
    done = Disturbances()
    playing = asyncio.create_task(
        booth.play(captures=script.captures, rate_per_s=script.rate_per_s, on_sent=on_sent), name="booth"
    )
    disturbing = asyncio.create_task(disturb(parts, script.faults, done, say=watch.note), name="faults")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        both = asyncio.gather(playing, disturbing)
        either: list[asyncio.Future[Any]] = [both, stopping]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        stopping.cancel()
    if not stop.is_set():
        await both
        return False, done
    both.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await both
    await asyncio.wait([playing, disturbing])  # a part that is away is started again first
    return True, done


async def _forget_learned(line: Line, world: Goods) -> None:
    """Take out what earlier runs on this line learned of these products: a run is a function of its seed."""
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    try:
        for product in world.products():
            await Lives(gallery.link).forget(product.product_id, born=BORN)
    finally:
        await gallery.close()


async def _stocked(line: Line, watch: Watch, reference_ids: Sequence[str]) -> None:
    """Wait until the gallery has the booth's references, and every inspector all that the gallery has."""
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    deadline = time.monotonic() + STOCKED_WITHIN_S
    missing = list(reference_ids)
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(Retryable):
                while missing and await gallery.facts(missing[-1]) is not None:
                    missing.pop()
                wanted = max((await gallery.counts()).values(), default=0)
                held = [gauges.references for name, gauges in watch.gauges.items() if name.startswith("inspector")]
                watch.phase = f"stocking the gallery: {len(missing)} references to enrol"
                if not missing and held and min(held) >= wanted:
                    return
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await gallery.close()
    raise Fatal(
        f"the gallery was not stocked within {STOCKED_WITHIN_S:.0f} s, {len(missing)} of {len(reference_ids)} "
        "references are missing: sideline logs curator"
    )


async def _answered(watch: Watch, session: _Session) -> None:
    """Wait until every capture has its outcome, or has had ample time for one."""
    while watch.unanswered and time.time() < session.decide_by.timestamp() + GRACE_S:  # noqa: ASYNC110 - seen by a poll
        await asyncio.sleep(LOOK_EVERY_S)


async def _settled(line: Line, site: str) -> None:
    """Wait until no stop waits for its verdict any more; what still does is counted as it stands."""
    store = line.store()
    deadline = time.monotonic() + SETTLED_WITHIN_S
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(Retryable):
                state = await store.state(site)
                if state.open_stops == 0:
                    return
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Do some work while the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
