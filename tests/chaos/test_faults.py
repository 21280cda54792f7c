"""How a run's faults are drawn."""

from __future__ import annotations

from itertools import pairwise

from tests.chaos.faults import ALONE, LASTS_S, Kind, drawn


class TestDrawn:
    """`drawn`."""

    def test_is_a_function_of_the_seed(self) -> None:
        """The same seed, the same faults; another seed, others; a later part is the same as in the whole."""
        assert drawn(30, 1) == drawn(30, 1)
        assert drawn(30, 1) != drawn(30, 2)
        assert drawn(30, 1)[10:20] == drawn(10, 1, first=10)

    def test_meets_every_kind_in_a_run_of_as_many(self) -> None:
        """A shuffled deck, dealt anew."""
        kinds = [fault.kind for fault in drawn(2 * len(Kind), 3)]
        assert sorted(Kind) == sorted(kinds[: len(Kind)]) == sorted(kinds[len(Kind) :])

    def test_keeps_apart_what_needs_the_line_to_itself(self) -> None:
        """Nothing happens while a store is lost or workers come and go."""
        for seed in range(20):
            faults = drawn(60, seed)
            for before, fault in pairwise(faults):
                assert not (fault.together and {before.kind, fault.kind} & ALONE)
            for fault in faults:
                shortest, longest = LASTS_S.get(fault.kind, (0.0, 0.0))
                assert shortest <= fault.lasts_s <= longest
