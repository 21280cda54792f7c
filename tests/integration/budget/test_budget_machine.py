"""The real script on the real Redis against the model in Python, under any history Hypothesis can think of.

300 examples of up to 40 steps, over 10,000 in all; BUDGET_EXAMPLES=3000 looks longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from budget.config import BudgetConfig, LineBudget
from budget.model import Expected, Model
from budget.records import Record, Request
from budget.redrives import Rejected
from budget.sample import Trial
from budget.store import DecisionStore
from budget.threshold import Threshold
from budget.warm import warm_start
from budget.windows import check_ledger, check_promises
from schemas.codec import decode
from schemas.faults import Fatal, Poison, Reason, Retryable
from schemas.messages import Decision, Disposition, Sidelined
from schemas.words import MICRO, Divert, Outcome, Verdict
from tests.integration.budget.own_server import Server

EXAMPLES = int(os.environ.get("BUDGET_EXAMPLES", "300"))
STEPS = 40  # of each example
RESTARTS = 30  # of the store, over all examples
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEP_MS = 100_000  # the clock moves in such steps, and every time limit ends half a step later: no call meets an edge
START = BudgetConfig(
    alpha_ppm=50_000,
    burst_tokens=4,
    reserve=1,
    alpha_identity_ppm=30_000,
    burst_identity=2,
    beta_ppm=200_000,
    burst_diverts=8,
    audit_ppm=50_000,
    floor=-2_000_000,
    ceiling=8_000_000,
    start_threshold=0,
    verdict_timeout_ms=10 * STEP_MS + STEP_MS // 2,
    captures_per_s=1.0,
    verdict_delay_ms=1_000,
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"alpha_ppm": 1},
    {"alpha_ppm": MICRO},
    {"burst_tokens": 2},
    {"burst_tokens": 9, "burst_identity": 5, "burst_diverts": 20},
    {"reserve": 0, "audit_ppm": 0},
    {"beta_ppm": 1, "burst_diverts": 3},
    {"burst_identity": 1},
    {"floor": -500_000, "ceiling": 500_000},
    {"verdict_timeout_ms": 3 * STEP_MS + STEP_MS // 2},
    {"audit_ppm": MICRO, "audit_max_ppm": 0},
    {"audit_ppm": 1_000, "audit_max_ppm": 800_000},
    {"recheck_ppm": 500_000},
    {"lines": {"line-2": LineBudget(alpha_ppm=100_000, burst_tokens=2)}},
    {
        "lines": {
            "line-1": LineBudget(alpha_ppm=20_000, burst_tokens=1),
            "line-2": LineBudget(alpha_ppm=1, burst_tokens=3),
        }
    },
    {"lines": {}},
)
LINES = st.sampled_from(["line-1", "line-2"])
PLACES = st.integers(0, 10**6)  # in a list whose length depends on who came first, which no example may draw from
ASSOCIATES = st.sampled_from(["ann", "bob"])
UNITS = st.sampled_from(["tote-1", "tote-2", "tote-3"])
VERDICTS = st.sampled_from([Verdict.DAMAGED, Verdict.SELLABLE, Verdict.WRONG_ITEM, Verdict.UNSURE])
SCORES = st.integers(-1_000_000, 1_000_000) | st.sampled_from([-(10**9), -1, 0, 1, 10**9])


def milliseconds(moment: datetime) -> int:
    """Return Unix milliseconds, cut as the script cuts them."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def expected(decision: Decision) -> Expected:
    """Return what the model says of a decision, from its bytes."""
    return Expected(
        decision.outcome,
        decision.reason,
        decision.action.value,
        decision.divert.value,
        decision.withheld,
        decision.seq,
        decision.threshold,
        decision.balance_before or 0,
        decision.balance_after or 0,
        decision.pending_before or 0,
        decision.pending_after or 0,
        decision.identity_balance or 0,
        decision.identity_pending or 0,
        decision.diverts_balance or 0,
        decision.config_version or 0,
        decision.audit_ppm,
        decision.line_seq,
        decision.line_balance,
        decision.line_pending,
    )


