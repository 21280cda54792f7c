"""Which cleared captures become references, and which never do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.rules import Neighbour, Rules, Ruling, missing, rule
from gallery.seen import Look, Sighting
from gallery.thinning import thin
from tests.unit.gallery.looks import captured, cohort, design, judged, look, references

RULES = Rules(spread_s=2)
OLD, NEW = 1, 2
TORN = 12  # cells


def decide(sightings: list[Sighting], *, rules: Rules = RULES, held: list[Look] | None = None) -> Ruling:
    """Rule over a product whose references show the old design."""
    return rule(sightings, references(OLD) if held is None else held, cohort(), rules)


def redesign(count: int, **given_: str) -> list[Sighting]:
    """Return cleared captures of the new design."""
    return [judged(number, captured(design(NEW), number), **given_) for number in range(count)]  # type: ignore[arg-type]


class TestRedesign:
    """A new design gets in when enough people saw enough of it."""

    def test_enough_units_that_agree_are_enrolled(self) -> None:
        """A few of them, with the figures that the check found."""
        ruling = decide(redesign(6))

        assert RULES.enrolled == len(ruling.enrol)
        assert "agreement of 6 units" == ruling.why
        assert (6, 2, 0) == tuple(ruling.figures[name] for name in ("units", "associates", "probes_lost"))
        assert ruling.figures["standing_out_micro"] <= ruling.figures["standing_out_usual_micro"]

    def test_never_from_fewer_units(self) -> None:
        """Four captures are too few, and so are five of four units."""
        again = judged(9, captured(design(NEW), 9), unit_id="u-0")

        assert "4 of 5 units" == decide(redesign(4)).why
        assert () == decide([*redesign(4), again]).enrol

    def test_never_by_one_person(self) -> None:
        """Whoever clears everything alone enrols nothing."""
        assert "cleared by 1 of 2 associates" == decide(redesign(9, who="ann")).why

    def test_never_in_a_moment(self) -> None:
        """What was cleared within less time than the rule asks for has to wait."""
        assert "cleared within less than 60 s" == decide(redesign(6), rules=replace(RULES, spread_s=60)).why

    def test_the_first_look_of_a_product_counts(self) -> None:
        """A product without references learns its look from what people cleared."""
        assert decide(redesign(6), held=[]).enrol

    def test_a_damaged_unit_among_them_is_not_chosen(self) -> None:
        """One wrong clearing does not stop a redesign and does not get in."""
        wrong = judged(6, captured(design(NEW), 6, damaged=TORN))
        ruling = decide([*redesign(6), wrong])

        assert ruling.enrol
        assert wrong.look.reference_id not in ruling.enrol

    def test_damage_of_the_old_design_does_not_speak_against_it(self) -> None:
        """People find damaged units of the old design all the time."""
        damaged = [judged(20 + n, captured(design(OLD), 20 + n, damaged=TORN), cleared=False) for n in range(5)]

        ruling = decide([*redesign(6), *damaged])

        assert (True, 0) == (bool(ruling.enrol), ruling.figures["against"])

    def test_a_known_design_adds_nothing(self) -> None:
        """Captures that look like the references are no news, however many."""
        known = [judged(number, captured(design(OLD), number)) for number in range(9)]

        assert "as much like these captures" in decide(known).why

    def test_without_a_cohort_nothing_is_usual(self) -> None:
        """A gallery with too few products to compare with enrols nothing by itself."""
        ruling = rule(redesign(6), references(OLD), cohort((11, 12)), RULES)

        assert "say what is usual" in ruling.why

    def test_no_other_product_may_be_identified_worse(self) -> None:
        """What looks like another product's captures does not get in under this name."""
        mixed = design(15).copy()
        mixed[0, :110] = design(NEW)[0, :110]  # its newest captures show something of both
        lookalike = Neighbour("P-15", references(15), [look("seen", captured(mixed, 101))])
        ruling = rule(redesign(6), references(OLD), [*cohort(), lookalike], RULES)

        assert () == ruling.enrol
        assert "identified worse" in ruling.why


