"""One line for all tests of this folder that need one, with proxies and a bucket; started at the first use."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.stage import Stage, stage, world

SEED = 5


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The running line. Tests that use it run on the session's loop, as its proxies do."""
    folder = Path(os.environ.get("SIDELINE_TEST_RUN_DIR") or tmp_path_factory.mktemp("chaos"))
    async with stage(folder, os.environ, say=print) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sites(line: Stage) -> tuple[str, str, str]:
    """Sites opened together, so that the workers start once: for the faults, the fault points and the audit."""
    stamp = int(time.time()) % 1_000_000
    names = f"chaos-{stamp}", f"points-{stamp}", f"audit-{stamp}"
    await line.open_sites(dict.fromkeys(names, (await asyncio.to_thread(world, SEED)).lines))
    return names
