"""The threshold's integers on Redis against the model's, over thousands of captures and every branch."""

from __future__ import annotations

import random

import msgspec

from budget.sample import Trial
from budget.threshold import WEIGHT_MAX, Threshold
from budget.warm import WEIGHT, warm_start
from schemas.codec import decode
from schemas.messages import Decision

CAPTURES = 2_200  # cold for 1,000, then 48 moves


async def follow(site: Trial, model: Threshold, scores: list[int]) -> None:
    """Send scores and compare the threshold of each decision, and all bins at the end."""
    for score in scores:
        decision = decode(Decision, (await site.decide(score)).decision)
        known = min(max(model.value, site.config.floor), site.config.ceiling)
        assert known == decision.threshold
        model.learn(score, balance=decision.balance_after or 0, pending=decision.pending_after or 0, config=site.config)
    stored = await site.redis.hgetall(site.keys.scores(site.line.fusion_version))
    assert {at: mass for at, mass in enumerate(model.bins) if mass} == {
        int(name): int(mass) for name, mass in stored.items() if int(mass)
    }


class TestThreshold:
    """One integer after the other."""

    async def test_store_and_model_agree_on_every_threshold(self, site: Trial) -> None:
        """From the first capture through a jump, outliers and a change of scale."""
        rng = random.Random(3)
        scores = [round(rng.gauss(-4e6, 1e6)) for _ in range(CAPTURES)]
        scores[0], scores[500:520] = 10**9, [10**9] * 20
        scores[1_400:] = [round(2.5 * score + 3e6) for score in scores[1_400:]]
        model = Threshold(site.config.start_threshold)
        await follow(site, model, scores)
        assert model.moves == (CAPTURES - 1_000) // 25 + 1

    async def test_growing_weights_are_divided_before_they_overflow(self, site: Trial) -> None:
        """After 160,000 captures in life, at once here."""
        rng = random.Random(4)
        model = Threshold(site.config.start_threshold)
        await follow(site, model, [round(rng.gauss(-4e6, 1e6)) for _ in range(100)])
        model.weight = WEIGHT_MAX - 1
        await site.redis.hset(site.keys.threshold(site.line.fusion_version), "weight", model.weight)
        await follow(site, model, [round(rng.gauss(-4e6, 1e6)) for _ in range(40)])
        assert WEIGHT <= model.weight < 2 * WEIGHT

    async def test_groups_of_high_scores_and_verdicts_meet_the_same_integers(self, site: Trial) -> None:
        """Trust, eagerness and pending stops: the branches that a quiet stream does not see."""
        rng = random.Random(6)
        await site.store.configure(site.name, msgspec.structs.replace(site.config, burst_tokens=50))
        site.config = (await site.store.state(site.name)).config
        model = Threshold(site.config.start_threshold)
        await follow(site, model, [round(rng.gauss(-4e6, 1e6)) for _ in range(1_200)])
        await follow(site, model, [round(rng.gauss(0, 1e6)) for _ in range(30)])
        assert model.usual > 0
        assert 7 * 1_000 * site.config.alpha_ppm < model.asking
        await follow(site, model, [round(rng.gauss(-4e6, 1e6)) for _ in range(100)])

    async def test_a_threshold_of_the_older_script_goes_on(self, site: Trial) -> None:
        """It knew no fast location, no share that asks and no usual pending: it keeps its histogram and its place."""
        rng = random.Random(7)
        scores = [round(rng.gauss(-4e6, 1e6)) for _ in range(1_200)]
        model = Threshold(site.config.start_threshold)
        await follow(site, model, scores[:1_100])
        key = site.keys.threshold(site.line.fusion_version)
        assert 3 == await site.redis.hdel(key, "fast", "asking", "usual")
        model.fast, model.asking = model.location, 0
        model.usual = (await site.store.state(site.name)).pending
        await follow(site, model, scores[1_100:])

    async def test_a_warm_start_is_the_same_here_and_there(self, site: Trial) -> None:
        """With a certificate that holds until the first move."""
        rng = random.Random(8)
        start = warm_start([round(rng.gauss(-4e6, 1e6)) for _ in range(400)], alpha_ppm=site.config.alpha_ppm)
        assert await site.store.warm(site.name, site.line.fusion_version, start)
        state = await site.store.state(site.name)
        model = Threshold.warm(start, balance=state.balance, pending=state.pending, config=site.config)
        assert start.certified == model.value
        await follow(site, model, [round(rng.gauss(-4e6, 1e6)) for _ in range(60)])

    async def test_each_fusion_version_has_a_threshold_of_its_own(self, site: Trial) -> None:
        """Scores of two versions are not comparable."""
        for version, score in (("v1", -4_000_000), ("v2", 4_000_000)):
            for _ in range(64):
                await site.decide(score, fusion_version=version, decide_by_ms=site.now_ms() + 60_000)
        thresholds = (await site.store.state(site.name)).thresholds
        assert (-4_000_000, 4_000_000) == (thresholds["v1"].location, thresholds["v2"].location)
