"""One capture, one outcome: what decides it, what refuses it, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from budget.config import DAY_MS, HOUR_MS, LineBudget
from budget.records import Record
from budget.redrives import Rejected
from budget.sample import Trial
from schemas.codec import decode, new_uuid7
from schemas.faults import Poison, Reason
from schemas.messages import DECISION_TAIL, SIDELINED_TAIL, Decision, Sidelined
from schemas.words import MICRO, Action, Divert, Outcome


def read(record: Record) -> Decision:
    """Read the decision of a record."""
    return decode(Decision, record.decision)


def tail(raw: bytes, known: tuple[str, ...]) -> list[str]:
    """Return the names of the fields the script wrote, in their order."""
    names: list[str] = list(msgspec.json.decode(raw, type=dict[str, Any]))
    return [name for name in names if name in known]


class TestOutcome:
    """What a score becomes."""

    async def test_a_score_below_the_threshold_passes(self, site: Trial) -> None:
        """It costs nothing but its place in the sequence."""
        decision = read(await site.decide(-1))
        assert (Outcome.DECIDED, Action.PASS, Divert.NONE) == (decision.outcome, decision.action, decision.divert)
        assert ("below_threshold", 1, -1, 0) == (decision.reason, decision.seq, decision.score, decision.threshold)
        assert (3 * MICRO, 3 * MICRO, 0, 0) == (
            decision.balance_before,
            decision.balance_after,
            decision.pending_before,
            decision.pending_after,
        )

    async def test_a_score_at_the_threshold_is_sidelined_and_moves_one_token(self, site: Trial) -> None:
        """The token goes from balance to pending, and the sidelined event is stored beside the decision."""
        record = await site.decide(0)
        decision = read(record)
        assert (Action.SIDELINE, Divert.DAMAGE, "above_threshold") == (
            decision.action,
            decision.divert,
            decision.reason,
        )
        assert (3 * MICRO, 2 * MICRO, 0, MICRO) == (
            decision.balance_before,
            decision.balance_after,
            decision.pending_before,
            decision.pending_after,
        )
        event = decode(Sidelined, record.sidelined)
        assert (decision.capture_id, Divert.DAMAGE, 1, 0, 0) == (
            event.capture_id,
            event.divert,
            event.seq,
            event.score,
            event.threshold,
        )

    async def test_the_script_writes_the_fields_of_the_schema_in_its_order(self, site: Trial) -> None:
        """A reader of the schema finds what it says."""
        await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=3)})
        request = site.line.request(now_ms=site.now_ms(), score=0)
        first = await site.store.decide(replace(request, ask=Outcome.REJECTED, reason="view_missing"))
        await site.store.redrive(site.name, Rejected(first.capture_id, first.digest, first.decided_at))
        record = await site.store.decide(replace(request, redrive=1))
        assert list(DECISION_TAIL) == tail(record.decision, DECISION_TAIL)
        assert list(SIDELINED_TAIL) == tail(record.sidelined or b"", SIDELINED_TAIL)

    async def test_without_a_token_a_sideline_is_withheld(self, site: Trial) -> None:
        """The unit passes, and the record says that a budget and not the score let it."""
        for _ in range(3):
            await site.decide(0)
        decision = read(await site.decide(0))
        assert (Action.PASS, Divert.NONE, True, "no_token") == (
            decision.action,
            decision.divert,
            decision.withheld,
            decision.reason,
        )

    async def test_the_reserve_serves_major_damage_only(self, site: Trial) -> None:
        """With one token reserved the third ordinary sideline is withheld, a major one is not."""
        await site.configure(reserve=1)
        assert [Divert.DAMAGE, Divert.DAMAGE, Divert.NONE] == [read(await site.decide(0)).divert for _ in range(3)]
        assert "reserved" == read(await site.decide(0)).reason
        assert Divert.DAMAGE is read(await site.decide(0, major=True)).divert

    async def test_a_full_station_withholds_even_with_tokens(self, site: Trial) -> None:
        """P5b: the diverts' own bucket needs no one's word."""
        await site.configure(burst_diverts=1, beta_ppm=1)
        assert Divert.DAMAGE is read(await site.decide(0)).divert
        full = read(await site.decide(0))
        assert (Divert.NONE, True, "diverts_full") == (full.divert, full.withheld, full.reason)

    async def test_a_score_at_the_ceiling_always_asks(self, site: Trial) -> None:
        """Even where the threshold would stand above it, so that in a flood the cap binds and not the controller."""
        await site.configure(ceiling=1_000_000, start_threshold=1_000_000)
        await site.redis.hset(
            site.keys.threshold(site.line.fusion_version), mapping={"threshold": 9_000_000, "scale": 1}
        )
        decision = read(await site.decide(1_000_000))
        assert (Divert.DAMAGE, 1_000_000) == (decision.divert, decision.threshold)

    async def test_a_score_below_the_floor_never_asks(self, site: Trial) -> None:
        """However low the threshold has sunk."""
        await site.configure(floor=-1_000_000)
        await site.redis.hset(
            site.keys.threshold(site.line.fusion_version), mapping={"threshold": -9_000_000, "scale": 1}
        )
        decision = read(await site.decide(-1_000_001))
        assert (Divert.NONE, -1_000_000) == (decision.divert, decision.threshold)

    async def test_a_threshold_set_by_hand_holds_until_it_expires(self, site: Trial) -> None:
        """Then the one the scores made is in force again; decisions under a hand are counted."""
        until_ms = site.now_ms() + HOUR_MS
        await site.configure(override_threshold=1_500_000, override_until_ms=until_ms)
        assert 1_500_000 == read(await site.decide(0)).threshold
        await site.advance(HOUR_MS)
        assert 0 == read(await site.decide(0)).threshold
        assert 1 == (await site.store.state(site.name)).overridden


class TestIdentityAndAudit:
    """The other two reasons to send a unit to a person."""

    async def test_a_conflict_is_sidelined_from_its_own_budget(self, site: Trial) -> None:
        """The damage budget is not touched."""
        decision = read(await site.decide(identity_conflict=True))
        assert (Action.SIDELINE, Divert.IDENTITY, "identity_conflict") == (
            decision.action,
            decision.divert,
            decision.reason,
        )
        state = await site.store.state(site.name)
        assert (3 * MICRO, MICRO, MICRO) == (state.balance, state.identity_balance, state.identity_pending)

    async def test_damage_comes_before_identity_and_debits_once(self, site: Trial) -> None:
        """A stop is a stop: one token, the damage budget's."""
        assert Divert.DAMAGE is read(await site.decide(0, identity_conflict=True)).divert
        state = await site.store.state(site.name)
        assert (MICRO, 0) == (state.pending, state.identity_pending)

    async def test_a_conflict_may_stop_what_the_damage_budget_withheld(self, site: Trial) -> None:
        """It is then no withheld sideline: the unit does go to a person."""
        for _ in range(3):
            await site.decide(0)
        decision = read(await site.decide(0, identity_conflict=True))
        assert (Divert.IDENTITY, False) == (decision.divert, decision.withheld)

    async def test_a_conflict_without_a_token_passes(self, site: Trial) -> None:
        """And is counted apart from withheld damage."""
        for _ in range(2):
            await site.decide(identity_conflict=True)
        decision = read(await site.decide(identity_conflict=True))
        assert (Divert.NONE, "identity_no_token", False) == (decision.divert, decision.reason, decision.withheld)
        assert 1 == (await site.store.state(site.name)).withheld_identity

    async def test_an_audit_is_a_pass_that_a_person_sees(self, site: Trial) -> None:
        """A draw below the probability in force diverts, whatever the score; the probability is on record."""
        await site.configure(audit_ppm=500)
        missed = read(await site.decide(audit_draw_ppm=500))
        record = await site.decide(audit_draw_ppm=499)
        drawn = read(record)
        assert (Divert.NONE, Divert.AUDIT, Action.PASS, 500) == (
            missed.divert,
            drawn.divert,
            drawn.action,
            drawn.audit_ppm,
        )
        assert Divert.AUDIT is decode(Sidelined, record.sidelined).divert
        assert 3 * MICRO == drawn.balance_after

    async def test_withheld_captures_are_audited_too(self, site: Trial) -> None:
        """Else recall under a binding cap could not be estimated."""
        await site.configure(audit_ppm=1)
        for _ in range(3):
            await site.decide(0)
        decision = read(await site.decide(0, audit_draw_ppm=0))
        assert (Divert.AUDIT, True, "no_token") == (decision.divert, decision.withheld, decision.reason)

    async def test_a_full_station_gets_no_audits(self, site: Trial) -> None:
        """Audits count in P5b."""
        await site.configure(audit_ppm=MICRO, burst_diverts=1, beta_ppm=1)
        divert = [read(await site.decide(audit_draw_ppm=0)).divert for _ in range(2)]
        assert [Divert.AUDIT, Divert.NONE] == divert
        assert 1 == (await site.store.state(site.name)).withheld_audit


