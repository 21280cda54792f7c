"""What may be sent to the decision store."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from budget.heads import render_head
from budget.sample import Line
from schemas.codec import decode
from schemas.faults import Poison, Reason
from schemas.messages import Decision, DecisionHead
from schemas.words import Outcome

NOW_MS = 1_763_700_000_000


class TestRequest:
    """Refuses what the script must never see."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"site": "a{b}"},
            {"site": "a:b"},
            {"line": ""},
            {"unit_id": "x" * 65},
            {"unit_id": "tote\n"},
            {"capture_id": "01a1fd16-5d17-4d8e-91b7-584a2265b1f5"},
            {"capture_id": "01A1FD16-5D17-7D8E-91B7-584A2265B1F5"},
        ],
    )
    def test_ids_that_no_one_may_use_are_poison(self, changes: dict[str, Any]) -> None:
        """They came with the message, so the message ends as a dead letter."""
        request = Line("site").request(now_ms=NOW_MS)
        with pytest.raises(Poison) as caught:
            dataclasses.replace(request, **changes)
        assert Reason.UNREADABLE is caught.value.reason

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"ask": Outcome.UNKNOWN}, "cannot ask"),
            ({"score": None}, "needs a score"),
            ({"score": 10**9 + 1}, "within"),
            ({"fusion_version": ""}, "fusion version"),
            ({"ask": Outcome.REJECTED}, "needs a reason"),
            ({"reason": "x" * 513}, "512"),
            ({"audit_draw_ppm": 1_000_000}, "audit_draw_ppm"),
            ({"decide_by_ms": 253_402_300_800_000}, "9999"),
            ({"decide_by_ms": -1}, "9999"),
            ({"digest": "F" * 64}, "SHA-256"),
            ({"decision_head": b"[]"}, "head"),
            ({"sidelined_head": b""}, "head"),
            ({"decision_head": b'{"x":"' + b"x" * 65_536}, "head"),
        ],
    )
    def test_what_only_a_mistake_of_ours_produces_is_a_value_error(self, changes: dict[str, Any], message: str) -> None:
        """It must not become a dead letter that blames the station."""
        request = Line("site").request(now_ms=NOW_MS)
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(request, **changes)


class TestHead:
    """The part of a decision that the inspector writes."""

    def test_a_head_and_a_tail_make_a_decision(self) -> None:
        """The head lacks its closing brace and every empty field."""
        captured_at = datetime(2026, 11, 20, 8, 0, 0, 125_000, tzinfo=timezone(timedelta(hours=2)))
        capture_id = "01a1fd16-5d17-7d8e-91b7-584a2265b1f5"
        head = render_head(
            DecisionHead(capture_id=capture_id, site="s", line="l", station="st", unit_id="u", captured_at=captured_at)
        )
        assert (
            b'{"capture_id":"' + capture_id.encode() + b'","site":"s","line":"l","station":"st","unit_id":"u",'
            b'"captured_at":"2026-11-20T06:00:00.125000Z"'
        ) == head
        times = b'"decide_by":"2026-11-20T06:00:03Z","decided_at":"2026-11-20T06:00:01Z"'
        decision = decode(Decision, head + b',"outcome":"undetermined","action":"none",' + times + b"}")
        assert (Outcome.UNDETERMINED, captured_at.astimezone(UTC)) == (decision.outcome, decision.captured_at)
