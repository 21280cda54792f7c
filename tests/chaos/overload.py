"""`python -m tests.chaos.overload`: for minutes twice as many captures as the line can decide, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from cli.checker.charge import Charge, Outage
from cli.checker.check import check
from cli.checker.findings import Rule
from cli.checker.reading import Reading, read
from cli.run import terms_of
from cli.tape import TopicReader, read_tape
from deploy.local.folder import checkout
from schemas.codec import decode
from schemas.messages import Decision
from schemas.words import Outcome
from streams.topics import Entity, topic
from tests.chaos.audit import check_groups, check_store
from tests.chaos.measure import Sample, answers, growth, keep_sampling, quantile
from tests.chaos.stage import Say, Stage, budget, stage, world
from tests.chaos.traffic import Traffic, now_ms

OUT: Final = checkout() / ".sideline" / "overload"
SEED: Final = 11
PATTERNS: Final = 24  # pictures that the load is made of
NAMELESS_OF: Final = 120  # about a third of them have no code that can be read
IN_FLIGHT: Final = 24  # while capacity is measured
CAPACITY_S: Final = 20.0
QUIET_RATE: Final = 1.0  # captures a second at the site that is not overloaded
AFTER_S: Final = 30.0
NO_PROMISE: Final = frozenset({Rule.CATCH, Rule.UNDETERMINED})


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. Rates are captures a second, times seconds, memory MiB."""

    capacity: float  # decisions from a score, with always enough in work
    asked: float  # of the overloaded site
    decided: float  # there, while overloaded
    decided_share: float
    undetermined_share: float
    undetermined_by_reason: dict[str, int]
    waited_p50: float  # of the decided ones there
    waited_p99: float
    quiet_captures: int  # of the other site meanwhile
    quiet_undetermined: int
    quiet_p50: float
    quiet_p99: float
    recovered_after: float  # from the end of the load until every capture was decided in time again
    rss_from: float  # of the inspector that grew most, before the load and at the end of it
    rss_to: float
    violations: list[str]


@dataclass
class _Meter:
    """Counts decisions as they come."""

    decided: int = 0
    answered: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def follow(self, bootstrap: str, site: str) -> None:
        async with TopicReader(bootstrap, [topic(Entity.DECISIONS, site)], start="latest") as reader:
            async for each in reader.follow():
                self.decided += decode(Decision, each.value).outcome is Outcome.DECIDED
                self.answered.put_nowait((each.key or b"").decode())


async def overload(line: Stage, *, seconds: float, say: Say, nameless: bool = False) -> Figures:
    """Measure capacity, overload one site for so long with another beside it, stop, and judge.

    `nameless` captures have no code that can be read, so each of them has to be laid over references.
    """
    stamp = int(time.time()) % 1_000_000
    busy, quiet = f"busy-{stamp}", f"quiet-{stamp}"
    goods = world(SEED)
    await line.open_sites(dict.fromkeys((busy, quiet), goods.lines))
    crowd, few = Traffic(line, busy, goods, seed=SEED), Traffic(line, quiet, goods, seed=SEED)
    await crowd.stock()
    await line.ready()
    for traffic in (crowd, few):
        await traffic.collect(NAMELESS_OF if nameless else PATTERNS)
        if nameless:
            say(f"{await traffic.keep_nameless()} captures without a code to make others of")
    capacity = await _capacity(line, busy, crowd, say)
    samples: list[Sample] = []
    sampling = asyncio.create_task(keep_sampling(line, samples))
    beside = asyncio.create_task(_at(QUIET_RATE, few.like, seconds + AFTER_S))
    try:
        say(f"{2 * capacity:.1f} captures/s for {seconds:.0f} s")
        began_ms = now_ms()
        sent = await _at(2 * capacity, crowd.like, seconds)
        ended_ms = now_ms()
        say(f"{sent} captures sent; now {QUIET_RATE:g} a second for {AFTER_S:.0f} s")
        await _at(QUIET_RATE, crowd.like, AFTER_S)
        await beside
        findings = await check_groups(line.line.bootstrap, {"inspector": [topic(Entity.CAPTURES, busy)]})
    finally:
        for task in (sampling, beside):
            task.cancel()
        await asyncio.gather(sampling, beside, return_exceptions=True)
        await crowd.close()
        await few.close()
    readings = {name: read(await read_tape(line.line.bootstrap, name)) for name in (busy, quiet)}
    for name, traffic in ((busy, crowd), (quiet, few)):
        outages = (Outage("overload", began_ms, ended_ms + 15_000),) if name == busy else ()
        charge = Charge(truth=traffic.known(), terms=terms_of(budget()), outages=outages)
        findings += check(readings[name], charge)
        findings += await check_store(readings[name], line.line.endpoints.redis_decisions_url, name)
    violations = [str(one) for one in findings if one.rule not in NO_PROMISE]
    return _figures(readings[busy], readings[quiet], capacity, (began_ms, ended_ms), samples, violations)