class TestNotDecided:
    """Outcomes without a place in the sequence."""

    async def test_past_its_deadline_a_capture_is_undetermined_with_its_score(self, site: Trial) -> None:
        """It is not diverted, moves no token and takes no number."""
        decision = read(await site.decide(9_000_000, decide_by_ms=site.now_ms() - 1))
        assert (Outcome.UNDETERMINED, Action.NONE, Divert.NONE, "late", 9_000_000, None) == (
            decision.outcome,
            decision.action,
            decision.divert,
            decision.reason,
            decision.score,
            decision.seq,
        )
        state = await site.store.state(site.name)
        assert (0, 3 * MICRO, 1, 1) == (state.seq, state.balance, state.undetermined, state.late)

    async def test_past_its_deadline_it_says_what_was_away_meanwhile(self, site: Trial) -> None:
        """The caller knows why a decision may come too late, and cannot know that it will."""
        late = read(await site.decide(0, reason="redis_away", decide_by_ms=site.now_ms() - 1))
        assert (Outcome.UNDETERMINED, "redis_away") == (late.outcome, late.reason)
        in_time = read(await site.decide(0, reason="redis_away"))
        assert (Outcome.DECIDED, "above_threshold") == (in_time.outcome, in_time.reason)

    async def test_undetermined_on_request_keeps_the_callers_reason(self, site: Trial) -> None:
        """Even past the deadline: what was away explains more than that it is late."""
        request = site.line.request(
            now_ms=site.now_ms(), ask=Outcome.UNDETERMINED, reason="triton_away", score=None, decide_by_ms=1
        )
        decision = read(await site.store.decide(request))
        assert (Outcome.UNDETERMINED, "triton_away", None) == (decision.outcome, decision.reason, decision.score)

    async def test_rejected_is_recorded_like_any_outcome(self, site: Trial) -> None:
        """A later attempt to decide the same capture gets the rejection again."""
        request = site.line.request(
            now_ms=site.now_ms(), ask=Outcome.REJECTED, reason='not "an" image\n', score=None, sidelined_head=b""
        )
        rejected = await site.store.decide(request)
        again = await site.store.decide(
            site.line.request(now_ms=site.now_ms(), capture_id=request.capture_id, score=9_000_000)
        )
        assert (Outcome.REJECTED, 'not "an" image\n') == (read(rejected).outcome, read(rejected).reason)
        assert (rejected.decision, False) == (again.decision, again.created)

    async def test_only_decided_captures_take_numbers(self, site: Trial) -> None:
        """The sequence has no gaps whatever happens between."""
        seqs = []
        for late in (False, True, False, True, False):
            decision = read(await site.decide(decide_by_ms=1) if late else await site.decide())
            seqs.append(decision.seq)
        assert [1, None, 2, None, 3] == seqs


