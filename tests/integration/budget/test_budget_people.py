"""Verdicts have names: who confirms how much, who is contradicted by a second look, who changed the configuration."""

from __future__ import annotations

from budget.records import AssociateState
from budget.sample import Trial
from schemas.codec import decode
from schemas.messages import Decision, Sidelined
from schemas.words import MICRO, Divert, Verdict


class TestAssociates:
    """What each associate's verdicts said."""

    async def test_first_verdicts_are_counted_by_name(self, site: Trial) -> None:
        """A redelivery and a later verdict are not."""
        first, second = await site.decide(0), await site.decide(0)
        verdict = site.line.disposition(Verdict.DAMAGED, capture_id=first.capture_id, associate_id="ann")
        await site.store.settle(verdict)
        await site.store.settle(verdict)
        await site.judge(Verdict.SELLABLE, first.capture_id, associate_id="bob")
        await site.judge(Verdict.SELLABLE, second.capture_id, associate_id="bob")
        assert {"ann": AssociateState(judged=1, confirmed=1), "bob": AssociateState(judged=1)} == (
            await site.store.associates(site.name)
        )

    async def test_an_audit_counts_apart(self, site: Trial) -> None:
        """It says what passes, not what is stopped."""
        await site.configure(audit_ppm=MICRO)
        audit = await site.decide(-1)
        await site.judge(Verdict.DAMAGED, audit.capture_id, associate_id="ann")
        assert {"ann": AssociateState(audits=1, audits_damaged=1)} == await site.store.associates(site.name)

    async def test_a_thousand_verdicts_are_halved(self, site: Trial) -> None:
        """The recent past counts, in numbers that stay small."""
        await site.redis.hset(site.keys.key("associates"), mapping={"ann:judged": 999, "ann:confirmed": 500})
        stop = await site.decide(0)
        await site.judge(Verdict.SELLABLE, stop.capture_id, associate_id="ann")
        assert AssociateState(judged=500, confirmed=250) == (await site.store.associates(site.name))["ann"]


class TestSecondLook:
    """A drawn share of stops is judged twice, by two people who do not know of it."""

    async def test_the_draw_marks_the_event_and_nothing_else(self, site: Trial) -> None:
        """Whoever consumes decisions cannot tell."""
        await site.configure(recheck_ppm=100_000)
        drawn = await site.decide(0, recheck_draw_ppm=99_999)
        not_drawn = await site.decide(0, recheck_draw_ppm=100_000)
        assert [True, False] == [decode(Sidelined, one.sidelined or b"").recheck for one in (drawn, not_drawn)]
        assert b"recheck" not in drawn.decision

    async def test_another_persons_verdict_tells_of_the_first(self, site: Trial) -> None:
        """Once, and not by the same person; without a mark nobody is compared."""
        await site.configure(recheck_ppm=MICRO)
        marked = await site.decide(0, recheck_draw_ppm=0)
        await site.configure(recheck_ppm=0)
        plain = await site.decide(0)
        for capture in (marked, plain):
            await site.judge(Verdict.DAMAGED, capture.capture_id, associate_id="ann")
            await site.judge(Verdict.SELLABLE, capture.capture_id, associate_id="ann")
            await site.judge(Verdict.SELLABLE, capture.capture_id, associate_id="bob")
            await site.judge(Verdict.DAMAGED, capture.capture_id, associate_id="cec")
        found = await site.store.associates(site.name)
        assert {"ann": AssociateState(judged=2, confirmed=2, rechecked=1)} == found

    async def test_agreement_is_counted(self, site: Trial) -> None:
        """The same verdict twice."""
        await site.configure(recheck_ppm=MICRO)
        stop = await site.decide(0, recheck_draw_ppm=0)
        await site.judge(Verdict.SELLABLE, stop.capture_id, associate_id="ann")
        await site.judge(Verdict.SELLABLE, stop.capture_id, associate_id="bob")
        assert AssociateState(judged=1, rechecked=1, agreed=1) == (await site.store.associates(site.name))["ann"]


class TestAudits:
    """The audit probability follows the station's leisure, and nothing about the capture."""

    async def test_a_full_bucket_audits_most_and_a_drained_one_least(self, site: Trial) -> None:
        """The probability in force is the one on record."""
        await site.configure(audit_ppm=1_000, audit_max_ppm=401_000, burst_diverts=4, beta_ppm=1)
        rates = []
        for score in (-1, 0, 0, 0, -1):
            decision = decode(Decision, (await site.decide(score)).decision)
            rates.append(decision.audit_ppm)
        assert 401_000 == rates[0] == rates[1]
        assert rates[1] > rates[2] > rates[3] > rates[4] > 1_000
        assert abs(rates[4] - (1_000 + 400_000 // 16)) < 5

    async def test_the_draw_meets_the_probability_in_force(self, site: Trial) -> None:
        """Below it a person looks; at it nobody does."""
        await site.configure(audit_ppm=1_000, audit_max_ppm=401_000)
        first = decode(Decision, (await site.decide(-1, audit_draw_ppm=400_999)).decision)
        assert Divert.AUDIT is first.divert
        second = decode(Decision, (await site.decide(-1, audit_draw_ppm=first.audit_ppm)).decision)
        assert Divert.NONE is second.divert


class TestHistory:
    """Every version of the configuration says who put it in force, when and why."""

    async def test_who_when_and_why(self, site: Trial) -> None:
        """The registration is the first entry; the same configuration again is none."""
        config = site.config
        await site.configure(audit_ppm=7)
        version = await site.store.configure(site.name, config, by="ann", why="back to normal")
        assert version == await site.store.configure(site.name, config, by="bob", why="once more")
        changes = await site.store.changes(site.name)
        assert [("registered", 0), ("", 7), ("back to normal", 0)] == [
            (one.why, one.config.audit_ppm) for one in changes
        ]
        assert "ann" == changes[-1].by
        assert abs(changes[-1].at_ms - site.now_ms()) < 60_000
