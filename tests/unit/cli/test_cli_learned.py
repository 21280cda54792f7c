"""What the scenarios `redesign` and `poison` say at the end, and when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from booth.changes import POISON_MARK
from booth.station import Sent
from booth.world import Truth
from cli.checker.findings import Finding
from cli.checker.reading import Emission, FirstVerdict, Reading
from cli.learned import Row, judge_poison, judge_redesign
from gallery.facts import Facts, State
from schemas.messages import Decision
from schemas.words import Action, Divert, Outcome, Severity, Verdict
from streams.delivery import Delivery

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
Told = tuple[tuple[Row, ...], tuple[Finding, ...]]


class Day:
    """A day of captures, one a second, written down as the topics would say it."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.sent: dict[str, Sent] = {}
        self.decisions: dict[str, list[Emission[Decision]]] = {}
        self.verdicts: dict[str, list[FirstVerdict]] = {}

    def play(
        self, count: int, *, stopped: int, damaged: bool = False, verdict: Verdict | None = None, product: str = "P"
    ) -> None:
        """Add marked captures of product P, so many of them stopped."""
        for number in range(count):
            index = len(self.sent)
            name, at = f"c-{index}", START + timedelta(seconds=index)
            truth = Truth(damaged, (), Severity.NONE, product, (), facts={self.mark: "yes"})
            self.sent[name] = Sent(name, f"u-{index}", at, truth, at, index)
            decision = Decision(
                capture_id=name,
                site="s",
                line="l",
                station="t",
                unit_id=f"u-{index}",
                captured_at=at,
                outcome=Outcome.DECIDED,
                action=Action.SIDELINE if number < stopped else Action.PASS,
                divert=Divert.DAMAGE if number < stopped else Divert.NONE,
                decide_by=at,
                decided_at=at,
            )
            self.decisions[name] = [Emission(Delivery("t", 0, index, b"", b"", (), 0), decision)]
            if verdict is not None and number < stopped:
                self.verdicts[name] = [FirstVerdict(verdict, 0)]

    def reading(self) -> Reading:
        """Return what was read back."""
        return Reading({}, self.decisions, {}, self.verdicts, {}, {})


def reference(after_s: int, *, capture_id: str = "elsewhere", state: State = State.TRUSTED) -> dict[str, Facts]:
    """Return one reference of the product, learned so long after the start."""
    at_ms = round((START.timestamp() + after_s) * 1000)
    facts = Facts("P", "verdict", 0, (), capture_id=capture_id).moved(state, at_ms=at_ms, why="test")
    return {f"capture.{capture_id}": facts}


def words(told: Told) -> Sequence[str]:
    """Return what was not as promised."""
    return [each.words for each in told[1]]


class TestRedesign:
    """judge_redesign."""

    def test_a_day_on_which_it_was_learned(self) -> None:
        """False alarms are counted before and after the new design was learned."""
        day = Day("turned")
        day.play(40, stopped=20)
        day.play(60, stopped=3)
        told = judge_redesign(day.reading(), day.sent, reference(40))

        assert [] == words(told)
        assert ["1 of 1", "20 of 40 (50 %)", "3 of 60 (5 %)"] == [row[1] for row in told[0]]

    def test_alarms_that_did_not_fall(self) -> None:
        """A new reference that helps nobody is no success."""
        day = Day("turned")
        day.play(40, stopped=20)
        day.play(60, stopped=29)

        assert (
            "fell from 20 of 40 (50 %) to 29 of 60 (48 %) only"
            in words(judge_redesign(day.reading(), day.sent, reference(40)))[0]
        )

    @pytest.mark.parametrize("state", [State.CANDIDATE, State.WITHDRAWN, State.RETIRED])
    def test_a_design_that_was_not_learned(self, state: State) -> None:
        """Candidates and withdrawn references have taught nobody."""
        day = Day("turned")
        day.play(100, stopped=50)
        said = words(judge_redesign(day.reading(), day.sent, reference(40, state=state)))

        assert ["the new design of P was not learned after 50 false alarms", "no new design was learned"] == said[:2]

    def test_a_design_that_caused_few_alarms_need_not_be_learned(self) -> None:
        """There was nothing to learn from, as long as another one was learned."""
        day = Day("turned")
        day.play(40, stopped=20)
        day.play(60, stopped=0)
        day.play(30, stopped=14, product="Q")

        assert [] == words(judge_redesign(day.reading(), day.sent, reference(40)))

    def test_a_damaged_reference(self) -> None:
        """What got in must be whole."""
        day = Day("turned")
        day.play(40, stopped=20)
        day.play(1, stopped=1, damaged=True)
        day.play(60, stopped=3)

        assert ["1 references show damaged units: capture.c-40"] == words(
            judge_redesign(day.reading(), day.sent, reference(40, capture_id="c-40"))
        )


class TestPoison:
    """judge_poison."""

    @pytest.fixture
    def day(self) -> Day:
        """A run of damaged units, some of them cleared."""
        day = Day(POISON_MARK)
        day.play(40, stopped=20, damaged=True, verdict=Verdict.SELLABLE)
        day.play(40, stopped=18, damaged=True, verdict=Verdict.DAMAGED)
        return day

    def test_a_day_on_which_it_was_refused(self, day: Day) -> None:
        """Damage is found as before, and nothing of it is a reference."""
        told = judge_poison(day.reading(), day.sent, reference(5, capture_id="c-3", state=State.CANDIDATE))

        assert [] == words(told)
        assert ["80", "0", "20 of 40 (50 %)", "18 of 40 (45 %)"] == [row[1] for row in told[0]]

    def test_a_poisoned_gallery(self, day: Day) -> None:
        """One damaged unit among the references is enough to fail."""
        assert ["1 references show damaged units: capture.c-3"] == words(
            judge_poison(day.reading(), day.sent, reference(5, capture_id="c-3"))
        )

    def test_damage_that_is_found_no_more(self, day: Day) -> None:
        """That is what a poisoned gallery does, whatever its records say."""
        day.play(80, stopped=0, damaged=True)

        assert "damage found fell from 38 of 80 (48 %) to 0 of 80 (0 %)" in words(
            judge_poison(day.reading(), day.sent, {})
        )

    def test_no_attack_proves_nothing(self) -> None:
        """Where nobody lied there was nothing to refuse."""
        day = Day(POISON_MARK)
        day.play(80, stopped=40, damaged=True, verdict=Verdict.DAMAGED)

        assert "that is no attack" in words(judge_poison(day.reading(), day.sent, {}))[0]
