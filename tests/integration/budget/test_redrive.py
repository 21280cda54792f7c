"""A rejected capture gets its one decision by permission only: at any moment of a kill, with any number of hands."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from budget.config import HOUR_MS
from budget.records import Record, Request
from budget.redrives import GRANT_MS, REDRIVE_LIMIT, Answer, Permission, Rejected
from budget.rejections import RejectedCapture
from budget.restore import Restored
from budget.sample import Trial
from budget.store import DecisionStore
from schemas.codec import decode, new_uuid7
from schemas.faults import Fatal, Poison, Reason
from schemas.messages import Capture, Decision, View
from schemas.words import Divert, Outcome


def read(record: Record) -> Decision:
    """Return a record's decision."""
    return decode(Decision, record.decision)


def rejected(record: Record) -> Rejected:
    """Return a rejection as its dead letter tells it."""
    return Rejected(record.capture_id, record.digest, record.decided_at)


def asking(request: Request, ask: Outcome, reason: str = "", *, redrive: int = 0) -> Request:
    """Return the request of a later attempt on the same capture."""
    return replace(request, ask=ask, reason=reason, score=0 if ask is Outcome.DECIDED else None, redrive=redrive)


class Rejection:
    """One capture that was rejected for a missing view."""

    def __init__(self, site: Trial) -> None:
        """Make its request; a decision that is asked for later is in time, and asks for a sideline."""
        self.site = site
        self.request = site.line.request(now_ms=site.now_ms(), decide_by_ms=site.now_ms() + HOUR_MS)
        self.first: Record

    async def happen(self) -> Rejection:
        """Be recorded."""
        self.first = await self.reject()
        return self

    async def reject(self, reason: str = "view_missing", *, redrive: int = 0) -> Record:
        """Fail an attempt."""
        return await self.site.store.decide(asking(self.request, Outcome.REJECTED, reason, redrive=redrive))

    async def decide(self, *, redrive: int) -> Record:
        """Let an attempt succeed."""
        return await self.site.store.decide(asking(self.request, Outcome.DECIDED, redrive=redrive))

    async def grant(self, of: Record | None = None) -> Permission:
        """Ask for permission, naming the rejection."""
        return await self.site.store.redrive(self.site.name, rejected(of or self.first))

    async def look(self) -> Record:
        """Look, as an inspector does."""
        found = await self.site.store.look(self.site.name, self.request.capture_id)
        assert found is not None
        return found


@pytest.fixture
async def rejection(site: Trial) -> Rejection:
    """A rejected capture."""
    return await Rejection(site).happen()


