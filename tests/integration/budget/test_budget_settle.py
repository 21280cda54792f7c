"""Verdicts: the first in time moves tokens, every other is a label."""

from __future__ import annotations

import asyncio

import pytest

from budget.config import HOUR_MS
from budget.records import Settlement
from budget.sample import Trial
from schemas.codec import new_uuid7
from schemas.faults import Poison, Reason
from schemas.words import MICRO, Verdict

TIMEOUT_MS = 8 * HOUR_MS


async def tokens(site: Trial) -> tuple[int, int, int, int]:
    """Return balance and pending of both budgets, in whole tokens."""
    state = await site.store.state(site.name)
    found = (state.balance, state.pending, state.identity_balance, state.identity_pending)
    assert all(value % MICRO == 0 for value in found)
    return found[0] // MICRO, found[1] // MICRO, found[2] // MICRO, found[3] // MICRO


class TestFirstVerdict:
    """What it does to the token of the stop."""

    @pytest.mark.parametrize("verdict", [Verdict.DAMAGED, Verdict.WRONG_ITEM])
    async def test_a_true_alarm_returns_the_token(self, site: Trial, verdict: Verdict) -> None:
        """A wrong item under a damage alarm was no false alarm: the unit did not belong there."""
        capture_id = (await site.decide(0)).capture_id
        assert Settlement("settled", 1, 0, (capture_id,)) == await site.judge(verdict, capture_id)
        assert (3, 0, 2, 0) == await tokens(site)

    @pytest.mark.parametrize("verdict", [Verdict.SELLABLE, Verdict.UNSURE])
    async def test_anything_else_spends_it(self, site: Trial, verdict: Verdict) -> None:
        """Unsure too: an alarm no one can confirm has cost the person's time."""
        capture_id = (await site.decide(0)).capture_id
        assert Settlement("settled", 0, 1, (capture_id,)) == await site.judge(verdict, capture_id)
        assert (2, 0, 2, 0) == await tokens(site)
        assert 1 == (await site.store.state(site.name)).false_alarms

    @pytest.mark.parametrize(
        ("verdict", "left"),
        [(Verdict.WRONG_ITEM, 2), (Verdict.DAMAGED, 2), (Verdict.SELLABLE, 1), (Verdict.UNSURE, 1)],
    )
    async def test_an_identity_stop_settles_its_own_budget(self, site: Trial, verdict: Verdict, left: int) -> None:
        """A stop that found a wrong item or real damage was no false alarm."""
        capture_id = (await site.decide(identity_conflict=True)).capture_id
        await site.judge(verdict, capture_id)
        assert (3, 0, left, 0) == await tokens(site)

    async def test_an_audit_is_judged_without_a_token(self, site: Trial) -> None:
        """It counts what the line missed."""
        await site.configure(audit_ppm=MICRO)
        missed = (await site.decide(audit_draw_ppm=0)).capture_id
        intact = (await site.decide(audit_draw_ppm=0)).capture_id
        assert Settlement("label", 0, 0, (missed,)) == await site.judge(Verdict.DAMAGED, missed)
        await site.judge(Verdict.SELLABLE, intact)
        state = await site.store.state(site.name)
        assert (2, 1, 1, 0) == (state.audit_diverts, state.audit_damaged, state.audit_cleared, state.open_stops)

    async def test_a_pass_has_no_token_and_its_verdict_is_a_label(self, site: Trial) -> None:
        """However often it comes."""
        capture_id = (await site.decide()).capture_id
        for _ in range(2):
            assert Settlement("label", 0, 0, (capture_id,)) == await site.judge(Verdict.DAMAGED, capture_id)
        assert (3, 0, 2, 0) == await tokens(site)