class BudgetMachine(RuleBasedStateMachine):
    """One site, three workers, people who judge, and an operator."""

    server: Server
    steps = 0  # of all examples
    restarts = 0
    redriven = 0  # rejections that another outcome took the place of

    def __init__(self) -> None:
        """Register a site of this history's own."""
        super().__init__()
        self.loop = asyncio.Runner()
        self.trial = self.loop.run(Trial.open(self.server.url, f"m{uuid.uuid4().hex[:12]}", START))
        self.workers = [self.trial.store, self.trial.another_worker(), self.trial.another_worker()]
        self.model = Model(START, frozenset({"line-1", "line-2"}))
        self.configs = {1: START}
        self.requests: list[Request] = []
        self.records: dict[str, Record] = {}
        self.rejections: dict[str, list[Record]] = {}  # of each rejected capture, in their order
        self.order = 0  # of what happened: the clock jumps
        self.made: dict[str, int] = {}  # capture -> place in that order
        self.verdicts: list[tuple[int, int, Disposition]] = []  # place in it and time at which each was processed first

    @initialize(warm=st.booleans())
    def start(self, *, warm: bool) -> None:
        """Begin cold, where the threshold stands still, or warm, where it moves every 25 captures."""
        if warm:
            start = warm_start([random.Random(at).randrange(-900_000, 100_000) for at in range(1_200)])
            assert self.loop.run(self.trial.store.warm(self.trial.name, "warm", start))
            threshold = Threshold.warm(start, balance=self.model.damage.balance, config=self.model.config)
            self.model.thresholds["warm"] = threshold
            self.trial.line.fusion_version = "warm"

    @rule(
        scores=st.lists(SCORES, min_size=1, max_size=8),
        unit_id=UNITS,
        major=st.booleans(),
        conflict=st.booleans(),
        draw=st.integers(0, 100_000),
        late=st.booleans() | st.just(value=False),
        repeats=st.integers(1, 3),
        line=LINES,
    )
    def decide_at_once(
        self,
        *,
        scores: list[int],
        unit_id: str,
        major: bool,
        conflict: bool,
        draw: int,
        late: bool,
        repeats: int,
        line: str,
    ) -> None:
        """Several workers decide new captures at the same time, some of them the same one."""
        now_ms = self.trial.now_ms()
        requests = [
            self.trial.line.request(
                now_ms=now_ms,
                unit_id=unit_id,
                score=score,
                major=major,
                identity_conflict=conflict,
                audit_draw_ppm=draw,
                recheck_draw_ppm=draw * 9,
                line=line,
                decide_by_ms=now_ms - 1_000 if late else now_ms + 60_000,
            )
            for score in scores
        ]
        self.requests += requests
        self._decide(requests * repeats)

    @rule(seed=st.integers(0, 2**16), count=st.integers(20, 60))
    def decide_many(self, seed: int, count: int) -> None:
        """A stretch of ordinary traffic, so that the threshold moves."""
        rng = random.Random(seed)
        now_ms = self.trial.now_ms()
        requests = [
            self.trial.line.request(
                now_ms=now_ms,
                unit_id="tote-1",
                score=rng.randrange(-900_000, 200_000),
                decide_by_ms=now_ms + 60_000,
                line=rng.choice(["line-1", "line-2"]),
            )
            for _ in range(count)
        ]
        self.requests += requests
        self._decide(requests)

    @rule(ask=st.sampled_from([Outcome.UNDETERMINED, Outcome.REJECTED]))
    def record_without_a_score(self, ask: Outcome) -> None:
        """An outcome that takes no number."""
        request = self.trial.line.request(now_ms=self.trial.now_ms(), ask=ask, reason="triton_away", score=None)
        self.requests.append(request)
        self._decide([request])

    @rule(place=PLACES, reused=st.booleans())
    def decide_again(self, place: int, *, reused: bool) -> None:
        """A redelivery with other evidence, or the id under other bytes."""
        if self.requests:
            known = self.requests[place % len(self.requests)]
            digest = "f" * 64 if reused else known.digest
            self._decide([self.trial.line.request(
                now_ms=self.trial.now_ms(), capture_id=known.capture_id, score=999_999, digest=digest
            )])  # fmt: skip

    @rule(unit_id=UNITS, line=LINES)
    def reject(self, unit_id: str, line: str) -> None:
        """A capture whose pictures are not there."""
        now_ms = self.trial.now_ms()
        request = self.trial.line.request(
            now_ms=now_ms,
            unit_id=unit_id,
            line=line,
            ask=Outcome.REJECTED,
            reason="view_missing",
            score=None,
            decide_by_ms=now_ms + 60_000,
        )
        self.requests.append(request)
        self._decide([request])

    @rule(
        place=PLACES,
        newest=st.booleans() | st.just(value=True),
        steps=st.integers(0, 2),
        fails=st.lists(st.booleans(), max_size=4),
        score=SCORES,
    )
    def redrive(self, place: int, *, newest: bool, steps: int, fails: list[bool], score: int) -> None:
        """Somebody has a rejected capture worked on once more, by its newest dead letter or by an older one."""
        if not self._rejected_first():
            self.reject(unit_id="tote-1", line="line-1")
        known = self._rejected_first()
        request = known[place % len(known)]
        told = self.rejections[request.capture_id]
        record = told[-1] if newest else told[0]
        for_ms = steps * STEP_MS + STEP_MS // 2
        rejected = Rejected(request.capture_id, request.digest, record.decided_at)
        answer = self.loop.run(self.trial.store.redrive(self.trial.name, rejected, for_ms=for_ms))
        assert answer.answer is self.model.redrive(
            request.capture_id,
            request.digest,
            rejected_ms=milliseconds(decode(Decision, record.decision).decided_at),
            now_ms=self.trial.now_ms(),
            for_ms=for_ms,
        )
        assert answer.redrives == self.model.redrives[request.capture_id].done
        found = self.loop.run(self.trial.store.look(self.trial.name, request.capture_id))
        past = self.model.redrives[request.capture_id]
        assert found is not None
        assert found.grant == (past.done + 1 if past.granted else 0)
        self._work_again(request, fails, score=score, number=found.grant)

    @rule(place=PLACES, number=st.integers(0, 4), fails=st.lists(st.booleans(), max_size=3), score=SCORES)
    def work_again(self, place: int, *, number: int, fails: list[bool], score: int) -> None:
        """A zombie, or a permission of earlier: captures that were rejected are worked on under any number."""
        known = self._rejected_first()
        if known:
            self._work_again(known[place % len(known)], fails, score=score, number=number)

    def _work_again(self, request: Request, fails: list[bool], *, score: int, number: int) -> None:
        """Let a worker for each of `fails` come to its end with a rejected capture, all at once."""
        now_ms = self.trial.now_ms()
        failing = dataclasses.replace(request, redrive=number, append_ms=now_ms, decide_by_ms=now_ms + 60_000)
        scored: dict[str, Any] = {"score": score, "fusion_version": self.trial.line.fusion_version}
        passing = dataclasses.replace(failing, ask=Outcome.DECIDED, reason="", **scored)
        self._decide([failing if fail else passing for fail in fails])

    def _rejected_first(self) -> list[Request]:
        return [request for request in self.requests if request.ask is Outcome.REJECTED]

    @rule(place=PLACES, verdict=VERDICTS)
    def judge_capture(self, place: int, verdict: Verdict) -> None:
        """A verdict on any capture: diverted or not, judged or not, in time or not."""
        if self.requests:
            request = self.requests[place % len(self.requests)]
            self._settle(self.trial.line.disposition(verdict, capture_id=request.capture_id))

    @rule(place=PLACES, verdict=VERDICTS, associate=ASSOCIATES)
    def judge_diverted(self, place: int, verdict: Verdict, associate: str) -> None:
        """A verdict on a capture that went to a person."""
        diverted = [record.capture_id for record in self.records.values() if record.sidelined]
        if diverted:
            capture_id = diverted[place % len(diverted)]
            self._settle(self.trial.line.disposition(verdict, capture_id=capture_id, associate_id=associate))

    @rule(unit_id=UNITS, verdict=VERDICTS)
    def judge_unit(self, unit_id: str, verdict: Verdict) -> None:
        """A verdict on whatever of the unit is open."""
        self._settle(self.trial.line.disposition(verdict, unit_id=unit_id))

    @rule(verdict=VERDICTS, bits=st.integers(0, 2**64))
    def judge_unknown(self, verdict: Verdict, bits: int) -> None:
        """A forged verdict on a capture that never was."""
        capture_id = f"01a1fd16-5d17-7000-8000-{bits % 16**12:012x}"
        self._settle(self.trial.line.disposition(verdict, capture_id=capture_id))

    @rule(place=PLACES)
    def judge_again(self, place: int) -> None:
        """A redelivered disposition."""
        if self.verdicts:
            self._settle(self.verdicts[place % len(self.verdicts)][2])

    @rule(steps=st.integers(1, 12))
    def wait(self, steps: int) -> None:
        """Time passes; stops become overdue."""
        self.loop.run(self.trial.advance(steps * STEP_MS))

    @rule(steps=st.integers(1, 12))
    def jump_back(self, steps: int) -> None:
        """Somebody sets the store's clock back."""
        self.loop.run(self.trial.advance(-steps * STEP_MS))

    @rule(change=st.sampled_from(CHANGES))
    def configure(self, change: dict[str, Any]) -> None:
        """An operator changes something."""
        self._configure(change)

    @rule(threshold=st.integers(-400_000, 400_000), steps=st.integers(1, 3))
    def override(self, threshold: int, steps: int) -> None:
        """An operator sets the threshold by hand, for a while."""
        until_ms = self.trial.now_ms() + steps * STEP_MS - STEP_MS // 2
        self._configure({"override_threshold": threshold, "override_until_ms": until_ms})

    @rule(name=st.sampled_from(["budget", "config", "open", "lines", "line_budgets"]))
    def a_key_is_damaged(self, name: str) -> None:
        """The script stops half-way, and nothing of what it was about to do is done."""
        self.loop.run(self._damage(self.trial.keys.key(name)))

    async def _damage(self, key: str) -> None:
        redis, kept = self.trial.redis, f"{key}.kept"
        was_there = await redis.exists(key)
        if was_there:
            await redis.rename(key, kept)
        await redis.set(key, "not what it was")
        with pytest.raises(Fatal):
            await self.trial.decide(10**6)
        await redis.delete(key)
        if was_there:
            await redis.rename(kept, key)

    @rule()
    def kill_the_store(self) -> None:
        """Kill -9 and start it again: what was answered is on disk."""
        if self.restarts >= RESTARTS:
            return
        type(self).restarts += 1
        self.server.kill()
        self.loop.run(self._hang_up())
        self.server.start()
        self.loop.run(self._back())

    async def _hang_up(self) -> None:
        """Drop every connection: each one from before would fail once, which a worker waits out."""
        for worker in self.workers:
            await worker.close()
        await self.trial.redis.aclose()

    async def _back(self) -> None:
        deadline = time.monotonic() + 20
        for worker in self.workers:
            while True:
                try:
                    await worker.verify()
                    break
                except Retryable:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.02)
        answered = False
        while not answered and time.monotonic() < deadline:
            with contextlib.suppress(RedisConnectionError):
                answered = await self.trial.redis.ping()
        assert answered

    @rule()
    def sweep(self) -> None:
        """Someone asks for a sweep."""
        swept = self.loop.run(self.trial.store.sweep(self.trial.name, limit=3))
        assert self.model.sweep(self.trial.now_ms(), limit=3) == swept

    @invariant()
    def the_store_is_where_the_model_is(self) -> None:
        """Every balance, and A <= burst unless a lowered burst left more pending."""
        type(self).steps += 1
        state = self.loop.run(self.trial.store.state(self.trial.name))
        model = self.model
        assert (
            model.seq,
            model.damage.balance,
            model.damage.pending,
            model.identity.balance,
            model.identity.pending,
            model.diverts,
            len(model.stops),
            model.config_version,
        ) == (
            state.seq,
            state.balance,
            state.pending,
            state.identity_balance,
            state.identity_pending,
            state.diverts_balance,
            state.open_stops,
            state.config_version,
        )
        assert {line: (own.seq, own.purse.balance, own.purse.pending) for line, own in model.own.items()} == {
            line: (own.seq, own.balance, own.pending) for line, own in state.lines.items()
        }
        for own in state.lines.values():
            assert own.balance == 0 or own.balance + own.pending <= own.burst_tokens * MICRO
        assert state.balance == 0 or state.balance + state.pending <= model.config.burst_tokens * MICRO
        for version, found in state.thresholds.items():
            known = model.thresholds[version]
            assert (known.value, known.location, known.scale, known.captures, known.moves) == (
                found.threshold,
                found.location,
                found.scale,
                found.captures,
                found.moves,
            )

    def teardown(self) -> None:
        """Check the promises from the outside: decisions and verdicts only; and what associates said."""
        decisions = [decode(Decision, record.decision) for record in self.records.values()]
        try:
            told = self.loop.run(self.trial.store.associates(self.trial.name))
            assert {name: {k: n for k, n in counts.items() if n} for name, counts in self.model.told.items()} == {
                name: {k: n for k, n in dataclasses.asdict(counts).items() if n} for name, counts in told.items()
            }
            assert [] == check_ledger(decisions, self.configs)
            for worst in check_promises(decisions, self._confirmed(decisions), self.configs):
                note(str(worst))
                assert worst.over <= 0
            for capture_id, record in self.records.items():
                looked = self.loop.run(self.trial.store.look(self.trial.name, capture_id))
                assert looked is not None
                assert (record.decision, record.sidelined) == (looked.decision, looked.sidelined)
        finally:
            self.loop.run(self._close())
            self.loop.close()

    async def _close(self) -> None:
        for worker in self.workers[1:]:
            await worker.close()
        await self.trial.close()

    def _configure(self, change: dict[str, Any]) -> None:
        config = BudgetConfig(**{**_fields(self.model.config), **change})
        try:
            config.check()
        except Fatal:
            return
        if not config.floor <= (config.override_threshold or 0) <= config.ceiling:
            return
        if config.reserve >= config.burst_tokens:
            return
        if 2 * config.alpha_ppm > config.burst_tokens * MICRO:
            return
        version = self.loop.run(self.trial.store.configure(self.trial.name, config))
        assert self.model.configure(config, now_ms=self.trial.now_ms()) == version
        self.configs[version] = config

    def _decide(self, requests: list[Request]) -> None:
        answers = self.loop.run(self._ask(requests))
        by_creation = sorted(
            (answer.decided_at, at)
            for at, answer in enumerate(answers)
            if isinstance(answer, Record) and answer.created
        )
        for _, at in by_creation:  # the order in which Redis ran them
            self._compare(requests[at], answers[at])
        for request, answer in zip(requests, answers, strict=True):
            if not (isinstance(answer, Record) and answer.created):
                self._compare(request, answer)

    async def _ask(self, requests: list[Request]) -> list[Record | Poison]:
        async def one(store: DecisionStore, request: Request) -> Record | Poison:
            try:
                return await store.decide(request)
            except Poison as refused:
                return refused

        workers = self.workers
        return await asyncio.gather(*(one(workers[at % len(workers)], each) for at, each in enumerate(requests)))

    def _compare(self, request: Request, answer: Record | Poison) -> None:
        if isinstance(answer, Poison):
            with pytest.raises(Poison) as caught:
                self.model.decide(request, now_ms=self.trial.now_ms())
            assert caught.value.reason is answer.reason
            return
        decision = decode(Decision, answer.decision)
        known, created = self.model.decide(request, now_ms=milliseconds(decision.decided_at))
        expected_recheck = known.recheck
        assert (expected(decision), answer.created) == (dataclasses.replace(known, recheck=False), created)
        assert (decision.divert is not Divert.NONE) == (answer.sidelined is not None)
        if answer.sidelined is not None:
            sidelined = decode(Sidelined, answer.sidelined)
            assert (decision.divert, expected_recheck) == (sidelined.divert, sidelined.recheck)
        past = self.model.redrives.get(answer.capture_id)
        chain = [(one.reason, milliseconds(one.rejected_at)) for one in decision.rejections]
        assert chain == ([] if past is None else past.chain[: past.done])
        before = self.records.get(answer.capture_id)
        if answer.created and before is not None:
            assert Outcome.REJECTED is before.outcome
            type(self).redriven += 1
            self.records.pop(answer.capture_id)
            self.made.pop(answer.capture_id)
        if answer.created and answer.outcome is Outcome.REJECTED:
            self.rejections.setdefault(answer.capture_id, []).append(answer)
        if answer.capture_id not in self.made:
            self.made[answer.capture_id] = self.order
            self.order += 1
        first = self.records.setdefault(answer.capture_id, answer)
        assert (first.decision, first.sidelined) == (answer.decision, answer.sidelined)

    def _settle(self, disposition: Disposition) -> None:
        now_ms = self.trial.now_ms()
        if disposition.capture_id is not None and disposition.capture_id not in self.records:
            with pytest.raises(Poison) as caught:
                self.loop.run(self.trial.store.settle(disposition))
            assert Reason.UNKNOWN_CAPTURE is caught.value.reason
            return
        known = self.model.settle(
            disposition.disposition_id,
            disposition.verdict,
            capture_id=disposition.capture_id,
            unit_id=disposition.unit_id,
            now_ms=now_ms,
            associate_id=disposition.associate_id,
        )
        assert known == self.loop.run(self.trial.store.settle(disposition))
        if all(disposition is not earlier for _, _, earlier in self.verdicts):
            self.verdicts.append((self.order, now_ms, disposition))
            self.order += 1

    def _confirmed(self, decisions: list[Decision]) -> set[str]:
        """Return the captures whose first verdict came in time and was good, from the events alone."""
        confirmed = set()
        for decision in decisions:
            decided_ms = milliseconds(decision.decided_at)
            timeout_ms = self.configs[decision.config_version or 0].verdict_timeout_ms
            for order, processed_ms, disposition in self.verdicts:
                by_unit = disposition.capture_id is None and disposition.unit_id == decision.unit_id
                if disposition.capture_id != decision.capture_id and not by_unit:
                    continue
                if order > self.made[decision.capture_id]:
                    if processed_ms < decided_ms + timeout_ms and disposition.verdict in _GOOD:
                        confirmed.add(decision.capture_id)
                    break
        return confirmed


_GOOD = {Verdict.DAMAGED, Verdict.WRONG_ITEM}


def _fields(config: BudgetConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__struct_fields__}


class TestMachine:
    """The script and the model are the same function of history."""

    @pytest.mark.timeout(3_600)
    def test_any_history_ends_where_the_model_ends(self, tmp_path: Path) -> None:
        """And both promises hold in every window of it."""

        class Here(BudgetMachine):
            server = Server(tmp_path)

        Here.server.start()
        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
            assert Here.steps >= EXAMPLES * STEPS * 0.8
            assert Here.redriven >= EXAMPLES // 10
        finally:
            Here.server.kill()
