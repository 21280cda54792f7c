"""Acts on liveness: restarts a worker that no longer moves and a Triton that no longer infers.

The supervisor sees only processes that die. A worker whose loop is wedged keeps its partitions for ever, and Triton
never starts a dead model process again while it calls itself ready.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from deploy.local import probes, programs, servers
from deploy.local.folder import RunFolder
from deploy.local.inference import is_dead_stub
from deploy.local.probes import Probe
from deploy.local.programs import Program
from deploy.local.supervision import ProcessInfo, Supervisor
from schemas.faults import Fatal

_EVERY_S: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How much a part may fail before the watchdog acts."""

    strikes: int = 3  # failed probes in a row
    grace_s: float = 20.0  # a worker imports, connects and joins its group before it answers
    retry_s: float = 30.0  # a part that the supervisor gave up on is started again after this long


class Watchdog:
    """Counts failed probes per part and restarts a part in time."""

    def __init__(self, folder: RunFolder, supervisor: Supervisor, patience: Patience) -> None:
        """Take the run folder to watch and its supervisor."""
        self._patience = patience
        self._folder = folder
        self._supervisor = supervisor
        self._strikes: dict[str, int] = {}
        self._failed_since: dict[str, float] = {}

    def look(self) -> None:
        """Examine every part once."""
        infos = self._supervisor.infos()
        for name, program in programs.read(self._folder).items():
            info = infos.get(name)
            if info is None:
                continue
            if info.gave_up:
                self._try_again(name)
                continue
            self._failed_since.pop(name, None)
            if info.statename != "RUNNING":
                self._strikes.pop(name, None)
            elif probe := _liveness(program):
                self._judge(name, info, probe())

    def _try_again(self, name: str) -> None:
        since = self._failed_since.setdefault(name, time.monotonic())
        if time.monotonic() - since >= self._patience.retry_s:
            del self._failed_since[name]
            log.warning("starting a failed part again", part=name)
            self._supervisor.launch(name)

    def _judge(self, name: str, info: ProcessInfo, seen: Probe) -> None:
        if seen.healthy:
            self._strikes.pop(name, None)
            return
        certain = is_dead_stub(seen.detail)
        if info.uptime_s < self._patience.grace_s and not certain:
            return
        self._strikes[name] = self._strikes.get(name, 0) + 1
        log.warning("a part does not answer", part=name, strikes=self._strikes[name], detail=seen.detail)
        if certain or self._strikes[name] >= self._patience.strikes:
            self._restart(name, info, seen.detail)

    def _restart(self, name: str, info: ProcessInfo, reason: str) -> None:
        now = self._supervisor.infos().get(name)
        if now is None or now.statename != "RUNNING" or now.pid != info.pid:
            return  # someone stopped or restarted it while it was examined
        log.warning("restarting a part", part=name, pid=info.pid, reason=reason)
        self._strikes.pop(name, None)
        self._supervisor.stop([name])
        self._supervisor.launch(name)


def _liveness(program: Program) -> Callable[[], Probe] | None:
    if program.is_worker:
        return lambda: probes.worker(program.ports["health"], "livez")
    if program.name == "triton":
        return lambda: probes.triton(servers.address("triton", program.ports["triton"]))
    return None  # a broker or a store that is away is the workers' to wait for, and the supervisor's to restart


def main() -> None:
    """Watch the run folder named on the command line until the supervisor ends this process, or ends itself."""
    folder = RunFolder.at(Path(sys.argv[1]))
    watchdog = Watchdog(folder, Supervisor(folder, {}), Patience())
    log.info("watching", folder=str(folder.root))
    daemon = os.getppid()
    while os.getppid() == daemon:  # else it was killed, and there is no one to restart a part
        try:
            watchdog.look()
        except Fatal as error:  # the supervisor is busy or leaving; it ends this process too
            log.warning("could not look", reason=str(error))
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
