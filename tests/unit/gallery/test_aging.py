"""References fade when they have long been nobody's nearest, and recover when they are again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gallery.aging import Patience, age
from gallery.facts import HISTORY, Facts, State

PATIENCE = Patience(captures=100, seconds=10)
NOW_MS = 1_000_000


def facts(state: State = State.TRUSTED, since_ms: int = 0) -> Facts:
    """Return facts of a reference that came to its state at a time."""
    return Facts("P-1", "booth", 0, ()).moved(state, at_ms=since_ms, why="test")


def states(held: dict[str, Facts], last: dict[str, tuple[int, int]], *, compared: int = 1_000) -> dict[str, State]:
    """Age and return the new states only."""
    found = age(held, last, compared=compared, now_ms=NOW_MS, patience=PATIENCE)
    return {key: state for key, (state, _) in found.items()}


class TestAge:
    """age."""

    def test_long_unused_ones_fade(self) -> None:
        """Both limits have to be passed: captures and time."""
        held = {"new": facts(), "old": facts()}

        assert {"old": State.FADING} == states(held, {"new": (1_000, NOW_MS), "old": (900, NOW_MS - 10_000)})
        assert {} == states(held, {"new": (1_000, NOW_MS), "old": (901, NOW_MS - 10_000)})
        assert {} == states(held, {"new": (1_000, NOW_MS), "old": (900, NOW_MS - 9_999)})

    def test_fading_ones_retire_after_twice_as_long(self) -> None:
        """Not before."""
        held = {"new": facts(), "old": facts(State.FADING, since_ms=NOW_MS)}

        assert {"old": State.RETIRED} == states(held, {"old": (800, NOW_MS - 20_000)})
        assert {} == states(held, {"old": (801, NOW_MS - 20_000)})

    def test_fading_ones_recover(self) -> None:
        """One that is the nearest again is trusted again."""
        held = {"new": facts(), "old": facts(State.FADING, since_ms=500)}

        assert {"old": State.TRUSTED} == states(held, {"old": (999, 501)})

    def test_one_without_a_mark_stays(self) -> None:
        """Nobody has counted yet."""
        assert {} == states({"new": facts(), "old": facts()}, {})

    @given(
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.tuples(st.sampled_from([State.TRUSTED, State.FADING]), st.integers(0, 2_000), st.integers(0, NOW_MS)),
            min_size=1,
        )
    )
    def test_the_last_trusted_one_never_fades(self, drawn: dict[str, tuple[State, int, int]]) -> None:
        """Whatever was counted, a product that had a trusted reference keeps one."""
        held = {key: facts(state) for key, (state, _, _) in drawn.items()}
        changes = states(held, {key: (n, at) for key, (_, n, at) in drawn.items()}, compared=2_000)
        after = {key: changes.get(key, each.state) for key, each in held.items()}

        before_trusted = any(each.state is State.TRUSTED for each in held.values())
        assert not before_trusted or State.TRUSTED in after.values()


class TestFacts:
    """Facts.moved."""

    def test_a_life_keeps_its_last_steps(self) -> None:
        """As many as are kept, the newest last."""
        life = facts()
        for number in range(2 * HISTORY):
            life = life.moved(State.FADING, at_ms=number, why=str(number))

        assert (HISTORY, "15", 15) == (len(life.history), life.why, life.since_ms)
