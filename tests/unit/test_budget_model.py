"""The model keeps the promises by itself, in long histories that no server has time for."""

from __future__ import annotations

import random

import pytest

from budget.config import BudgetConfig
from budget.model import Model
from budget.sample import Line
from budget.threshold import Threshold
from schemas.words import MICRO, Verdict

NOW_MS = 1_763_700_000_000
CONFIG = BudgetConfig(
    alpha_ppm=20_000,
    burst_tokens=6,
    reserve=1,
    beta_ppm=60_000,
    burst_diverts=12,
    start_threshold=0,
    floor=-2_000_000,
    ceiling=8_000_000,  # above the streams below: the controller is what is tried here
    captures_per_s=1.0,
    verdict_timeout_ms=400_000,
    verdict_delay_ms=100_000,
    audit_ppm=10_000,
)


def worst(events: list[bool], rate_ppm: int) -> int:
    """Return the largest excess of any window over its rate, in millionths."""
    excess = largest = 0
    for event in events:
        excess = max(0, excess) + event * MICRO - rate_ppm
        largest = max(largest, excess)
    return largest


class TestPromises:
    """P5a and P5b over thousands of captures."""

    @pytest.mark.parametrize("honesty", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("seed", [1, 2])
    def test_no_window_holds_more_than_its_allowance(self, seed: int, honesty: float) -> None:
        """With bursts of high scores, drifting scores, and verdicts that come late, twice, in disorder or never."""
        rng = random.Random(seed)
        model, line = Model(CONFIG, frozenset({"line-1"})), Line("site", rng=rng)
        false_alarms: dict[str, bool] = {}
        diverts: list[bool] = []
        waiting: list[str] = []
        now_ms = NOW_MS
        for at in range(4_000):
            now_ms += rng.choice([200, 1_000, 3_000])
            score = round(rng.gauss(-2e6 + 1_000 * at, 1e6)) + (4_000_000 if at // 300 % 3 == 1 else 0)
            request = line.request(now_ms=now_ms, score=score, audit_draw_ppm=rng.randrange(MICRO), unit_id="u")
            decision, _ = model.decide(request, now_ms=now_ms)
            damage = decision.divert == "damage"
            false_alarms[request.capture_id] = damage
            diverts.append(decision.divert != "none")
            if damage:
                waiting.append(request.capture_id)
            while waiting and rng.random() < 0.03:
                capture_id = rng.choice(waiting)
                verdict = Verdict.DAMAGED if rng.random() < honesty else Verdict.SELLABLE
                settled = model.settle(f"d{at}", verdict, capture_id=capture_id, unit_id=None, now_ms=now_ms)
                if settled.returned:
                    false_alarms[capture_id] = False
            assert model.damage.balance + model.damage.pending <= CONFIG.burst_tokens * MICRO
        assert model.seq == 4_000
        assert worst(list(false_alarms.values()), CONFIG.alpha_ppm) <= CONFIG.burst_tokens * MICRO
        assert worst(diverts, CONFIG.beta_ppm) <= CONFIG.burst_diverts * MICRO


class TestThreshold:
    """It finds the budget's share of any stream and follows it."""

    @pytest.mark.parametrize("shape", ["still", "jump", "wider", "outliers"])
    def test_it_spends_the_budget_on_any_stream(self, shape: str) -> None:
        """About alpha of all captures, all false, before and after the stream changes."""
        rng = random.Random(9)
        config = BudgetConfig(start_threshold=2 * MICRO, ceiling=8 * MICRO, floor=-8 * MICRO)  # far from the stream
        threshold, balance = Threshold(config.start_threshold), 50 * MICRO
        alarms = withheld = 0
        for at in range(20_000):
            score = rng.gauss(-4e6, 1e6)
            if shape == "jump" and at > 6_000:
                score += 2e6
            if shape == "wider" and at > 6_000:
                score *= 1.5
            if shape == "outliers" and at % 1_000 == 0:
                score = 9e8
            balance = min(50 * MICRO, balance + config.alpha_ppm)
            asks = score >= threshold.value
            granted = asks and balance >= MICRO
            balance -= MICRO if granted else 0
            alarms += granted
            withheld += asks and not granted
            threshold.learn(round(score), balance=balance, pending=0, config=config)
        assert 0.8 * 0.005 * 20_000 <= alarms <= 0.005 * 20_000 + 50
        assert withheld == 0

    def test_a_lone_outlier_cannot_drag_it(self) -> None:
        """Deviations are clipped at two scales."""
        rng = random.Random(2)
        threshold = Threshold(0)
        for _ in range(3_000):
            threshold.learn(round(rng.gauss(-4e6, 1e6)), balance=25 * MICRO, pending=0, config=BudgetConfig())
        location, scale = threshold.location, threshold.scale
        threshold.learn(10**9, balance=25 * MICRO, pending=0, config=BudgetConfig())
        assert threshold.location - location <= 2 * scale // 2_000 + 1
        assert threshold.scale - scale <= scale // 1_000 + 1