class TestPoison:
    """A damaged look never gets in."""

    @settings(max_examples=30, deadline=None)
    @given(st.integers(5, 10), st.integers(6, 60), st.integers(0, 10_000), st.sampled_from([OLD, NEW]))
    def test_a_run_of_damaged_units_is_not_enrolled(self, units: int, torn: int, seed: int, shown: int) -> None:
        """Cleared by two liars, in the old design or in a new one: each is torn elsewhere, and that stands out."""
        run = [judged(n, captured(design(shown), seed + n, damaged=torn)) for n in range(units)]

        assert () == decide(run).enrol

    def test_the_same_damage_again_and_again_is_not_enrolled_against_honest_verdicts(self) -> None:
        """A machine that dents every unit alike looks like a redesign; honest verdicts stop it."""
        dented = design(OLD).copy()
        dented[0, 40:140] = design(99)[0, 40:140]
        liars = [judged(n, captured(dented, n)) for n in range(6)]
        honest = [judged(10 + n, captured(dented, 10 + n), cleared=False) for n in range(5)]

        ruling = decide([*liars, *honest])

        assert () == ruling.enrol
        assert "found damaged or wrong" in ruling.why

    def test_damage_that_was_found_must_not_be_hidden(self) -> None:
        """One damaged unit that looks just like what would be enrolled is enough, even below the share."""
        enrolled = next(each for each in redesign(8) if each.look.reference_id in decide(redesign(8)).enrol)
        hidden = judged(9, enrolled.look.as_query(), cleared=False)

        assert "damage that people found would look intact" in decide([*redesign(8), hidden]).why

    def test_damage_of_the_new_design_that_stands_out_is_no_obstacle(self) -> None:
        """People find damaged units of the new design, too."""
        damaged = [judged(20 + n, captured(design(NEW), 20 + n, damaged=TORN), cleared=False) for n in range(4)]
        ruling = decide([*redesign(8), *damaged])

        assert (True, 4, 1_000_000) == (
            bool(ruling.enrol),
            ruling.figures["against"],
            ruling.figures["separation_micro"],
        )

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc"), st.booleans()), max_size=14))
    def test_what_is_enrolled_was_cleared_by_several_people(self, said: list[tuple[int, str, bool]]) -> None:
        """Whoever says what: without five cleared units and two associates nothing is enrolled."""
        sightings = [
            judged(number, captured(design(NEW), number), who=who, unit_id=f"u-{of}", cleared=cleared)
            for number, (of, who, cleared) in enumerate(said)
        ]
        cleared = [each for each in sightings if each.seen.cleared]
        ruling = decide(sightings)

        assert set(ruling.enrol) <= {each.look.reference_id for each in cleared}
        if len({each.seen.unit_id for each in cleared}) < 5 or len({each.seen.associate_id for each in cleared}) < 2:
            assert () == ruling.enrol
            assert missing([each.seen for each in cleared], RULES) is not None


class TestThin:
    """A product's references are bounded."""

    def test_near_duplicates_of_newer_ones_go(self) -> None:
        """Of two that are nearly the same the newer one stays."""
        newest = look("newest", captured(design(OLD), 1))
        double = look("double", captured(design(OLD), 1))
        other = look("other", captured(design(NEW), 2))

        assert ("double",) == thin([newest, other, double], RULES)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.integers(1, 4), min_size=1, max_size=14))
    def test_what_is_left_is_bounded_and_holds_the_newest(self, shown: list[int]) -> None:
        """Never more than allowed, never nothing, and each design keeps one."""
        rules = replace(RULES, max_references=4)
        given_ = [look(f"R-{n}", captured(design(each), 50 + n)) for n, each in enumerate(shown)]
        gone = thin(given_, rules)
        left = [(each, n) for n, each in enumerate(shown) if f"R-{n}" not in gone]

        assert 1 <= len(left) <= rules.max_references
        assert {each for each, _ in left} == set(shown)
        assert len(np.unique(gone)) == len(gone)
