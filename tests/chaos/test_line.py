"""The whole line under faults, and killed at each of its fault points: nothing lost, nothing decided twice."""

from __future__ import annotations

from functools import partial

import pytest
import pytest_asyncio

from streams.fault_points import FaultPoint
from tests.chaos.conftest import SEED
from tests.chaos.faults import drawn
from tests.chaos.points import VISITS, Visits
from tests.chaos.rounds import Result, do_all, play
from tests.chaos.stage import Stage

FAULTS = 8

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def paid(line: Stage, sites: tuple[str, ...]) -> tuple[Visits, Result]:
    """All points visited in one round under load, and its judgement."""
    visits = Visits(line)
    return visits, await play(line, sites[1], visits.pay, seed=SEED, number=1, say=print)


class TestFaults:
    """`make chaos`, short."""

    async def test_no_promise_is_broken(self, line: Stage, sites: tuple[str, ...]) -> None:
        """Some faults of a seed under load; the checker reads everything that is left behind."""
        result = await play(line, sites[0], partial(do_all, drawn(FAULTS, SEED)), seed=SEED, number=0, say=print)
        assert [] == result.violations
        assert len(result.happened) == FAULTS
        assert result.captures >= 50
        assert result.outcomes["decided"] >= 20


class TestFaultPoints:
    """The table of `streams/fault_points.py`, each point visited."""

    @pytest.mark.parametrize("point", FaultPoint)
    async def test_a_worker_died_there(self, paid: tuple[Visits, Result], point: FaultPoint) -> None:
        """The worker that was armed for the point left its marker there."""
        assert point in paid[0].died

    async def test_no_promise_is_broken(self, paid: tuple[Visits, Result]) -> None:
        """After all these deaths every capture has its one outcome and the accounts add up."""
        assert [] == paid[1].violations
        assert paid[1].outcomes["decided"] >= 20
        assert paid[1].dead["view_missing"] >= 10

    async def test_the_table_is_complete(self) -> None:
        """No point is left out, and none is visited by two."""
        visited = [point for batch in VISITS for point in batch.values()]
        assert sorted(FaultPoint) == sorted(visited)
