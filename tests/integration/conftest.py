"""The real servers for every integration test: started once per session, stopped at its end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from deploy.local.endpoints import Endpoints
from deploy.local.parts import Parts
from deploy.local.readiness import tail


def environment() -> dict[str, str]:
    """Return this process's environment without settings of the line: tests always meet their own servers."""
    kept = {"SIDELINE_MODEL_REPOSITORY"}
    return {name: value for name, value in os.environ.items() if not name.startswith("SIDELINE_") or name in kept}


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """The parts of a run folder of this session's own, with all servers up.

    SIDELINE_TEST_RUN_DIR names a run folder to use instead, and to leave running: the next session starts at once.
    """
    warm = os.environ.get("SIDELINE_TEST_RUN_DIR")
    parts = Parts(Path(warm) if warm else tmp_path_factory.mktemp("parts"), environ=environment())
    try:
        parts.up(say=_say)
        yield parts
    finally:
        if not warm:
            parts.down(say=_say)


@pytest.fixture(scope="session")
def servers(parts: Parts) -> Endpoints:
    """Where the session's servers are."""
    return parts.endpoints()


@pytest.fixture
def unique() -> str:
    """A short prefix for the topics, keys and sites of one test, so that tests can share servers."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a test that failed, what the parts logged while it ran."""
    report = yield
    parts = getattr(item, "funcargs", {}).get("parts")
    if report.failed and isinstance(parts, Parts):
        for log in sorted(parts.folder.logs.glob("*.log")):
            if log.stat().st_mtime >= call.start:
                report.sections.append((f"log of {log.stem}", tail(log)))
    return report


def _say(line: str) -> None:
    print(f"[parts] {line}")  # noqa: T201 - pytest shows it when a test fails
