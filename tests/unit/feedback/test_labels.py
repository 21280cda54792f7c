"""Verdicts joined to diverts: the first in time counts, everything else is known and counts for nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedback.labels import Heard, Truth, join, truth_of
from schemas.codec import decode
from schemas.messages import Disposition
from schemas.words import DamageKind, Divert, Severity, Verdict
from tests.unit.feedback.judged import SITE, START_MS, TIMEOUT_MS, said, stop

HOUR_S = 3600.0


class TestFirst:
    """Which verdict is the label."""

    def test_the_first_in_the_order_of_the_broker(self) -> None:
        """What people's clocks say does not matter, later ones revise."""
        one = stop()
        first, second = said(Verdict.SELLABLE, one, at_s=60), said(Verdict.SELLABLE, one, at_s=61)
        docket = join(SITE, [one], [first, second])
        assert (first, [second], False) == (docket.stops[0].first, docket.stops[0].later, docket.stops[0].contradicted)

    def test_the_timeout_counts_from_the_decision(self) -> None:
        """A millisecond before its end is in time, its end is not."""
        for ms, in_time in ((TIMEOUT_MS - 1, True), (TIMEOUT_MS, False)):
            one = stop()
            join(SITE, [one], [said(Verdict.DAMAGED, one, at_s=ms / 1000)])
            assert in_time is (one.first is not None)
            assert (not in_time) is bool(one.later)

    def test_a_verdict_in_time_counts_though_a_later_one_came_too_late(self) -> None:
        """The late one revises."""
        one = stop()
        early, late = said(Verdict.DAMAGED, one), said(Verdict.SELLABLE, one, at_s=9 * HOUR_S)
        join(SITE, [one], [early, late])
        assert (early, [late], True) == (one.first, one.later, one.contradicted)

    def test_a_capture_that_was_not_diverted_has_no_label(self) -> None:
        """Why it was looked at is not known."""
        passed = stop(Divert.NONE)
        docket = join(SITE, [passed], [said(Verdict.DAMAGED, passed)])
        assert ((), {"elsewhere": 1}) == (docket.stops, docket.left_out)

    def test_a_decision_that_comes_twice_is_one_stop(self) -> None:
        """Delivery is at least once."""
        one, again = stop(), stop()
        again.decision = one.decision
        docket = join(SITE, [one, again], [said(Verdict.DAMAGED, one)])
        assert [one] == list(docket.stops)
        assert one.first is not None


class TestByUnit:
    """A verdict on a unit."""

    def test_settles_all_that_is_open(self) -> None:
        """Damage and identity stops of one unit alike."""
        both = [stop(unit_id="u", at_s=0), stop(Divert.IDENTITY, unit_id="u", at_s=5)]
        one = said(Verdict.WRONG_ITEM, unit_id="u")
        join(SITE, both, [one])
        assert [one, one] == [each.first for each in both]

    def test_does_not_speak_of_a_stop_that_came_after_it(self) -> None:
        """Tote positions are used again."""
        before, after = stop(unit_id="u", at_s=0), stop(unit_id="u", at_s=100)
        join(SITE, [before, after], [said(Verdict.SELLABLE, unit_id="u", at_s=60)])
        assert before.first is not None
        assert (None, []) == (after.first, after.later)

    def test_revises_the_newest_where_none_is_open(self) -> None:
        """As the store does it."""
        older, newer = stop(unit_id="u", at_s=0), stop(unit_id="u", at_s=5)
        first = said(Verdict.SELLABLE, unit_id="u")
        second = said(Verdict.DAMAGED, unit_id="u", at_s=70)
        join(SITE, [newer, older], [first, second])
        assert ([], [second]) == (older.later, newer.later)

    def test_the_capture_goes_before_the_unit(self) -> None:
        """A verdict that names both is about the capture."""
        one, other = stop(unit_id="u"), stop(unit_id="u")
        join(SITE, [one, other], [said(Verdict.SELLABLE, one, unit_id="u")])
        assert (True, False) == (one.first is not None, other.first is not None)


