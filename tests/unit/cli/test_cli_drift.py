"""What the scenario `drift` says at the end, and when it fails."""

from __future__ import annotations

from datetime import UTC, datetime

from booth.station import Sent
from booth.world import Truth
from cli.checker.findings import Finding
from cli.checker.reading import Emission, Reading
from cli.drift import Row, judge_drift
from schemas.messages import Decision
from schemas.words import MICRO, Action, Divert, Outcome, Severity
from streams.delivery import Delivery

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
CAPTURES = 1_200


class Day:
    """A day of captures in good light, fading light and poor light."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self.decisions: dict[str, list[Emission[Decision]]] = {}

    def play(self, light: str, count: int, *, stopped: int, score: float, withheld: int = 0) -> None:
        """Add intact captures with one score, so many of them stopped and so many withheld."""
        for number in range(count):
            index = len(self.sent)
            name = f"c-{index}"
            truth = Truth(False, (), Severity.NONE, "P", (), facts={"faded": light})
            self.sent[name] = Sent(name, f"u-{index}", AT, truth, AT, index)
            decision = Decision(
                capture_id=name,
                site="s",
                line="l",
                station="t",
                unit_id=f"u-{index}",
                captured_at=AT,
                outcome=Outcome.DECIDED,
                action=Action.SIDELINE if number < stopped else Action.PASS,
                divert=Divert.DAMAGE if number < stopped else Divert.NONE,
                withheld=stopped <= number < stopped + withheld,
                score=round(score * MICRO),
                threshold=round((score + 1) * MICRO),
                decide_by=AT,
                decided_at=AT,
            )
            self.decisions[name] = [Emission(Delivery("t", 0, index, b"", b"", (), 0), decision)]

    def judged(self) -> tuple[list[Row], list[str]]:
        """Return the rows, and what was not as promised, at an alpha of 2 %."""
        reading = Reading({}, self.decisions, {}, {}, {}, {})
        rows, findings = judge_drift(reading, self.sent, alpha_ppm=20_000, captures=CAPTURES)
        assert all(isinstance(finding, Finding) for finding in findings)
        return list(rows), [finding.words for finding in findings]


def day(*, after: int = 9, score: float = -6.0, withheld: int = 0) -> Day:
    """Return a day on which so many of 500 intact units were stopped after the light had faded."""
    made = Day()
    made.play("no", 400, stopped=8, score=-8.0)
    made.play("fading", 100, stopped=4, score=-7.0)
    made.play("yes", 100, stopped=3, score=score)
    made.play("yes", 500, stopped=after, score=score, withheld=withheld)
    return made


class TestDrift:
    """judge_drift."""

    def test_a_day_on_which_the_threshold_followed(self) -> None:
        """Rates before, while and after; and what a threshold left where it was would have done."""
        rows, findings = day().judged()
        assert [] == findings
        told = {row[0]: row[1] for row in rows}
        assert "+2.00" == told["scores of intact units moved"]
        assert ("8 of 400 (2.0%)", "9 of 500 (1.8%)") == (told["false alarms before"], told["  after"])
        assert "7 of 200 (3.5%)" == told["  while it faded"]
        assert "100.0%" == told["a threshold left where it was"]

    def test_too_many_or_too_few_alarms_after_it_fail_the_run(self) -> None:
        """Alpha is 2 %: five percent is a flood, none at all is a threshold that ran away."""
        assert "25 of 500 (5.0%) false alarms after the drift, alpha is 2.0%" in day(after=25).judged()[1]
        assert "0 of 500 (0.0%) false alarms after the drift, alpha is 2.0%" in day(after=0).judged()[1]

    def test_a_threshold_that_stays_too_low_fails_the_run(self) -> None:
        """The cap holds its alarms, but it goes on asking without a token."""
        assert ["60 of 500 captures after the drift asked without a token"] == day(withheld=60).judged()[1]

    def test_scores_that_did_not_move_try_nothing(self) -> None:
        """A scenario that changes nothing proves nothing."""
        assert ["the scores of intact units did not move: nothing was tried"] == day(score=-8.1).judged()[1]

    def test_a_run_that_ends_too_early_says_so(self) -> None:
        """There is no after to speak of."""
        made = Day()
        made.play("no", 400, stopped=8, score=-8.0)
        assert ["the run ended before the light had faded: play more captures"] == made.judged()[1]
