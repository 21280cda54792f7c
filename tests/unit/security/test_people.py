"""Verdicts that lie: how far one person can carry the budget, and whether it shows."""

from __future__ import annotations

import functools
import random

import pytest

from budget.associates import outliers
from budget.config import BudgetConfig
from budget.model import Model
from budget.records import AssociateState
from budget.sample import Line
from schemas.words import MICRO, Verdict

CAPTURES = 2_000
CONFIG = BudgetConfig(
    alpha_ppm=40_000,
    burst_tokens=10,
    beta_ppm=120_000,
    burst_diverts=20,
    audit_ppm=0,
    start_threshold=0,
    captures_per_s=1.0,
    verdict_delay_ms=100_000,
)


@functools.cache
def a_day(lies: float) -> tuple[Model, tuple[bool, ...]]:
    """Let intact goods pass for a day while three people judge; `lies` of them are judged by the one who confirms all.

    Returns the model and, capture by capture, whether it was diverted.
    """
    rng = random.Random(5)
    model, line = Model(CONFIG, frozenset({"line-1"})), Line("site", rng=rng)
    now_ms = 1_763_700_000_000
    diverts: list[bool] = []
    for at in range(CAPTURES):
        now_ms += 1_000
        request = line.request(now_ms=now_ms, score=round(rng.gauss(-4e6, 1e6)), audit_draw_ppm=MICRO - 1, unit_id="u")
        decision, _ = model.decide(request, now_ms=now_ms)
        diverts.append(decision.divert != "none")
        if diverts[-1]:
            liar = rng.random() < lies
            model.settle(
                f"d{at}",
                Verdict.DAMAGED if liar else Verdict.SELLABLE,
                capture_id=request.capture_id,
                unit_id=None,
                now_ms=now_ms,
                associate_id="liar" if liar else rng.choice(["ann", "bob"]),
            )
    return model, tuple(diverts)


def worst_window(events: tuple[bool, ...], rate_ppm: int) -> int:
    """Return the largest excess of any window over its rate, in millionths."""
    excess = largest = 0
    for event in events:
        excess = max(0, excess) + event * MICRO - rate_ppm
        largest = max(largest, excess)
    return largest


class TestLiars:
    """Somebody who says `damaged` of whatever is shown: each lie gives its token back."""

    @pytest.mark.parametrize("lies", [0.0, 0.4, 1.0])
    def test_never_carry_diverts_beyond_what_the_station_can_take(self, lies: float) -> None:
        """P5b asks nobody: no window holds more than beta and the burst."""
        _, diverts = a_day(lies)
        assert worst_window(diverts, CONFIG.beta_ppm) <= CONFIG.burst_diverts * MICRO

    def test_are_felt_and_do_not_move_the_threshold_beyond_its_bounds(self) -> None:
        """Tokens that come back let more units be stopped, and the threshold stays within floor and ceiling."""
        honest, by_the_honest = a_day(0.0)
        lied_to, by_the_liar = a_day(1.0)
        assert sum(by_the_honest) <= CONFIG.alpha_ppm * CAPTURES / MICRO + CONFIG.burst_tokens
        assert sum(by_the_honest) < sum(by_the_liar) <= CONFIG.beta_ppm * CAPTURES / MICRO + CONFIG.burst_diverts
        for model in (honest, lied_to):
            (state,) = model.thresholds.values()
            assert CONFIG.floor <= state.value <= CONFIG.ceiling

    def test_stand_out(self) -> None:
        """One of three who confirms everything is named, the other two are not."""
        model, _ = a_day(0.4)
        assert {"liar"} == {
            one.associate_id for one in outliers({name: AssociateState(**told) for name, told in model.told.items()})
        }