class TestLeftOut:
    """Dispositions that settle nothing."""

    def test_a_redelivery_is_no_second_verdict(self) -> None:
        """The same disposition again."""
        one = stop()
        once = said(Verdict.DAMAGED, one)
        docket = join(SITE, [one], [once, Heard(once.disposition, once.append_ms + 5)])
        assert ([], {"repeated": 1}) == (one.later, docket.left_out)

    def test_an_id_that_is_used_for_something_else_is_refused(self) -> None:
        """As at the settler, where it becomes a dead letter; the first keeps its effect."""
        one = stop()
        once = said(Verdict.DAMAGED, one)
        forged = Heard(msgspec.structs.replace(once.disposition, verdict=Verdict.SELLABLE), once.append_ms + 5)
        docket = join(SITE, [one], [once, forged])
        assert (once, [], {"refused": 1}) == (one.first, one.later, docket.left_out)

    @pytest.mark.parametrize(
        "changes", [{"site": "other"}, {"verdict": Verdict.UNKNOWN}, {"capture_id": None}], ids=str
    )
    def test_what_the_settler_refuses_is_refused(self, changes: dict[str, Any]) -> None:
        """Another site, a verdict of tomorrow, no subject; and its id stays free."""
        one = stop()
        bad = said(Verdict.SELLABLE, one)
        bad = Heard(msgspec.structs.replace(bad.disposition, **changes), bad.append_ms)
        good = said(Verdict.DAMAGED, one, disposition_id=bad.disposition.disposition_id)
        docket = join(SITE, [one], [bad, good])
        assert (good, {"refused": 1}) == (one.first, docket.left_out)


class TestContradiction:
    """Verdicts that cannot all be true."""

    @pytest.mark.parametrize(
        ("verdicts", "contradicted"),
        [
            ([Verdict.DAMAGED, Verdict.DAMAGED], False),
            ([Verdict.DAMAGED, Verdict.SELLABLE], True),
            ([Verdict.SELLABLE, Verdict.WRONG_ITEM], True),
            ([Verdict.UNSURE, Verdict.DAMAGED], False),
            ([Verdict.SELLABLE, Verdict.UNSURE], False),
        ],
    )
    def test_between_people(self, verdicts: list[Verdict], contradicted: bool) -> None:
        """Whoever is unsure contradicts nobody."""
        one = stop()
        join(SITE, [one], [said(verdict, one, at_s=place) for place, verdict in enumerate(verdicts)])
        assert contradicted is one.contradicted

    @pytest.mark.parametrize("changes", [{"kinds": [DamageKind.SPILLAGE]}, {"severity": Severity.MINOR}])
    def test_within_one_verdict(self, changes: dict[str, Any]) -> None:
        """Sellable, and damaged all the same."""
        one = stop()
        join(SITE, [one], [said(Verdict.SELLABLE, one, **changes)])
        assert one.contradicted


class TestTruth:
    """What a verdict says of damage."""

    @pytest.mark.parametrize(
        ("fields", "truth"),
        [
            (
                {"verdict": "damaged", "kinds": ["spillage", "deformation"], "severity": "major"},
                Truth(True, frozenset({DamageKind.SPILLAGE, DamageKind.DEFORMATION}), Severity.MAJOR),
            ),
            ({"verdict": "damaged"}, Truth(True, frozenset(), Severity.UNKNOWN)),
            ({"verdict": "damaged", "severity": "none"}, Truth(True, frozenset(), Severity.UNKNOWN)),
            (
                {"verdict": "damaged", "kinds": ["scorched", "spillage"], "severity": "catastrophic"},
                Truth(True, frozenset({DamageKind.SPILLAGE}), Severity.UNKNOWN),
            ),
            ({"verdict": "sellable", "kinds": ["spillage"]}, Truth(False)),
            ({"verdict": "wrong_item"}, Truth(None, frozenset(), Severity.UNKNOWN)),
            ({"verdict": "unsure"}, Truth(None, frozenset(), Severity.UNKNOWN)),
        ],
    )
    def test_as_it_travels(self, fields: dict[str, object], truth: Truth) -> None:
        """From bytes: kinds and severities of tomorrow are read as unknown and left out."""
        head = {"disposition_id": "d", "site": SITE, "associate_id": "a", "judged_at": "2026-11-20T10:00:00Z"}
        assert truth == truth_of(decode(Disposition, msgspec.json.encode({**head, "capture_id": None, **fields})))


def test_times_are_whole_milliseconds() -> None:
    """A stop's end is the store's own sum."""
    assert START_MS + 1_500 + TIMEOUT_MS == stop(at_s=1.5).open_until_ms
