"""Which line the commands talk to: the one of the run folder in force, or the servers that the environment names."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from budget.store import DecisionStore
from deploy.local import endpoints as addresses
from deploy.local.endpoints import Endpoints
from deploy.local.folder import RunFolder, checkout, default_run_dir
from evidence.calibration import DEFAULT_PATH, Calibration
from schemas.faults import Fatal
from settings.line import Settings

LAST_SITE: Final = "last-site"  # file in the run folder


@dataclass(frozen=True, slots=True)
class Line:
    """A line that should be running, and where its things are kept."""

    endpoints: Endpoints
    folder: RunFolder

    @property
    def bootstrap(self) -> str:
        """The address of its Kafka."""
        return self.endpoints.kafka_bootstrap

    @property
    def store_id(self) -> str:
        """The id that `sideline init` gave its decision store; empty when there was none."""
        if pinned := os.environ.get("SIDELINE_STORE_ID"):
            return pinned
        file = self.folder.endpoints_file
        known = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
        return known.get("store_id", "")

    def store(self) -> DecisionStore:
        """Return a client of the decision store; the caller closes it."""
        return DecisionStore(self.endpoints.redis_decisions_url, store_id=self.store_id)


def here() -> Line:
    """Return the line in force. Whether it runs shows when it is asked for something.

    Raises:
        Fatal: no line was ever started here; names the command that starts one.
    """
    # A client that cannot connect tells its caller; its own log lines would only hide what the command says.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = RunFolder.at(default_run_dir(os.environ))
    return Line(addresses.read(folder.endpoints_file, os.environ), folder)


def model_repository() -> Path:
    """Return the model repository of this line, wherever in the file system the command is called."""
    repository = Settings().model_repository
    return repository if repository.exists() else checkout() / repository


def calibration_at_hand(settings: Settings) -> Calibration | None:
    """Return the calibration that lies beside the served models; None where this machine has none."""
    repository = settings.model_repository
    with contextlib.suppress(Fatal):
        return Calibration.load((repository if repository.exists() else checkout() / repository) / DEFAULT_PATH.name)
    return None


async def the_site(line: Line, wanted: str | None) -> str:
    """Return the site asked for, else the one that `sideline run` or `inspect` used last, else the only one there is.

    Raises:
        Fatal: no such site is registered, or there is no telling which one is meant.
        Retryable: `redis` is away.
    """
    sites = await registered(line)
    last = line.folder.root / LAST_SITE
    if wanted is None and last.exists() and last.read_text().strip() in sites:
        return last.read_text().strip()
    if wanted is None and len(sites) == 1:
        return sites[0]
    if wanted in sites:
        return wanted
    known = ", ".join(sites) or "none"
    if wanted is None:
        raise Fatal(f"say which site with --site; registered are: {known}")
    raise Fatal(f"site {wanted} is not registered (registered are: {known}): sideline site add {wanted}")


async def registered(line: Line) -> list[str]:
    """Return the registered sites by name."""
    store = line.store()
    try:
        return list(await store.sites())
    finally:
        await store.close()