class TestPermission:
    """Who gives it, and what it is worth."""

    async def test_it_turns_a_rejection_into_one_decision_that_keeps_the_chain(self, rejection: Rejection) -> None:
        """What was rejected, when, and that it was redriven stand in the new record; seq goes on as usual."""
        assert Permission(Answer.GRANTED, 0) == await rejection.grant()
        assert 1 == (await rejection.look()).grant
        record = await rejection.decide(redrive=1)
        decision = read(record)
        assert (Outcome.DECIDED, 1, Divert.DAMAGE, True) == (
            decision.outcome,
            decision.seq,
            decision.divert,
            record.created,
        )
        (before,) = decision.rejections
        assert ("view_missing", read(rejection.first).decided_at) == (before.reason, before.rejected_at)
        assert before.redriven_at is not None
        assert before.rejected_at <= before.redriven_at <= decision.decided_at
        assert (record.decision, record.sidelined, 0, 1) == (
            (await rejection.look()).decision,
            (await rejection.look()).sidelined,
            (await rejection.look()).grant,
            (await rejection.look()).redrives,
        )
        state = await rejection.site.store.state(rejection.site.name)
        assert (1, 1, 1) == (state.rejected, state.redriven, state.open_stops)

    async def test_without_it_a_resend_changes_nothing(self, rejection: Rejection) -> None:
        """Whatever number a worker names: the store knows of no permission."""
        for number in (0, 1, 2):
            assert rejection.first.decision == (await rejection.decide(redrive=number)).decision

    async def test_only_an_attempt_that_saw_it_uses_it(self, rejection: Rejection) -> None:
        """A zombie that began before it fails or succeeds late: the rejection stands, and so does the permission."""
        await rejection.grant()
        assert rejection.first.decision == (await rejection.decide(redrive=0)).decision
        assert rejection.first.decision == (await rejection.reject("view_sha256")).decision
        assert Outcome.DECIDED is (await rejection.decide(redrive=1)).outcome

    async def test_it_is_used_once(self, rejection: Rejection) -> None:
        """Two workers with the redriven message and its copy get the same bytes; a later failure changes nothing."""
        await rejection.grant()
        one, two = await asyncio.gather(rejection.decide(redrive=1), rejection.decide(redrive=1))
        assert (one.decision, one.sidelined) == (two.decision, two.sidelined)
        assert {True, False} == {one.created, two.created}
        assert one.decision == (await rejection.reject(redrive=1)).decision
        assert one.decision == (await rejection.decide(redrive=2)).decision
        assert 1 == (await rejection.site.store.state(rejection.site.name)).seq

    async def test_it_ends(self, rejection: Rejection) -> None:
        """What was not used in time is worth nothing; asking again renews it under the same number."""
        await rejection.grant()
        await rejection.site.advance(GRANT_MS + 1)
        assert rejection.first.decision == (await rejection.decide(redrive=1)).decision
        assert Permission(Answer.GRANTED, 0) == await rejection.grant()
        request = replace(rejection.request, decide_by_ms=rejection.site.now_ms() + HOUR_MS)
        decision = read(await rejection.site.store.decide(asking(request, Outcome.DECIDED, redrive=1)))
        assert (Outcome.DECIDED, 1) == (decision.outcome, len(decision.rejections))

    async def test_a_decision_past_its_deadline_is_undetermined_and_ends_the_chain(self, rejection: Rejection) -> None:
        """The redriven unit may have passed the diverter: then nothing is diverted, and nothing is redriven again."""
        await rejection.grant()
        late = replace(rejection.request, decide_by_ms=rejection.site.now_ms() - 1_000)
        decision = read(await rejection.site.store.decide(asking(late, Outcome.DECIDED, redrive=1)))
        assert (Outcome.UNDETERMINED, Divert.NONE, None, 1) == (
            decision.outcome,
            decision.divert,
            decision.seq,
            len(decision.rejections),
        )
        assert Answer.ANSWERED is (await rejection.grant()).answer


class TestLimit:
    """What fails again and again is poison."""

    async def test_each_failure_counts_and_the_chain_grows(self, rejection: Rejection) -> None:
        """After the limit there is no permission; every rejection is in the record, oldest first."""
        newest, reasons = rejection.first, ["view_missing"]
        for number in range(1, REDRIVE_LIMIT + 1):
            assert Permission(Answer.GRANTED, number - 1) == await rejection.grant(newest)
            newest = await rejection.reject(f"view_sha256_{number}", redrive=number)
            assert (True, number) == (newest.created, newest.redrives)
            assert reasons == [one.reason for one in read(newest).rejections]
            reasons.append(f"view_sha256_{number}")
        assert Permission(Answer.LIMIT, REDRIVE_LIMIT) == await rejection.grant(newest)
        assert newest.decision == (await rejection.decide(redrive=REDRIVE_LIMIT + 1)).decision

    async def test_the_last_try_may_succeed(self, rejection: Rejection) -> None:
        """The decision then holds the whole chain, and is still below 2 kB."""
        newest = rejection.first
        for number in range(1, REDRIVE_LIMIT):
            await rejection.grant(newest)
            newest = await rejection.reject(redrive=number)
        await rejection.grant(newest)
        record = await rejection.decide(redrive=REDRIVE_LIMIT)
        assert (Outcome.DECIDED, REDRIVE_LIMIT) == (record.outcome, len(read(record).rejections))
        assert len(record.decision) <= 2_048

    async def test_a_letter_of_an_earlier_rejection_gets_none(self, rejection: Rejection) -> None:
        """So redriving the same dead letter twice cannot use up two tries: the newer rejection has its own letter."""
        await rejection.grant()
        newest = await rejection.reject("view_sha256", redrive=1)
        assert Permission(Answer.SUPERSEDED, 1) == await rejection.grant()
        assert Permission(Answer.GRANTED, 1) == await rejection.grant(newest)


