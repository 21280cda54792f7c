"""A decision store of the session's own on the real Redis, with a site per test and a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from budget.config import BudgetConfig
from budget.sample import Trial
from deploy.local.endpoints import Endpoints

DATABASE = 9  # of its own beside what other tests keep on the same server


@pytest.fixture
def store_url(servers: Endpoints) -> str:
    """Where the session's decision store is."""
    return servers.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"


@pytest.fixture
async def site(store_url: str, unique: str) -> AsyncIterator[Trial]:
    """A fresh site with 3 tokens, 2 for identities, no reserve and no audits; a score from 0 upwards asks for one."""
    config = BudgetConfig(
        alpha_ppm=10_000,
        burst_tokens=3,
        reserve=0,
        alpha_identity_ppm=10_000,
        burst_identity=2,
        beta_ppm=100_000,
        burst_diverts=10,
        audit_ppm=0,
        floor=-2_000_000,
        ceiling=8_000_000,
        start_threshold=0,
        verdict_delay_ms=1_000,
    )
    trial = await Trial.open(store_url, unique, config)
    yield trial
    await trial.close()