class TestOnce:
    """P3: one capture, one decision, the same bytes for ever."""

    async def test_a_second_call_returns_the_stored_bytes(self, site: Trial) -> None:
        """Whatever evidence the second caller has; no token moves again."""
        request = site.line.request(now_ms=site.now_ms(), score=0)
        first = await site.store.decide(request)
        second = await site.store.decide(
            site.line.request(now_ms=site.now_ms(), capture_id=request.capture_id, score=-9_000_000)
        )
        assert (True, False) == (first.created, second.created)
        assert (first.decision, first.sidelined, first.decided_at) == (
            second.decision,
            second.sidelined,
            second.decided_at,
        )
        assert 2 * MICRO == (await site.store.state(site.name)).balance

    async def test_looking_returns_what_deciding_stored(self, site: Trial) -> None:
        """And nothing for a capture that has no outcome."""
        request = site.line.request(now_ms=site.now_ms(), score=0)
        assert None is await site.store.look(site.name, request.capture_id)
        first = await site.store.decide(request)
        looked = await site.store.look(site.name, request.capture_id)
        assert (first.decision, first.sidelined, request.digest, False) == (
            looked and looked.decision,
            looked and looked.sidelined,
            looked and looked.digest,
            looked and looked.created,
        )

    async def test_workers_at_once_get_one_decision(self, site: Trial) -> None:
        """Of 20 simultaneous calls from two clients one creates, all return the same bytes."""
        request = site.line.request(now_ms=site.now_ms(), score=0)
        other = site.another_worker()
        try:
            stores = [site.store, other] * 10
            records = await asyncio.gather(*(store.decide(request) for store in stores))
        finally:
            await other.close()
        assert 1 == sum(record.created for record in records)
        assert 1 == len({(record.decision, record.sidelined) for record in records})

    async def test_the_same_id_with_other_bytes_is_refused(self, site: Trial) -> None:
        """An id cannot be used to overwrite or to borrow an answer."""
        request = site.line.request(now_ms=site.now_ms())
        await site.store.decide(request)
        with pytest.raises(Poison) as caught:
            await site.decide(capture_id=request.capture_id, digest="0" * 64)
        assert Reason.ID_REUSED is caught.value.reason

    @pytest.mark.parametrize("ahead_ms", [-HOUR_MS, 0, HOUR_MS - 1_000])
    async def test_when_an_outcome_is_forgotten_its_capture_is_too_old(self, site: Trial, ahead_ms: int) -> None:
        """There is no moment at which a capture could be decided a second time, even if its id runs ahead an hour."""
        now_ms = site.now_ms()
        capture_id = new_uuid7(at_ms=now_ms + ahead_ms, random_bits=1)
        await site.decide(capture_id=capture_id, append_ms=now_ms)
        key = site.keys.outcome(capture_id)
        forgotten_ms = int(await site.redis.pexpiretime(key))
        await site.redis.delete(key)
        await site.advance(forgotten_ms - site.now_ms())
        with pytest.raises(Poison) as caught:
            await site.decide(capture_id=capture_id, append_ms=site.now_ms())
        assert Reason.TOO_OLD is caught.value.reason

    async def test_a_raised_horizon_admits_nothing_whose_outcome_is_gone(self, site: Trial) -> None:
        """A capture of 60 h ago was forgotten under 48 h, so 96 h must not let it in."""
        old = new_uuid7(at_ms=site.now_ms(), random_bits=1)
        await site.decide(capture_id=old)
        await site.redis.delete(site.keys.outcome(old))
        await site.advance(60 * HOUR_MS)
        await site.configure(horizon_ms=96 * HOUR_MS)
        with pytest.raises(Poison) as caught:
            await site.decide(capture_id=old, append_ms=site.now_ms())
        assert Reason.TOO_OLD is caught.value.reason
        fresh = new_uuid7(at_ms=site.now_ms() - 40 * HOUR_MS, random_bits=2)
        assert (await site.decide(capture_id=fresh)).created