class TestLaterVerdicts:
    """Labels and counters only."""

    @pytest.mark.parametrize("first", [Verdict.DAMAGED, Verdict.SELLABLE])
    async def test_a_second_verdict_revises_and_moves_nothing(self, site: Trial, first: Verdict) -> None:
        """Whichever came first."""
        capture_id = (await site.decide(0)).capture_id
        await site.judge(first, capture_id)
        before = await tokens(site)
        assert Settlement("revised", 0, 0, (capture_id,)) == await site.judge(Verdict.DAMAGED, capture_id)
        assert before == await tokens(site)

    async def test_a_verdict_after_the_timeout_comes_too_late(self, site: Trial) -> None:
        """The token expired at that moment, swept or not."""
        capture_id = (await site.decide(0)).capture_id
        await site.advance(TIMEOUT_MS)
        assert "revised" == (await site.judge(Verdict.DAMAGED, capture_id)).state
        assert (2, 0, 2, 0) == await tokens(site)
        assert 1 == (await site.store.state(site.name)).expired

    async def test_a_verdict_just_before_the_timeout_is_in_time(self, site: Trial) -> None:
        """The token returns."""
        capture_id = (await site.decide(0)).capture_id
        await site.advance(TIMEOUT_MS - 5_000)
        assert "settled" == (await site.judge(Verdict.DAMAGED, capture_id)).state
        assert (3, 0, 2, 0) == await tokens(site)

    async def test_verdicts_at_once_settle_once(self, site: Trial) -> None:
        """Of ten people who judge together one moves the token."""
        capture_id = (await site.decide(0)).capture_id
        verdicts = [Verdict.DAMAGED, Verdict.SELLABLE] * 5
        settled = await asyncio.gather(*(site.judge(verdict, capture_id) for verdict in verdicts))
        assert 1 == sum(one.returned + one.spent for one in settled)
        assert ["revised"] * 9 + ["settled"] == sorted(one.state for one in settled)


class TestRedelivery:
    """A disposition is idempotent by its id."""

    async def test_a_redelivered_disposition_gets_the_first_answer(self, site: Trial) -> None:
        """And moves and counts nothing."""
        capture_id = (await site.decide(0)).capture_id
        disposition = site.line.disposition(Verdict.DAMAGED, capture_id=capture_id)
        first = await site.store.settle(disposition)
        counted = await site.store.state(site.name)
        assert first == await site.store.settle(disposition)
        assert counted == await site.store.state(site.name)

    async def test_the_same_id_with_another_verdict_is_refused(self, site: Trial) -> None:
        """Ids are not trusted."""
        capture_id = (await site.decide(0)).capture_id
        disposition = site.line.disposition(Verdict.SELLABLE, capture_id=capture_id, disposition_id="d-1")
        await site.store.settle(disposition)
        with pytest.raises(Poison) as caught:
            await site.store.settle(site.line.disposition(Verdict.DAMAGED, capture_id=capture_id, disposition_id="d-1"))
        assert Reason.ID_REUSED is caught.value.reason


class TestByUnit:
    """When only the unit is known."""

    async def test_all_open_stops_of_the_unit_are_settled(self, site: Trial) -> None:
        """Damage, identity and audit; stops of other units stay open."""
        await site.configure(audit_ppm=MICRO)
        mine = [
            await site.decide(0, unit_id="tote-1"),
            await site.decide(unit_id="tote-1", identity_conflict=True),
            await site.decide(unit_id="tote-1", audit_draw_ppm=0),
        ]
        await site.decide(0, unit_id="tote-2")
        settlement = await site.store.settle(site.line.disposition(Verdict.SELLABLE, unit_id="tote-1"))
        assert Settlement("settled", 0, 2, tuple(sorted(one.capture_id for one in mine))) == settlement
        assert (1, 1, 1, 0) == await tokens(site)

    async def test_a_second_verdict_on_the_unit_revises_its_newest_stop(self, site: Trial) -> None:
        """So that the label still finds a capture."""
        now_ms = site.now_ms()
        older, newer = (new_uuid7(at_ms=now_ms + at, random_bits=1) for at in (0, 1))
        await site.decide(0, unit_id="tote-1", capture_id=older)
        await site.decide(0, unit_id="tote-1", capture_id=newer)
        await site.store.settle(site.line.disposition(Verdict.SELLABLE, unit_id="tote-1"))
        again = await site.store.settle(site.line.disposition(Verdict.DAMAGED, unit_id="tote-1"))
        assert Settlement("revised", 0, 0, (newer,)) == again

    async def test_a_unit_that_was_never_stopped_gets_a_label(self, site: Trial) -> None:
        """There is nothing to settle and nothing to refuse."""
        settlement = await site.store.settle(site.line.disposition(Verdict.DAMAGED, unit_id="tote-9"))
        assert Settlement("label", 0, 0, ()) == settlement

    async def test_a_unit_whose_name_looks_like_a_stop_is_just_a_unit(self, site: Trial) -> None:
        """Ids may hold dots, dashes and underscores; the store's own separators they cannot hold."""
        unit_id = "damage.01a1fd16-5d17-7d8e-91b7-584a2265b1f5.x"
        await site.decide(0, unit_id=unit_id)
        settlement = await site.store.settle(site.line.disposition(Verdict.SELLABLE, unit_id=unit_id))
        assert 1 == settlement.spent


