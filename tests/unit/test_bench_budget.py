"""The benchmark of thresholds measures the controller that the line runs, under the line's own rules."""

from __future__ import annotations

import numpy as np
import pytest

from bench.budget import ours
from bench.budget import race as run
from bench.budget.entrants import ENTRANTS, OURS
from bench.budget.others import bucket
from bench.budget.streams import Name, hindsight, make
from bench.budget.trial import LIMIT, trial
from budget.config import BudgetConfig
from budget.threshold import WEIGHT_MAX, Threshold
from budget.warm import warm_start
from schemas.words import MICRO

CAPTURES = 12_000
CONFIG = BudgetConfig(reserve=0, floor=-LIMIT, ceiling=LIMIT, start_threshold=0)
RULES = np.array([CONFIG.alpha_ppm, CONFIG.burst_tokens, CONFIG.floor, CONFIG.ceiling], np.int64)


class TestTwin:
    """Compiled and plain are the same integers."""

    @pytest.mark.parametrize("warm", [False, True])
    @pytest.mark.parametrize("name", [Name.JUMP, Name.BURSTS, Name.HEAVY, Name.HARD])
    def test_every_threshold_and_all_bins_are_equal(self, name: Name, *, warm: bool) -> None:
        """Through drift, a jump, groups of damage, outliers, and the division of the weights."""
        stream = make(name, 5, CAPTURES)
        balance, pending = 50 * MICRO, 0
        plain = Threshold(CONFIG.start_threshold)
        if warm:
            plain = Threshold.warm(warm_start(stream.vetted.tolist(), alpha_ppm=5_000), balance=balance, config=CONFIG)
        state, memory = ours.warmed(plain) if warm else ours.cold()
        threshold = np.int64(plain.value)
        for at, score in enumerate(stream.scores.tolist()):
            if at == CAPTURES // 2:
                plain.weight = state[ours.STRENGTH] = WEIGHT_MAX - 1
            asks = score >= plain.value and balance >= MICRO
            balance, pending = (
                (balance - MICRO, pending + MICRO) if asks else (min(50 * MICRO, balance + 5_000), pending)
            )
            if pending and at % 100 == 0:
                pending -= MICRO
            plain.learn(score, balance=balance, pending=pending, config=CONFIG)
            threshold = ours.step(state, memory, RULES, score, balance, pending, threshold)
            assert plain.value == threshold
        names = ("captures", "location", "scale", "weight", "since", "fast", "asking", "usual")
        assert [getattr(plain, name) for name in names] == state.tolist()
        assert plain.bins == memory[: len(plain.bins)].tolist()


class TestRace:
    """The escrow that all controllers run under."""

    def test_each_false_alarm_costs_a_token_and_a_true_one_lends_it(self) -> None:
        """Two tokens: two of three asking captures get one; the verdict on damage gives its token back."""
        scores = np.array([5, 5, 5, 0, 5, 5], np.int64)
        damaged = np.array([True, False, False, False, False, False])
        counts = np.zeros(run.FIELDS, np.int64)
        counts[run.BALANCE], counts[run.THRESHOLD] = 2 * MICRO, 5
        ends = np.zeros(12, np.int64), np.zeros(12, np.int64)
        run.race(
            bucket, np.zeros(1), np.zeros(1), np.array([1, 2, -9, 9]), scores, damaged, np.full(6, 2), 0, 6,
            counts, *ends, np.zeros(6, np.int64),
        )  # fmt: skip
        assert (1, 2, 2) == (counts[run.CAUGHT], counts[run.ALARMS], counts[run.WITHHELD])
        assert counts[run.BALANCE] < MICRO

    def test_no_controller_breaks_the_cap_and_ours_catches_what_the_oracle_does(self) -> None:
        """On a stream that jumps; the counts are whole numbers of captures."""
        found = trial(Name.JUMP, 3, 60_000)
        assert not any(result.violated for result in found.results.values())
        assert found.results[OURS].recall > 0.9
        assert {entrant.name for entrant in ENTRANTS} < set(found.results)


class TestStreams:
    """Made from a seed, with their truth."""

    @pytest.mark.parametrize("name", list(Name))
    def test_a_seed_makes_the_same_stream_again(self, name: Name) -> None:
        """And another one another, each with damage that an oracle can catch."""
        first, again, other = make(name, 1, 40_000), make(name, 1, 40_000), make(name, 2, 40_000)
        assert (first.scores == again.scores).all()
        assert (first.scores != other.scores).any()
        assert 0 < hindsight(first) <= first.damaged.sum()
        assert first.burst * MICRO >= 2 * 5_000 * first.delays.max()