class TestRefusals:
    """Whatever cannot become a decision is not permitted."""

    async def test_answered(self, site: Trial) -> None:
        """A capture that was decided, or stayed undetermined, keeps its outcome."""
        decided = await site.decide()
        assert Answer.ANSWERED is (await site.store.redrive(site.name, rejected(decided))).answer

    async def test_unrecorded_and_other_content(self, rejection: Rejection) -> None:
        """No record, or the record of other bytes under the same id."""
        strange = Rejected(site_id(rejection.site), "0" * 64, rejection.first.decided_at)
        assert Answer.UNRECORDED is (await rejection.site.store.redrive(rejection.site.name, strange)).answer
        impostor = replace(rejected(rejection.first), digest="0" * 64)
        assert Answer.OTHER_CONTENT is (await rejection.site.store.redrive(rejection.site.name, impostor)).answer

    async def test_too_old(self, rejection: Rejection) -> None:
        """Not where the fences would refuse the capture before the permission ends."""
        await rejection.site.advance(rejection.site.config.horizon_ms - HOUR_MS - GRANT_MS + 1_000)
        assert Answer.TOO_OLD is (await rejection.grant()).answer

    async def test_an_unknown_site_and_another_store(self, rejection: Rejection) -> None:
        """Errors that name the fix, as everywhere."""
        with pytest.raises(Poison) as caught:
            await rejection.site.store.redrive("nowhere", rejected(rejection.first))
        assert Reason.UNKNOWN_SITE is caught.value.reason
        other = DecisionStore(rejection.site.url, store_id="another")
        with pytest.raises(Fatal):
            await other.redrive(rejection.site.name, rejected(rejection.first))
        await other.close()


class TestKills:
    """Ended after any step and begun again, by one command or two at once: exactly one decision."""

    @pytest.mark.parametrize("grants", [1, 2, 5])
    @pytest.mark.parametrize("deliveries", [1, 2, 4])
    async def test_any_number_of_grants_and_sends(self, rejection: Rejection, grants: int, deliveries: int) -> None:
        """A command killed between permission and send is run again; one killed after the send sends a second copy."""
        answers = await asyncio.gather(*(rejection.grant() for _ in range(grants)))
        assert {Permission(Answer.GRANTED, 0)} == set(answers)
        seen = await asyncio.gather(*(rejection.look() for _ in range(deliveries)))
        records = await asyncio.gather(*(rejection.decide(redrive=one.grant) for one in seen))
        assert 1 == len({(one.decision, one.sidelined) for one in records})
        assert 1 == sum(one.created for one in records)
        assert Answer.ANSWERED is (await rejection.grant()).answer

    async def test_two_commands_while_the_first_attempt_fails(self, rejection: Rejection) -> None:
        """The second command's copy arrives after the failure: it counts as one try, and the next may succeed."""
        await rejection.grant()
        await rejection.grant()
        failed = await rejection.reject("view_sha256", redrive=(await rejection.look()).grant)
        assert 0 == (await rejection.look()).grant
        assert failed.decision == (await rejection.decide(redrive=0)).decision
        await rejection.grant(failed)
        decision = read(await rejection.decide(redrive=2))
        assert ["view_missing", "view_sha256"] == [one.reason for one in decision.rejections]


