"""The scenario `wrong-labels`: what a day with other products' labels is judged by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from booth.station import Sent
from booth.world import Truth
from budget.config import BudgetConfig
from cli.checker.findings import Finding, Rule
from cli.checker.reading import Emission, Reading
from cli.scenarios import SCENARIOS, Scenario
from cli.wrong_labels import FEWEST, Row, judged
from schemas.messages import Decision, Evidence, Identity, Sidelined
from schemas.words import Action, Divert, IdentityMethod, Outcome, Pattern, Severity
from streams.delivery import Delivery

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NOTHING = Delivery("topic", 0, 0, b"key", b"{}", (), 0)


class Day:
    """Decisions about units whose labels are known."""

    def __init__(self) -> None:
        """Start without any."""
        self.decisions: dict[str, Decision] = {}
        self.sent: dict[str, Sent] = {}
        self.claims = ["scan:A", "image:B"]

    def add(
        self,
        count: int,
        label: str,
        *,
        conflict: bool = False,
        divert: Divert = Divert.NONE,
        reason: str = "",
        **of: bool,
    ) -> None:
        """Add units with one label and one answer. `of`: `damaged`, `compared`."""
        for _ in range(count):
            key = f"c{len(self.sent)}"
            compared = of.get("compared", not conflict)
            self.decisions[key] = Decision(
                capture_id=key,
                site="s",
                line="l",
                station="st",
                unit_id=key,
                captured_at=NOW,
                identity=Identity(product_id="A", method=IdentityMethod.SCAN, conflict=conflict, claims=self.claims),
                evidence=Evidence(
                    pattern=Pattern.GALLERY_BY_CODE if compared else Pattern.CLASSIFIER,
                    classifier=0,
                    references=["R-1"] if compared else [],
                ),
                outcome=Outcome.DECIDED,
                action=Action.PASS if divert in {Divert.NONE, Divert.AUDIT} else Action.SIDELINE,
                divert=divert,
                reason=reason,
                decide_by=NOW,
                decided_at=NOW,
            )
            truth = Truth(
                of.get("damaged", False),
                (),
                Severity.NONE,
                "B",
                (),
                wrong_label=label != "right",
                facts={"label": label},
            )
            self.sent[key] = Sent(key, key, NOW, truth, NOW, len(self.sent))

    def judged(self) -> tuple[dict[str, Row], list[Finding]]:
        """Judge the day; return rows by their names."""
        sidelined = {
            key: [Emission(NOTHING, _event(one, self.claims))]
            for key, one in self.decisions.items()
            if one.divert is not Divert.NONE
        }
        decisions = {key: [Emission(NOTHING, one)] for key, one in self.decisions.items()}
        rows, findings = judged(Reading({}, decisions, sidelined, {}, {}, {}), self.sent)
        return {row[0].strip(): row for row in rows}, list(findings)


def _event(decision: Decision, claims: Iterable[str]) -> Sidelined:
    """Announce a divert."""
    return Sidelined(
        capture_id=decision.capture_id,
        site="s",
        line="l",
        station="st",
        unit_id=decision.unit_id,
        claims=list(claims),
        divert=decision.divert,
        decide_by=NOW,
        decided_at=NOW,
    )


@pytest.fixture
def day() -> Day:
    """A day on which all is as promised."""
    day = Day()
    day.add(1_000, "right")
    day.add(2, "right", conflict=True, divert=Divert.IDENTITY)
    day.add(30, "sticker", conflict=True, divert=Divert.IDENTITY)
    day.add(14, "print", conflict=True, divert=Divert.IDENTITY)
    day.add(1, "print", conflict=True, reason="identity_no_token")
    day.add(3, "print")
    day.add(2, "print", conflict=True, divert=Divert.DAMAGE, damaged=True)
    return day


class TestJudged:
    """Findings and rows."""

    def test_a_day_as_promised(self, day: Day) -> None:
        """Found, missed, withheld and called wrong are told apart, and nothing is found wanting."""
        rows, findings = day.judged()
        assert [] == findings
        assert ("47", "of 50: 30 of 30 with a sticker, 17 of 20 with the code in print wrong as well") == rows[
            "wrong labels found"
        ][1:]
        counts = {name: row[1] for name, row in rows.items()}
        assert "44" == counts["sent to a person as wrong items"]
        assert "2" == counts["sent to a person as damaged"]
        assert "1" == counts["withheld"]
        assert "3" == counts["wrong labels missed"]
        assert ("2", "of 1002; 2 of them went to a person") == rows["right labels called wrong"][1:]
        assert ("0", "of 48 intact units with a wrong label") == rows["damage alarms on wrong labels"][1:]

    def test_wrong_labels_that_nobody_finds(self, day: Day) -> None:
        """Fewer than the promised share is a broken promise."""
        day.add(15, "print")
        assert ["47 of 65 wrong labels were found, promised are 75%"] == [each.words for each in day.judged()[1]]

    def test_right_labels_that_are_doubted(self, day: Day) -> None:
        """More than one in two hundred is a broken promise, whether or not they went to a person."""
        day.add(5, "right", conflict=True, reason="identity_no_token")
        assert ["7 of 1007 right labels were called wrong, allowed are 0.5%"] == [
            each.words for each in day.judged()[1]
        ]

    def test_damage_seen_against_a_wrong_reference(self, day: Day) -> None:
        """Intact units that are stopped for damage because they are compared with another product."""
        day.add(6, "print", divert=Divert.DAMAGE)
        assert ["6 of 54 intact units with a wrong label were stopped for damage, allowed are 10%"] == [
            each.words for each in day.judged()[1]
        ]

    def test_references_in_a_conflict(self, day: Day) -> None:
        """Not one capture whose sources disagree may be compared with references."""
        day.add(1, "sticker", conflict=True, divert=Divert.IDENTITY, compared=True)
        (finding,) = day.judged()[1]
        assert finding.rule is Rule.WRONG_ITEMS
        assert "1 captures in conflict were compared with references: c1052" == finding.words

    def test_a_wrong_item_that_says_nothing(self, day: Day) -> None:
        """A person who is sent a wrong item must be told what disagrees."""
        day.claims = ["scan:A"]
        (finding,) = day.judged()[1]
        assert finding.words.startswith("46 wrong items were announced without what their sources say")

    def test_few_wrong_labels_prove_nothing(self) -> None:
        """A short run shows its numbers and is not judged by them."""
        day = Day()
        day.add(FEWEST - 1, "print")
        rows, findings = day.judged()
        assert [] == findings
        assert str(FEWEST - 1) == rows["wrong labels missed"][1]


class TestPlot:
    """How the scenario is played."""

    def test_the_station_has_room(self) -> None:
        """All wrong items and all damage of a day fit into what the station takes, so that neither hides the other."""
        config = SCENARIOS[Scenario.WRONG_LABELS].budget(BudgetConfig()).check()
        assert config.beta_ppm >= 50_000 + 40_000

    def test_one_unit_in_twenty_carries_another_label(self) -> None:
        """Counted on the plan of 2,000 captures, without a picture: those with another's code in print are half."""
        world = SCENARIOS[Scenario.WRONG_LABELS].world(7, 3_000)
        plain = SCENARIOS[Scenario.STEADY].world(7, 3_000)
        codes = [(world.plan(at).product.codes, plain.plan(at).product.codes) for at in range(2_000)]  # type: ignore[attr-defined]
        assert 30 <= sum(ours != theirs for ours, theirs in codes) <= 75
