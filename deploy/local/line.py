"""The programs of the line's own processes: the kinds of workers, and the watchdog over all parts."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from deploy.local.endpoints import Endpoints
from deploy.local.environment import of_servers, of_workers
from deploy.local.folder import RunFolder, checkout
from deploy.local.programs import Program

WATCHDOG = "watchdog"
HERALD = "herald"


def worker_names(inspectors: int, *, epcis: bool = False) -> list[str]:
    """Return the names of the workers of a line with so many inspectors, the optional herald among them if asked."""
    always = [*(f"inspector-{number}" for number in range(1, inspectors + 1)), "tracker", "curator", "settler"]
    return [*always, HERALD] if epcis else always


def worker(
    folder: RunFolder,
    name: str,
    *,
    health_port: int,
    endpoints: Endpoints,
    env: Mapping[str, str],
    environ: Mapping[str, str],
) -> Program:
    """Return how to start a worker; `env` wins over everything else."""
    return Program(
        name=name,
        command=(sys.executable, "-m", f"workers.{name.partition('-')[0]}"),
        env={
            **of_workers(environ, folder),
            **endpoints.variables(),
            "SIDELINE_WORKER_NAME": name,
            "SIDELINE_HEALTH_PORT": str(health_port),
            **env,
        },
        cwd=str(checkout()),
        ports={"health": health_port},
        stop_within_s=10,
        is_worker=True,
    )


def watchdog(folder: RunFolder, environ: Mapping[str, str]) -> Program:
    """Return how to start the watchdog."""
    return Program(
        name=WATCHDOG,
        command=(sys.executable, "-m", "deploy.local.watchdog", str(folder.root)),
        env={**of_servers(environ, folder), "PYTHONUNBUFFERED": "1"},
        cwd=str(checkout()),
        ports={},
        stop_within_s=10,
    )