class TestRestored:
    """A store that lost everything, or fell behind."""

    async def test_a_redriven_decision_comes_back_with_its_chain(self, rejection: Rejection) -> None:
        """The same bytes, and no permission is given for it any more."""
        await rejection.grant()
        record = await rejection.decide(redrive=1)
        await lose(rejection.site, rejection.request.capture_id)
        assert 1 == (await restore(rejection.site, [record], [])).outcomes
        found = await rejection.look()
        assert (record.decision, 1, 0) == (found.decision, found.redrives, found.grant)
        assert Answer.ANSWERED is (await rejection.grant()).answer

    async def test_a_rejection_comes_back_from_its_dead_letters(self, rejection: Rejection) -> None:
        """With the count of redrives: a lost store is no way round the limit, and a resend gets no decision."""
        await rejection.grant()
        newest = await rejection.reject("view_sha256", redrive=1)
        told = as_letters(rejection, [rejection.first, newest])
        await lose(rejection.site, rejection.request.capture_id)
        assert (0, 1) == ((one := await restore(rejection.site, [], [told])).outcomes, one.rejections)
        found = await rejection.look()
        assert (Outcome.REJECTED, "view_sha256", newest.decided_at, 1, newest.digest) == (
            found.outcome,
            found.reason,
            found.decided_at,
            found.redrives,
            found.digest,
        )
        assert found.decision == (await rejection.decide(redrive=0)).decision
        assert Answer.SUPERSEDED is (await rejection.grant()).answer
        assert Permission(Answer.GRANTED, 1) == await rejection.grant(newest)
        chain = read(await rejection.decide(redrive=2)).rejections
        assert [("view_missing", True), ("view_sha256", False)] == [
            (one.reason, one.redriven_at is None) for one in chain
        ]

    async def test_letters_of_what_was_decided_since_change_nothing(self, rejection: Rejection) -> None:
        """The decision on its topic is newer than every rejection."""
        await rejection.grant()
        record = await rejection.decide(redrive=1)
        await lose(rejection.site, rejection.request.capture_id)
        assert 0 == (await restore(rejection.site, [record], [as_letters(rejection, [rejection.first])])).rejections
        assert record.decision == (await rejection.look()).decision

    async def test_a_store_that_only_has_the_rejection_takes_the_decision(self, rejection: Rejection) -> None:
        """It fell behind by one call; a decision without a chain would be a second outcome, and is refused."""
        request = rejection.site.line.request(now_ms=rejection.site.now_ms())
        other = await rejection.site.store.decide(asking(request, Outcome.REJECTED, "no_picture"))
        await rejection.grant()
        key = rejection.site.keys.outcome(rejection.request.capture_id)
        kept = await rejection.site.redis.dump(key)
        assert kept is not None
        record = await rejection.decide(redrive=1)
        await rejection.site.redis.restore(key, 0, kept, replace=True)
        await restore(rejection.site, [record], [])
        found = await rejection.look()
        assert (record.decision, 0) == (found.decision, found.grant)
        without = record.decision.replace(record.capture_id.encode(), other.capture_id.encode())
        bare = replace(
            other, decision=without[: without.index(b',"rejections"')] + without[without.index(b',"decide_by"') :]
        )
        with pytest.raises(Fatal):
            await restore(rejection.site, [bare], [])


class TestLetters:
    """Dead letters without a recorded outcome are remembered by their place."""

    async def test_what_was_sent_again_is_known_for_a_while(self, site: Trial) -> None:
        """How often, for every client of the store."""
        letter = f"sideline.{site.name}.dead.v1:1:42"
        assert None is await site.store.resent(letter)
        for times in (1, 2):
            await site.store.note_resent(letter, keep_ms=60_000)
            found = await site.store.resent(letter)
            assert found is not None
            assert times == found.times
        left = await site.redis.pttl(f"sideline:resent:{letter}")
        assert 0 < left <= 60_000


def as_letters(rejection: Rejection, records: list[Record]) -> RejectedCapture:
    """Return what the dead letters of a capture's rejections tell."""
    decision = read(records[0])
    capture = Capture(
        capture_id=decision.capture_id,
        site=decision.site,
        line=decision.line,
        station=decision.station,
        unit_id=decision.unit_id,
        captured_at=decision.captured_at,
        views=[View(uri="file:///images/a.jpg", sha256="0" * 64, size=1)],
    )
    times = tuple((read(one).decided_at, one.reason) for one in records)
    return RejectedCapture(capture, rejection.request.digest, times)


async def lose(site: Trial, capture_id: str) -> None:
    """Lose an outcome."""
    assert 1 == await site.redis.delete(site.keys.outcome(capture_id))


async def restore(site: Trial, decided: list[Record], rejected_captures: list[RejectedCapture]) -> Restored:
    """Restore from what the topics have."""
    return await site.store.restore(
        site.name,
        ["line-1"],
        site.config,
        decisions=[one.decision for one in decided],
        sidelined=[one.sidelined for one in decided if one.sidelined],
        dispositions=[],
        rejected=rejected_captures,
    )


def site_id(site: Trial) -> str:
    """Return a capture id that no one used."""
    return new_uuid7(at_ms=site.now_ms(), random_bits=12345)
