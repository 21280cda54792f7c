"""The plan of a restore: what every verdict did, from the topics alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from budget.config import BudgetConfig
from budget.restore import Plan, RestoredOutcome, check_seq, sidelined_again
from schemas.codec import decode, new_uuid7
from schemas.faults import Fatal
from schemas.messages import Decision, Disposition, Sidelined
from schemas.words import Action, Divert, Outcome, Verdict

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TIMEOUT = timedelta(hours=8)


def diverted(seq: int, *, divert: Divert = Divert.DAMAGE, unit_id: str = "u", minute: int = 0) -> Decision:
    """Return a decision that sent a unit to a person."""
    return Decision(
        capture_id=new_uuid7(at_ms=1_763_700_000_000, random_bits=seq),
        site="s",
        line="l",
        station="st",
        unit_id=unit_id,
        captured_at=NOW,
        outcome=Outcome.DECIDED,
        action=Action.SIDELINE,
        divert=divert,
        seq=seq,
        config_version=4,
        decide_by=NOW,
        decided_at=NOW + timedelta(minutes=minute),
    )


def judged(
    name: str, verdict: Verdict, *, capture_id: str | None = None, unit_id: str | None = None, after_h: float
) -> bytes:
    """Return a disposition's bytes."""
    return msgspec.json.encode(
        Disposition(
            disposition_id=name,
            site="s",
            associate_id="a",
            judged_at=NOW + timedelta(hours=after_h),
            verdict=verdict,
            capture_id=capture_id,
            unit_id=unit_id,
        )
    )


def plan(decisions: list[Decision], dispositions: list[bytes]) -> tuple[Plan, list[RestoredOutcome]]:
    """Return the plan with all its outcomes."""
    made = Plan(BudgetConfig(), sidelined=[], dispositions=dispositions)
    return made, list(made.outcomes(msgspec.json.encode(one) for one in decisions))


class TestTokens:
    """The first verdict in time closes a stop."""

    @pytest.mark.parametrize(
        ("divert", "verdict", "token"),
        [
            (Divert.DAMAGE, Verdict.DAMAGED, "returned"),
            (Divert.DAMAGE, Verdict.UNSURE, "spent"),
            (Divert.IDENTITY, Verdict.WRONG_ITEM, "returned"),
            (Divert.AUDIT, Verdict.DAMAGED, "judged"),
        ],
    )
    def test_it_says_where_the_token_went(self, divert: Divert, verdict: Verdict, token: str) -> None:
        """As the live store does."""
        stop = diverted(1, divert=divert)
        _, (outcome,) = plan([stop], [judged("d", verdict, capture_id=stop.capture_id, after_h=1)])
        assert token == outcome.token

    def test_without_a_verdict_it_is_open(self) -> None:
        """Also when the only one came too late or was unknown."""
        stop = diverted(1)
        late = judged("d", Verdict.DAMAGED, capture_id=stop.capture_id, after_h=8.1)
        unknown = judged("e", Verdict.UNKNOWN, capture_id=stop.capture_id, after_h=1)
        assert ["open", "open", "open"] == [
            plan([stop], dispositions)[1][0].token for dispositions in ([], [late], [unknown])
        ]

    def test_the_earlier_verdict_wins_and_the_later_revises(self) -> None:
        """In whatever order the topic's partitions are read."""
        stop = diverted(1)
        made, (outcome,) = plan(
            [stop],
            [
                judged("late", Verdict.DAMAGED, capture_id=stop.capture_id, after_h=2),
                judged("first", Verdict.SELLABLE, capture_id=stop.capture_id, after_h=1),
            ],
        )
        answers = {name: answer.split(" ")[1:] for name, answer in made.answers()}
        assert "spent" == outcome.token
        assert ["settled", "0", "1", stop.capture_id] == answers["first"]
        assert ["revised", "0", "0", stop.capture_id] == answers["late"]

    def test_a_verdict_by_unit_closes_the_stops_before_it(self) -> None:
        """A stop of the same tote that came later stays open."""
        before, after = diverted(1, unit_id="tote"), diverted(2, unit_id="tote", minute=90)
        other = diverted(3, unit_id="tote-2")
        made, outcomes = plan([before, after, other], [judged("d", Verdict.DAMAGED, unit_id="tote", after_h=1)])
        assert ["returned", "open", "open"] == [one.token for one in outcomes]
        assert [["settled", "1", "0", before.capture_id]] == [answer.split(" ")[1:] for _, answer in made.answers()]

    def test_what_was_not_diverted_has_no_token(self) -> None:
        """Its verdict is a label."""
        passed = diverted(1, divert=Divert.NONE)
        made, (outcome,) = plan([passed], [judged("d", Verdict.DAMAGED, capture_id=passed.capture_id, after_h=1)])
        assert ("", b"") == (outcome.token, outcome.sidelined)
        assert [["label", "0", "0", passed.capture_id]] == [answer.split(" ")[1:] for _, answer in made.answers()]


class TestPlan:
    """What else the topics tell."""

    def test_the_highest_seq_and_configuration_are_remembered(self) -> None:
        """In whatever order decisions come."""
        made, _ = plan([diverted(7), diverted(3)], [])
        assert (7, 4) == (made.seq, made.config_version)

    def test_published_sidelines_are_kept_byte_for_byte(self) -> None:
        """Only missing ones are rendered again."""
        first, second = diverted(1), diverted(2)
        published = sidelined_again(first).replace(b'"divert"', b'"kinds":["spillage"],"divert"')
        made = Plan(BudgetConfig(), sidelined=[published], dispositions=[])
        kept, rendered = made.outcomes([msgspec.json.encode(first), msgspec.json.encode(second)])
        assert published == kept.sidelined
        event = decode(Sidelined, rendered.sidelined)
        assert (second.capture_id, Divert.DAMAGE, 2) == (event.capture_id, event.divert, event.seq)


class TestCheckSeq:
    """A store behind its topic must not decide."""

    def test_behind_is_refused_level_and_ahead_are_not(self) -> None:
        """Ahead is normal: recorded, not yet published."""
        check_seq(5, 5)
        check_seq(6, 5)
        with pytest.raises(Fatal, match="sideline restore"):
            check_seq(4, 5)