class TestFences:
    """What never gets an outcome."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"site": "nowhere"}, Reason.UNKNOWN_SITE),
            ({"line": "line-3"}, Reason.UNKNOWN_LINE),
            ({"append_ms": 1_000}, Reason.TOO_OLD),
            ({"append_ms": -1}, Reason.TOO_OLD),
        ],
    )
    async def test_a_refusal_names_its_reason_and_writes_nothing(
        self, site: Trial, changes: dict[str, Any], reason: Reason
    ) -> None:
        """An unknown site gets no budget, an old record no outcome."""
        before = await site.redis.dbsize()
        with pytest.raises(Poison) as caught:
            await site.decide(**changes)
        assert reason is caught.value.reason
        assert before == await site.redis.dbsize()

    @pytest.mark.parametrize(
        ("age_ms", "reason"),
        [
            (2 * DAY_MS - HOUR_MS - 5_000, None),
            (2 * DAY_MS - HOUR_MS, Reason.TOO_OLD),
            (-HOUR_MS + 5_000, None),
            (-HOUR_MS - 5_000, Reason.FROM_THE_FUTURE),
        ],
    )
    async def test_the_time_inside_the_id_is_fenced(self, site: Trial, age_ms: int, reason: Reason | None) -> None:
        """An hour ahead is a clock that is wrong, older than the horizon less an hour may have been decided before."""
        capture_id = new_uuid7(at_ms=site.now_ms() - age_ms, random_bits=1)
        try:
            await site.decide(capture_id=capture_id)
            found = None
        except Poison as refused:
            found = refused.reason
        assert reason is found


class TestText:
    """The bytes that Lua writes."""

    async def test_times_are_rfc3339_in_utc(self, site: Trial) -> None:
        """For every kind of year and month the calendar has, to the millisecond."""
        start = datetime(1970, 1, 1, tzinfo=UTC)
        for moment in calendar():
            decide_by_ms = (moment - start) // timedelta(milliseconds=1)
            raw = (await site.decide(decide_by_ms=decide_by_ms)).decision
            expected = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
            assert expected == msgspec.json.decode(raw, type=dict[str, Any])["decide_by"]

    async def test_decided_at_is_the_stores_clock_in_microseconds(self, site: Trial) -> None:
        """Moved by the tests' offset like everything else."""
        await site.advance(12 * 365 * DAY_MS)
        record = await site.decide()
        assert abs(read(record).decided_at.timestamp() * 1000 - site.now_ms()) < 10_000
        assert len("2026-01-01T00:00:00.000000Z") == len(record.decided_at)

    async def test_large_numbers_keep_every_digit(self, site: Trial) -> None:
        """Lua's own conversion would cut a budget of 100,000 tokens to 14 places and write an exponent."""
        await site.redis.hset(
            site.keys.key("budget"), mapping={"seq": 9_007_199_254_740_000, "pending": 123_456_789_012}
        )
        decision = read(await site.decide())
        assert (9_007_199_254_740_001, 123_456_789_012) == (decision.seq, decision.pending_after)

    async def test_an_ordinary_capture_takes_at_most_2_kb(self, site: Trial) -> None:
        """Key, times, evidence of three views and all."""
        request = site.line.request(now_ms=site.now_ms())
        await site.store.decide(request)
        used = await site.redis.memory_usage(site.keys.outcome(request.capture_id), samples=0)
        assert used is not None
        assert used <= 2_048


def calendar() -> Iterator[datetime]:
    """Yield the edges of leap years, centuries and months, and odd times of day."""
    for year in (1970, 1972, 1999, 2000, 2023, 2024, 2026, 2100, 2400, 9999):
        for month, day in ((1, 1), (2, 28), (3, 1), (7, 31), (12, 31)):
            yield datetime(year, month, day, 23, 59, 59, 999_000, tzinfo=UTC)
    for year in (2000, 2024, 2096, 2400):
        yield datetime(year, 2, 29, 0, 0, 0, 1_000, tzinfo=UTC)
