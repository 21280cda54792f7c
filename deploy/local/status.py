"""What a part is doing now: the supervisor's word for it, and its own answer when asked."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

from deploy.local import line, probes, programs, servers
from deploy.local.endpoints import SERVERS
from deploy.local.folder import RunFolder
from deploy.local.probes import Probe
from deploy.local.programs import Program
from deploy.local.readiness import last_words
from deploy.local.supervision import ProcessInfo

WorkerPage = Literal["livez", "readyz"]
_WORDS: Final = {
    "STOPPED": "stopped",
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "EXITED": "failed",
    "FATAL": "failed",
}


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as it is now. A server that we did not start is in the state `elsewhere`."""

    name: str
    state: str  # stopped starting running restarting stopping failed elsewhere
    pid: int | None
    uptime_s: float
    ports: tuple[int, ...]  # the first is the one that others talk to
    healthy: bool | None  # None: does not run, or has nothing to ask
    detail: str


def ask(program: Program, page: WorkerPage) -> Probe:
    """Ask a part of ours whether it is healthy; a worker on the given page."""
    if program.is_worker:
        return probes.worker(program.ports["health"], page)
    if program.name == line.WATCHDOG:
        return Probe(healthy=True)
    return servers.probe(program.name, servers.address(program.name, program.ports[program.name]))


def examine(folder: RunFolder, infos: Mapping[str, ProcessInfo], elsewhere: Mapping[str, str]) -> list[PartStatus]:
    """Examine every part, side by side: servers first, then the rest by name."""
    known = programs.read(folder)
    names = [name for name in SERVERS if name in known or name in elsewhere]
    names += sorted(name for name in known if name not in SERVERS)

    def one(name: str) -> PartStatus:
        if name in elsewhere:
            seen = servers.probe(name, elsewhere[name])
            return PartStatus(name, "elsewhere", None, 0.0, (), seen.healthy, seen.detail)
        return _ours(folder, known[name], infos.get(name))

    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(one, names))


def _ours(folder: RunFolder, program: Program, info: ProcessInfo | None) -> PartStatus:
    ports = tuple(program.ports.values())
    state = "stopped" if info is None else _WORDS.get(info.statename, "unknown")
    if info is None or not info.pid:
        trouble = "" if info is None else info.trouble
        words = f"{trouble}: {last_words(programs.log_of(folder, program.name))}" if trouble else ""
        return PartStatus(program.name, state, None, 0.0, ports, None, words)
    seen = ask(program, "readyz")
    if seen.healthy:
        state = "running"  # the supervisor calls a part started only after some seconds; one that answers has started
    return PartStatus(program.name, state, info.pid, info.uptime_s, ports, seen.healthy, seen.detail)
