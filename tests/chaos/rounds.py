"""A round: a site of its own, some faults of the seed under load, quiet, and the judgement over all that is left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from cli.checker.charge import Charge, Outage
from cli.checker.check import check
from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading, read
from cli.checker.tokens import Accounts
from cli.checker.undetermined import unexplained_undetermined
from cli.run import terms_of
from cli.tape import read_tape
from schemas.faults import Retryable
from streams.topics import Entity, topic
from tests.chaos.acts import Hands
from tests.chaos.audit import Groups, check_groups, check_store
from tests.chaos.faults import Fault
from tests.chaos.measure import Answer, Happened, Sample, answers, costs, keep_sampling
from tests.chaos.replayed import check_replay
from tests.chaos.stage import Say, Stage, budget, calibration, world
from tests.chaos.traffic import Traffic, now_ms

LEAD_S: Final = 4.0  # of ordinary work before the first fault
CALM_S: Final = 8.0  # and after the last
CATCH_UP_MS: Final = 15_000  # after a fault is over: what waited is worked off, some of it too late
ANSWERED_WITHIN_S: Final = 90.0
SETTLED_WITHIN_S: Final = 60.0
Disturb = Callable[[Hands, list[Happened], Say], Awaitable[None]]
UNEXPLAINED_LIMIT: Final = 0.1  # of the captures may be undetermined with no fault near: a busy machine is slow too
# How well damage is found is not what a faulty day is judged by; what is undetermined is judged here, more kindly.
NO_PROMISE: Final = frozenset({Rule.CATCH, Rule.UNDETERMINED})


class Result(msgspec.Struct, frozen=True):
    """What a round came to; kept as JSON, so that a long run can be taken up again."""

    seed: int
    number: int
    site: str
    seconds: float
    began_ms: int
    happened: list[Happened]
    violations: list[str]
    captures: int  # acknowledged to their stations
    delivered: int  # records on the captures topic, what stations sent twice and garbage included
    answered: int  # captures with a decision
    copies: int  # decisions sent again, from the record
    outcomes: dict[str, int]
    dead: dict[str, int]  # dead letters by reason
    unexplained: int  # undetermined captures with no fault near them
    samples: list[Sample]
    answers: list[Answer]


async def play(stage: Stage, site: str, disturb: Disturb, *, seed: int, number: int, say: Say) -> Result:
    """Play one round on a site that the line serves, and judge it. `disturb` does to the line what is to be done."""
    began, began_ms = time.monotonic(), now_ms()
    goods, config = world(seed), budget()
    opening = await _accounts(stage, site)
    traffic = Traffic(stage, site, goods, seed=seed * 1_000 + number)
    await traffic.stock()
    await stage.ready()
    hands = Hands(stage, traffic, site)
    happened: list[Happened] = []
    samples: list[Sample] = []
    sampling = asyncio.create_task(keep_sampling(stage, samples))
    try:
        async with traffic.people():
            async with traffic.running():
                await asyncio.sleep(LEAD_S)
                await disturb(hands, happened, say)
                await asyncio.sleep(CALM_S)
            await stage.ready()
            say("quiet: waiting for the last answers and verdicts")
            groups = _groups(site)
            idle = await check_groups(stage.line.bootstrap, groups)
            await _settled(stage, site)
            idle += await check_groups(stage.line.bootstrap, groups)
        reading, closing = await _read_back(stage, site)
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
    outages = tuple(Outage(one.what, one.from_ms, one.to_ms + CATCH_UP_MS) for one in happened)
    charge = Charge(
        truth=traffic.known(),
        terms=terms_of(config),
        outages=outages,
        opening=opening,
        closing=closing,
        restored=frozenset(hands.restored),
    )
    findings: list[Finding] = [*check(reading, charge), *idle]
    findings += check_replay(reading, calibration(), config)
    findings += await check_store(reading, stage.line.endpoints.redis_decisions_url, site)
    unexplained = unexplained_undetermined(reading, outages)
    violations = [str(one) for one in findings if one.rule not in NO_PROMISE]
    if len(unexplained) > UNEXPLAINED_LIMIT * len(reading.captures):
        flood = each(Rule.UNDETERMINED, unexplained, f"of {len(reading.captures)} have no fault near them")
        violations += map(str, flood)
    found = answers(reading)
    outcomes = Counter(one.outcome for one in found)
    return Result(
        seed=seed,
        number=number,
        site=site,
        seconds=time.monotonic() - began,
        began_ms=began_ms,
        happened=costs(happened, found),
        violations=violations,
        captures=len(traffic.truth),
        delivered=sum(map(len, reading.captures.values())) + len(reading.unreadable),
        answered=len(reading.decisions),
        copies=sum(len(emissions) - 1 for emissions in reading.decisions.values()),
        outcomes=dict(outcomes),
        dead=dict(Counter(letter.reason for letter in reading.dead.values())),
        unexplained=len(unexplained),
        samples=samples,
        answers=found,
    )


async def do_all(faults: list[Fault], hands: Hands, happened: list[Happened], say: Say) -> None:
    """Let faults happen in their order, some of them before the one in front is over; note what happened when."""
    running: set[asyncio.Task[None]] = set()

    async def one(fault: Fault) -> None:
        from_ms = now_ms()
        await hands.do(fault)
        happened.append(Happened(fault.number, fault.kind.value, from_ms, now_ms()))

    try:
        for fault in faults:
            if not fault.together and running:
                await asyncio.gather(*running)
                running.clear()
            await asyncio.sleep(fault.pause_s)
            lasting = f" for {fault.lasts_s:.1f} s" if fault.lasts_s else ""
            say(f"fault {fault.number + 1}: {fault.kind.value}{lasting}{', meanwhile' if running else ''}")
            running.add(asyncio.create_task(one(fault)))
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    happened.sort(key=lambda each: each.from_ms)


def _groups(site: str) -> Groups:
    return {
        "inspector": [topic(Entity.CAPTURES, site)],
        "tracker": [topic(Entity.SCANS, site)],
        "settler": [topic(Entity.DISPOSITIONS, site)],
        "curator": [topic(Entity.PRODUCTS), topic(Entity.REFERENCES)],
    }


async def _settled(stage: Stage, site: str) -> None:
    """Wait until no stop waits for its verdict any more; what still does shows in the accounts."""
    store = stage.line.store()
    deadline = time.monotonic() + SETTLED_WITHIN_S
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(Retryable):
                if (await store.state(site)).open_stops == 0:
                    return
            await asyncio.sleep(0.5)
    finally:
        await store.close()


async def _accounts(stage: Stage, site: str) -> Accounts:
    store = stage.line.store()
    try:
        state = await store.state(site)
    finally:
        await store.close()
    return Accounts(state.balance, state.pending)


async def _read_back(stage: Stage, site: str) -> tuple[Reading, Accounts]:
    """Return the topics and the accounts of one and the same moment."""
    store = stage.line.store()
    try:
        before = await store.state(site)
        while True:
            reading = read(await read_tape(stage.line.bootstrap, site))
            after = await store.state(site)
            if after == before:
                return reading, Accounts(after.balance, after.pending)
            before = after
    finally:
        await store.close()
