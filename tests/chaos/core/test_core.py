"""Window, ledger, inspector and decision store under schedules drawn by seed: sound, and with each planted mistake."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest

from budget.store import DecisionStore
from streams.topics import Entity
from tests.chaos.core.conftest import Opener
from tests.chaos.core.judge import Ended, judge
from tests.chaos.core.planted import Bug, no_look, plant
from tests.chaos.core.schedule import POINTS, play

SCHEDULES = 200
UNSEEING = 20
FOUND_WITHIN = 40  # schedules; docs/decisions/0068 says how soon each is found
# What each mistake breaks whatever else it breaks, as the first words of a finding.
BREAKS = {
    Bug.ACK_ON_COMPLETION: "P1",
    Bug.EMIT_BEFORE_RECORD: "one distinct value per capture",
    Bug.DEBIT_AGAIN: "the token accounts add up",
    Bug.ACK_BEFORE_DELIVERY: "P1",
    Bug.ADMIT_REVOKED: "P1",
    Bug.DECIDE_AGAIN: "one distinct value per capture",
}


def traces(ended: Ended) -> list[object]:
    """Return everything a schedule left behind but its times and its site's name."""
    outputs = [[(one.key, one.offset) for one in log] for log in ended.broker.rest.values()]
    return [outputs, ended.broker.commits, ended.steps, ended.deaths, ended.state.balance, ended.state.seq]


class TestSound:
    """The core as it is."""

    async def test_no_schedule_breaks_a_promise(self, open_bench: Opener) -> None:
        """Whatever dies where: nothing lost, nothing decided twice, every token accounted for, and in the end rest."""
        bench = await open_bench()
        found, met = dict[int, list[str]](), Counter[str]()
        for seed in range(SCHEDULES):
            ended = await play(seed, bench)
            met += ended.deaths
            decisions = ended.broker.rest[Entity.DECISIONS]
            met["sent again"] += len(decisions) - len({one.key for one in decisions})
            met["stops"] += len(ended.broker.rest[Entity.SIDELINED])
            met["dead letters"] += len(ended.broker.rest[Entity.DEAD])
            if broken := judge(ended):
                found[seed] = broken
        assert {} == found
        assert [] == [what for what in (*POINTS, "anywhere", "sent again", "stops", "dead letters") if not met[what]]

    async def test_looking_before_working_only_saves_work(self, open_bench: Opener) -> None:
        """Without it each delivery is investigated anew and decided from other evidence, and still nothing changes."""
        with patch.object(DecisionStore, "look", no_look):
            bench = await open_bench()
            found = {seed: judge(await play(seed, bench)) for seed in range(UNSEEING)}
        assert [] == [seed for seed, broken in found.items() if broken]

    async def test_a_seed_is_a_schedule(self, open_bench: Opener) -> None:
        """A seed that failed fails again: the same steps in the same order, to the last commit."""
        bench = await open_bench()
        for seed in range(5):
            assert traces(await play(seed, bench)) == traces(await play(seed, bench))


class TestPlanted:
    """A checker that cannot fail proves nothing."""

    @pytest.mark.parametrize("bug", Bug)
    async def test_each_mistake_is_found(self, open_bench: Opener, bug: Bug) -> None:
        """Within a stated number of schedules, by the promise it breaks."""
        with plant(bug, linger_s=0.0):
            bench = await open_bench()
            found: list[str] = []
            for seed in range(FOUND_WITHIN):
                found = judge(await play(seed, bench))
                if any(one.startswith(BREAKS[bug]) for one in found):
                    return
        pytest.fail(f"not found in {FOUND_WITHIN} schedules; the last one says {found}")