class TestRefused:
    """What is a dead letter."""

    async def test_an_unknown_capture(self, site: Trial) -> None:
        """A forged verdict returns no token."""
        with pytest.raises(Poison) as caught:
            await site.judge(Verdict.DAMAGED, new_uuid7(at_ms=site.now_ms(), random_bits=5))
        assert Reason.UNKNOWN_CAPTURE is caught.value.reason

    async def test_an_unknown_verdict_site_or_subject(self, site: Trial) -> None:
        """Each names its reason."""
        capture_id = (await site.decide(0)).capture_id
        elsewhere = site.line.__class__("nowhere")
        for disposition, reason in (
            (site.line.disposition(Verdict.UNKNOWN, capture_id=capture_id), Reason.UNKNOWN_VERDICT),
            (site.line.disposition(Verdict.DAMAGED), Reason.NO_SUBJECT),
            (elsewhere.disposition(Verdict.DAMAGED, capture_id=capture_id), Reason.UNKNOWN_SITE),
        ):
            with pytest.raises(Poison) as caught:
                await site.store.settle(disposition)
            assert reason is caught.value.reason


class TestSweep:
    """Stops that no one judges give their tokens up, a bounded number per call."""

    async def test_deciding_sweeps_at_most_sixteen(self, site: Trial) -> None:
        """One capture's call cannot be made to pay for a thousand stops."""
        await site.configure(audit_ppm=MICRO, burst_diverts=100)
        await site.redis.hset(site.keys.key("budget"), "diverts", 100 * MICRO)
        for _ in range(40):
            await site.decide(audit_draw_ppm=0)
        await site.configure(audit_ppm=0)
        await site.advance(TIMEOUT_MS)
        left = []
        for _ in range(3):
            await site.decide()
            left.append((await site.store.state(site.name)).open_stops)
        assert [24, 8, 0] == left

    async def test_a_stop_beyond_the_sweep_has_expired_all_the_same(self, site: Trial) -> None:
        """Twenty older ones are overdue too, and its verdict's own sweep does not reach it."""
        await site.configure(audit_ppm=MICRO, burst_diverts=100)
        await site.redis.hset(site.keys.key("budget"), "diverts", 100 * MICRO)
        for _ in range(20):
            await site.decide(audit_draw_ppm=0)
        capture_id = (await site.decide(0)).capture_id
        await site.advance(TIMEOUT_MS)
        assert "revised" == (await site.judge(Verdict.DAMAGED, capture_id)).state
        state = await site.store.state(site.name)
        assert (2 * MICRO, 0, 1, 4) == (state.balance, state.pending, state.expired, state.open_stops)

    async def test_expired_tokens_are_gone_and_refill_brings_new_ones(self, site: Trial) -> None:
        """At alpha = 1 % a hundred captures earn one."""
        for _ in range(3):
            await site.decide(0)
        await site.advance(TIMEOUT_MS)
        assert 3 == await site.store.sweep(site.name)
        assert (0, 0, 2, 0) == await tokens(site)
        for _ in range(100):
            await site.decide()
        assert (1, 0, 2, 0) == await tokens(site)

    async def test_settling_sweeps_too(self, site: Trial) -> None:
        """A site that only judges still gives up what is overdue."""
        overdue = (await site.decide(0)).capture_id
        await site.advance(TIMEOUT_MS)
        fresh = (await site.decide()).capture_id
        await site.judge(Verdict.SELLABLE, fresh)
        assert "revised" == (await site.judge(Verdict.DAMAGED, overdue)).state
        assert 0 == (await site.store.state(site.name)).open_stops
