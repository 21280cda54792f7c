"""The judgement of the whole line finds each mistake that is planted in its inspectors."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest
import pytest_asyncio

from tests.chaos.conftest import SEED
from tests.chaos.core.planted import Bug
from tests.chaos.plants import TRIGGERS, grow
from tests.chaos.rounds import play
from tests.chaos.stage import Stage, world

# The first words of a finding that each mistake leads to, whatever else it breaks.
BREAKS = {
    Bug.ACK_ON_COMPLETION: "every capture has exactly one outcome",
    Bug.EMIT_BEFORE_RECORD: "one distinct value per capture",
    Bug.DEBIT_AGAIN: "the token accounts add up",
    Bug.ACK_BEFORE_DELIVERY: "every capture has exactly one outcome",
    Bug.DECIDE_AGAIN: "one distinct value per capture",
}

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900), pytest.mark.slow]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gardens(line: Stage) -> dict[Bug, str]:
    """A site for each mistake, opened together so that the workers start once."""
    stamp = int(time.time()) % 1_000_000
    names = {bug: f"{bug.value}-{stamp}" for bug in TRIGGERS}
    await line.open_sites(dict.fromkeys(names.values(), (await asyncio.to_thread(world, SEED)).lines))
    return names


class TestPlanted:
    """A judgement that cannot fail proves nothing."""

    @pytest.mark.parametrize("bug", TRIGGERS)
    async def test_each_mistake_is_found(self, line: Stage, gardens: dict[Bug, str], bug: Bug) -> None:
        """By the rule it breaks, after the fault that shows it."""
        result = await play(line, gardens[bug], partial(grow, bug), seed=SEED, number=0, say=print)
        assert [found for found in result.violations if found.startswith(BREAKS[bug])], result.violations
