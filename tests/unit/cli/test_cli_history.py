"""A capture's history says where the capture stands, whatever became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from budget.trace import Effect, Trace
from cli.history.gather import Traces
from cli.history.moments import moments_of
from cli.history.render import plain
from cli.history.standing import RETENTION_MS, stand
from cli.history.stores import Stores
from cli.history.tell import history_of
from cli.history.timeline import Mark, Moment, Source
from cli.history.where import Where
from schemas.codec import encode, new_uuid7
from schemas.faults import Poison, Reason
from schemas.messages import Capture, Decision, Disposition, Message, Rejection, Scan, Sidelined, View
from schemas.words import Action, Divert, Outcome, Verdict
from streams.dead_letters import REDRIVES, headers_of
from streams.delivery import Delivery
from streams.positions import Position
from streams.topics import Entity, topic

SITE = "paper"
AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
AT_MS = round(AT.timestamp() * 1000)
ID = new_uuid7(at_ms=AT_MS, random_bits=7)
CAPTURES = topic(Entity.CAPTURES, SITE)
NOWHERE = Where("", "", "")
CAPTURE = Capture(
    capture_id=ID,
    site=SITE,
    line="line-1",
    station="station-1",
    unit_id="LPN-1",
    captured_at=AT,
    views=[View(uri="file:///pictures/1.jpg", sha256="0" * 64, size=1000)],
)
DECISION = Decision(
    capture_id=ID,
    site=SITE,
    line="line-1",
    station="station-1",
    unit_id="LPN-1",
    captured_at=AT,
    outcome=Outcome.DECIDED,
    action=Action.SIDELINE,
    divert=Divert.DAMAGE,
    reason="above_threshold",
    seq=41,
    score=3_910_000,
    threshold=2_000_000,
    decide_by=AT + timedelta(seconds=3),
    decided_at=AT + timedelta(milliseconds=300),
)
SIDELINED = Sidelined(
    capture_id=ID,
    site=SITE,
    line="line-1",
    station="station-1",
    unit_id="LPN-1",
    divert=Divert.DAMAGE,
    decide_by=DECISION.decide_by,
    decided_at=DECISION.decided_at,
)


def record(
    entity: Entity,
    value: Message | bytes,
    *,
    after_ms: int = 0,
    offset: int = 1234,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Delivery:
    """Make a record of partition 3, appended some time after the capture was."""
    raw = value if isinstance(value, bytes) else encode(value)
    return Delivery(topic(entity, SITE), 3, offset, ID.encode(), raw, tuple(headers), AT_MS + after_ms)


def dead_letter(of: Delivery, reason: Reason, *, after_ms: int = 500) -> Delivery:
    """Make the dead letter of a record."""
    headers = headers_of(of, Poison(reason, "said so"), worker="inspector-1")
    return record(Entity.DEAD, of.value or b"", after_ms=after_ms, offset=5, headers=headers)


def kept(decision: Decision = DECISION, sidelined: Sidelined | None = SIDELINED) -> Stores:
    """Return what the store says of a capture that it has decided."""
    stop = None if sidelined is None else encode(sidelined)
    return Stores(Trace(encode(decision), stop, {"digest": "ab" * 32, "token": "open"}), SITE)


def traces(
    *records: Delivery, stores: Stores | None = None, committed: int | None = 1240, capture: Capture | None = CAPTURE
) -> Traces:
    """Return the traces of the capture; its group has committed up to an offset of 1,300 on its partition."""
    found: dict[Entity, list[Delivery]] = {}
    for entity in Entity:
        if rows := [one for one in records if one.topic.split(".")[-2] == entity.value]:
            found[entity] = rows
    at: Mapping[tuple[str, int], Position] = {(CAPTURES, 3): Position(0, committed, 1300)}
    return Traces(ID, SITE, found, capture, stores or Stores(), at)


def words(found: Traces) -> str:
    """Return where the capture stands, as text."""
    return " | ".join(one.words for one in stand(found))


def told(found: Traces, source: Source) -> list[Moment]:
    """Return the moments of one source."""
    return [one for one in moments_of(found) if one.source is source]


DELIVERED = record(Entity.CAPTURES, CAPTURE)
SENT = record(Entity.DECISIONS, DECISION, after_ms=320)
STOPPED = record(Entity.SIDELINED, SIDELINED, after_ms=325)


class TestStanding:
    """Where it stands."""

    def test_an_answered_capture_is_answered_and_nothing_else(self) -> None:
        """A capture with its outcome on record and on the topics needs one sentence."""
        found = traces(DELIVERED, SENT, STOPPED, stores=kept())

        assert "decided: sideline, diverted for damage (above_threshold); on record, 1 time on the topic" == words(
            found
        )

    def test_an_unanswered_capture_before_the_committed_offset_is_lost(self) -> None:
        """The group will never read it again, so no outcome now means none ever."""
        found = traces(DELIVERED, committed=1240)

        assert "on the topic at captures-3@1234, committed offset is 1240, no outcome: LOST" == words(found)
        assert [Mark.WRONG] == [one.mark for one in stand(found)]

    def test_an_unanswered_capture_behind_the_committed_offset_waits(self) -> None:
        """Its turn is to come, and how many are in front of it is said."""
        assert "no outcome yet: waiting behind the head, 4 in front of it" in words(traces(DELIVERED, committed=1230))
        assert "no outcome yet: it is the head" in words(traces(DELIVERED, committed=1234))
        assert "no inspector ever committed" in words(traces(DELIVERED, committed=None))

    def test_a_store_that_is_away_is_no_proof_of_a_loss(self) -> None:
        """Whoever reads LOST must see that the store could not be asked."""
        found = traces(DELIVERED, stores=Stores(trouble="redis at here is away"))

        assert "LOST; redis at here is away" in words(found)
        assert "the decision store is no witness" in words(found)

    def test_a_refused_capture_has_its_reason(self) -> None:
        """A dead letter of exactly this record says why there is no outcome."""
        found = traces(DELIVERED, dead_letter(DELIVERED, Reason.TOO_OLD))

        assert "captures-3@1234 was refused: too_old, said so" == words(found)

    def test_a_dead_letter_of_another_record_excuses_nothing(self) -> None:
        """The record at 1234 is lost even if another one that names the capture was refused."""
        other = record(Entity.CAPTURES, b"{" + ID.encode(), offset=1235)

        assert "no outcome: LOST" in words(traces(DELIVERED, other, dead_letter(other, Reason.UNREADABLE)))

    def test_other_content_under_the_same_id_is_called_out(self) -> None:
        """Two stations with one id: the second must have been refused, and where it was not that is said."""
        twin = msgspec.structs.replace(CAPTURE, station="station-2", unit_id="LPN-2")
        second = record(Entity.CAPTURES, twin, after_ms=50, offset=1236)
        answered = (DELIVERED, SENT, STOPPED, second)

        assert "was refused for it" in words(traces(*answered, dead_letter(second, Reason.ID_REUSED), stores=kept()))
        assert "LOST" in words(traces(*answered, stores=kept()))
        assert ["OTHER CONTENT" in one.what for one in told(traces(*answered, stores=kept()), Source.CAPTURES)] == [
            False,
            True,
        ]

    def test_two_values_on_the_topic_break_p2(self) -> None:
        """Copies must be equal in key, value and CloudEvents headers."""
        other = record(Entity.DECISIONS, msgspec.structs.replace(DECISION, seq=42), after_ms=900)

        assert "its decision exists in 2 different values: P2 is broken" in words(
            traces(DELIVERED, SENT, other, STOPPED, stores=kept())
        )

    def test_what_was_sent_and_is_not_on_record_breaks_p4(self) -> None:
        """Emission before the record: the store knows nothing of it."""
        assert "that is not on record: its horizon is over, or P4 is broken" in words(traces(DELIVERED, SENT, STOPPED))

    def test_what_was_sent_otherwise_than_recorded_breaks_p3(self) -> None:
        """The record is what every emission repeats."""
        another = msgspec.structs.replace(DECISION, seq=42)

        assert "what was sent is not what is on record: P3 is broken" in words(
            traces(DELIVERED, SENT, STOPPED, stores=kept(another))
        )

    def test_a_recorded_answer_that_was_never_sent_is_lost_once_committed(self) -> None:
        """Acknowledged before delivery: decided, committed, and nobody was told."""
        lost, waits = traces(DELIVERED, stores=kept()), traces(DELIVERED, stores=kept(), committed=1234)

        assert "captures-3@1234 is committed (1240), and there is no decision: LOST" in words(lost)
        assert "and there is no sidelined event: LOST" in words(lost)
        assert "its decision is not on the topic yet: waiting" in words(waits)
        assert Mark.WRONG not in {one.mark for one in stand(waits)}

    def test_a_rejection_owes_a_dead_letter(self) -> None:
        """A rejected capture has no decision; its dead letter is what is looked for."""
        rejected = msgspec.structs.replace(
            DECISION, outcome=Outcome.REJECTED, action=Action.NONE, divert=Divert.NONE, reason="not_an_image"
        )
        stores = kept(rejected, None)

        assert "there is no dead letter: LOST" in words(traces(DELIVERED, stores=stores))
        assert "LOST" not in words(traces(DELIVERED, dead_letter(DELIVERED, Reason.NOT_AN_IMAGE), stores=stores))

    def test_a_capture_that_retention_took_is_told_from_one_that_never_was(self) -> None:
        """A decision outlives its capture by weeks; a young one without any capture is a decision about nothing."""
        old_id = new_uuid7(at_ms=round(time.time() * 1000) - RETENTION_MS - 60_000, random_bits=7)
        young_id = new_uuid7(at_ms=round(time.time() * 1000), random_bits=7)
        old, young = (replace(traces(SENT, STOPPED, stores=kept()), capture_id=one) for one in (old_id, young_id))

        assert {Mark.PLAIN} == {one.mark for one in stand(old)}
        assert "no readable record of it, though it has an answer" in words(young)
        assert "no readable record of it, and it has no answer" in words(replace(traces(), capture_id=old_id))

    def test_an_answer_after_its_deadline_is_none(self) -> None:
        """Consumers took silence for undetermined; the history says so."""
        late = record(Entity.DECISIONS, DECISION, after_ms=6_200)

        assert "sent 3200 ms after decide_by" in words(traces(DELIVERED, late, STOPPED, stores=kept()))


class TestMoments:
    """What happened, in order."""

    def test_a_redriven_capture_keeps_its_chain(self) -> None:
        """Rejected, permitted to be tried again, sent again, decided: each is a line, and nothing is wrong."""
        first = Rejection(reason="view_missing", rejected_at=AT, redriven_at=AT + timedelta(seconds=9))
        decided = msgspec.structs.replace(
            DECISION, rejections=[first], decided_at=AT + timedelta(seconds=10), decide_by=AT + timedelta(seconds=13)
        )
        again = record(Entity.CAPTURES, CAPTURE, after_ms=9_500, offset=1236, headers=[(REDRIVES, b"1")])
        found = traces(
            DELIVERED,
            dead_letter(DELIVERED, Reason.VIEW_MISSING),
            again,
            record(Entity.DECISIONS, decided, after_ms=10_100),
            STOPPED,
            stores=kept(decided),
        )

        assert [
            "recorded at first: rejected, view_missing",
            "permitted to be worked on once more",
        ] == [one.what for one in told(found, Source.STORE)[:2]]
        assert "sent again by a redrive" in told(found, Source.CAPTURES)[1].what
        assert {Mark.PLAIN} == {one.mark for one in stand(found)}

    def test_text_of_strangers_stays_on_its_line(self) -> None:
        """A forged line break in what a scanner read is an escape."""
        scan = Scan(
            scan_id="s",
            site=SITE,
            line="line-1",
            station="scanner-1",
            unit_id="LPN-1",
            scanned_at=AT,
            code="4006",
            symbology="EAN\n  +0  store  recorded: decided",
        )
        page = plain(history_of(traces(DELIVERED, record(Entity.SCANS, scan)), NOWHERE))

        assert ["scans", "captures"] == sorted((line.split()[1] for line in page.splitlines()[4:]), reverse=True)

    def test_all_sources_come_in_order_of_time(self) -> None:
        """Scan, delivery, record, emission and verdict are one line each."""
        scan = Scan(
            scan_id="s", site=SITE, line="line-1", station="scanner-1", unit_id="LPN-1", scanned_at=AT, code="4006"
        )
        verdict = Disposition(
            disposition_id="d", site=SITE, associate_id="anna", judged_at=AT, verdict=Verdict.DAMAGED, capture_id=ID
        )
        stores = Stores(kept().kept, SITE, {"d": Effect("settled", 1, 0)})
        found = traces(
            record(Entity.DISPOSITIONS, verdict, after_ms=2000),
            STOPPED,
            SENT,
            DELIVERED,
            record(Entity.SCANS, scan, after_ms=-200),
            stores=stores,
        )

        assert ["scans", "captures", "store", "decisions", "sidelined", "dispositions"] == [
            one.source.value for one in moments_of(found)
        ]
        assert "damaged by anna: settled, 1 tokens returned, 0 spent" == told(found, Source.DISPOSITIONS)[0].what

    def test_a_station_whose_clock_is_wrong_shows(self) -> None:
        """A step of an hour is told beside the delivery."""
        ahead = record(Entity.CAPTURES, msgspec.structs.replace(CAPTURE, captured_at=AT + timedelta(hours=1)))

        assert "captured_at is 3600 s ahead of the broker" in told(traces(ahead), Source.CAPTURES)[0].what

    def test_resends_and_copies_are_told_apart_from_other_values(self) -> None:
        """The same bytes again are harmless."""
        again = record(Entity.CAPTURES, CAPTURE, after_ms=900, offset=1236)
        copy = record(Entity.DECISIONS, DECISION, after_ms=950, offset=9)
        found = traces(DELIVERED, again, SENT, copy, STOPPED, stores=kept())

        assert "sent again, the same bytes" in told(found, Source.CAPTURES)[1].what
        assert "sent again (copy 2), equal bytes, as recorded" == told(found, Source.DECISIONS)[1].what
        assert {Mark.PLAIN} == {one.mark for one in moments_of(found)}

    def test_the_page_gives_times_from_the_first_delivery(self) -> None:
        """Milliseconds with a sign, in order, and long lines whole."""
        page = plain(history_of(traces(DELIVERED, SENT, STOPPED, stores=kept()), NOWHERE)).splitlines()

        assert [f"{ms:>+10}" for ms in (0, 300, 320, 325)] == [line[:10] for line in page[4:8]]
        assert f"capture {ID}, site {SITE}" == page[0]
