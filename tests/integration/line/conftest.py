"""A whole line for the tests of this folder: the session's servers, all four workers, one registered site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.here import Line
from cli.site import add_site, initialise
from deploy.local.endpoints import Endpoints
from deploy.local.parts import Parts
from streams.outbox import Outbox
from tests.integration.line.running import LINE, SITE, RunningLine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lose the store last: with it go the configurations of the past, which replaying what other tests did needs."""
    items.sort(key=lambda item: item.path.name == "test_lost_store.py")


@pytest.fixture(scope="session")
def line_settings(parts: Parts) -> tuple[str, Path]:
    """Start the workers for the rest of the session; return the store's id and the image root."""
    line = Line(parts.endpoints(), parts.folder)

    async def prepare() -> str:
        store_id = await initialise(line, partitions=4)
        await add_site(line, SITE, (LINE,), partitions=4)
        return store_id

    store_id = asyncio.run(prepare())
    parts.start_workers(inspectors=2, env={"SIDELINE_STORE_ID": store_id, "SIDELINE_LOG_FORMAT": "text"})
    images = parts.folder.images
    images.mkdir(parents=True, exist_ok=True)
    return store_id, images


@pytest.fixture
async def line(parts: Parts, servers: Endpoints, line_settings: tuple[str, Path]) -> AsyncIterator[RunningLine]:
    """The running line, with an outbox of this test's own."""
    store_id, images = line_settings
    outbox = Outbox(servers.kafka_bootstrap, client_id="test")
    yield RunningLine(parts, servers, store_id, outbox, images)
    await outbox.close()