def _figures(
    busy: Reading,
    quiet: Reading,
    capacity: float,
    span: tuple[int, int],
    samples: list[Sample],
    violations: list[str],
) -> Figures:
    began_ms, ended_ms = span
    seconds = (ended_ms - began_ms) / 1000
    loaded = [one for one in answers(busy) if began_ms <= one.at_ms < ended_ms]
    decided = [one.waited_s for one in loaded if one.outcome == Outcome.DECIDED]
    after = [one for one in answers(busy) if one.at_ms >= ended_ms]
    missed = [one.at_ms for one in after if one.outcome != Outcome.DECIDED]
    beside = [one for one in answers(quiet) if began_ms <= one.at_ms < ended_ms]
    reasons = Counter(
        decision.reason for decision in busy.decided().values() if decision.outcome is Outcome.UNDETERMINED
    )
    grown = [one for one in growth(samples, after_s=0.0, at_least_s=10.0) if one.worker.startswith("inspector")]
    worst = max(grown, key=lambda one: one.rss_to_mib - one.rss_from_mib, default=None)
    return Figures(
        capacity=round(capacity, 2),
        asked=round(len(loaded) / seconds, 2),
        decided=round(len(decided) / seconds, 2),
        decided_share=round(len(decided) / max(1, len(loaded)), 3),
        undetermined_share=round(1 - len(decided) / max(1, len(loaded)), 3),
        undetermined_by_reason=dict(reasons),
        waited_p50=round(quantile(decided, 0.5), 3),
        waited_p99=round(quantile(decided, 0.99), 3),
        quiet_captures=len(beside),
        quiet_undetermined=sum(one.outcome != Outcome.DECIDED for one in beside),
        quiet_p50=round(quantile([one.waited_s for one in beside], 0.5), 3),
        quiet_p99=round(quantile([one.waited_s for one in beside], 0.99), 3),
        recovered_after=round((max(missed, default=ended_ms) - ended_ms) / 1000, 1),
        rss_from=round(worst.rss_from_mib if worst else 0.0, 1),
        rss_to=round(worst.rss_to_mib if worst else 0.0, 1),
        violations=violations,
    )


async def _capacity(line: Stage, site: str, traffic: Traffic, say: Say) -> float:
    """Keep a number of captures in work for a while and count how many are decided a second."""
    meter = _Meter()
    following = asyncio.create_task(meter.follow(line.line.bootstrap, site))
    await asyncio.sleep(2.0)
    began, first = time.monotonic(), meter.decided
    for _ in range(IN_FLIGHT):
        await traffic.like()
    while time.monotonic() - began < CAPACITY_S:
        await asyncio.wait_for(meter.answered.get(), 10.0)
        await traffic.like()
    rate = (meter.decided - first) / (time.monotonic() - began)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.sleep(5.0)
    say(f"capacity: {rate:.1f} decisions a second")
    return rate


async def _at(rate: float, act: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> int:
    """Do something at a steady rate, without waiting for it; return how often."""
    began, count = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while (due := began + count / rate) < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(act())
            count += 1
    return count


def main(
    minutes: Annotated[float, typer.Option(min=0.2, help="How long twice the capacity is asked for.")] = 2.0,
    nameless: Annotated[bool, typer.Option("--nameless", help="Only captures that no code names.")] = False,
    out: Annotated[Path, typer.Option(help="Where the run folder and the figures go.")] = OUT,
) -> None:
    """Overload the line and print what came of it; exits with 1 if a promise was broken."""
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {words}", flush=True)  # noqa: T201 - its output

    async def run() -> Figures:
        async with stage(out / "run", os.environ, say=say) as line:
            return await overload(line, seconds=60 * minutes, say=say, nameless=nameless)

    figures = asyncio.run(run())
    text = msgspec.json.format(msgspec.json.encode(figures)).decode()
    (out / "overload.json").write_text(text + "\n")
    print(text)  # noqa: T201 - its output
    raise typer.Exit(1 if figures.violations else 0)


if __name__ == "__main__":
    typer.run(main)
