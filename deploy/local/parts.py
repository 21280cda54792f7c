"""The parts of the line on one machine: started, watched, examined and stopped as one."""

from __future__ import annotations

import functools
import glob
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from deploy.local import endpoints as addresses
from deploy.local import leftovers, line, programs, servers, status, triton
from deploy.local.endpoints import SERVERS, Endpoints
from deploy.local.folder import RunFolder
from deploy.local.ports import PortBook
from deploy.local.programs import Program
from deploy.local.readiness import wait_until_healthy
from deploy.local.status import PartStatus, WorkerPage
from deploy.local.supervision import ProcessInfo, Supervisor
from schemas.faults import Fatal

__all__ = ["Endpoints", "PartStatus", "Parts"]

Say = Callable[[str], None]
_READY_WITHIN_S: Final = 60.0
_LEFTOVER_PATIENCE_S: Final = 5.0
_STARTS_ALLOWED: Final = 3  # while it is waited for


class Parts:
    """The parts that one run folder stands for. Every method may be called from any process of this user."""

    def __init__(self, run_dir: Path, *, environ: Mapping[str, str] | None = None) -> None:
        """Make the run folder; `environ` (default: this process's) configures ports and existing servers."""
        self._environ = dict(os.environ if environ is None else environ)
        self._folder = RunFolder.at(run_dir)
        self._supervisor = Supervisor(self._folder, self._environ)

    @property
    def folder(self) -> RunFolder:
        """The run folder's paths."""
        return self._folder

    def up(self, *, servers: Collection[str] = tuple(SERVERS), say: Say = print) -> Endpoints:
        """Start the servers that do not run and wait until they answer; a second call finds nothing to do.

        Raises:
            Fatal: something is missing, a configured port is taken, or a server did not come up; says how to mend it.
        """
        with self._folder.held():
            return self._up(servers, say)

    def start_workers(
        self,
        *,
        inspectors: int = 1,
        epcis: bool | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
        until: WorkerPage = "readyz",
        say: Say = print,
    ) -> None:
        """Start one tracker, curator and settler and so many inspectors, and wait until each answers `until` with yes.

        `epcis` adds the herald or takes it away; None leaves it as it is. `env` is added to each worker's environment.
        A worker that runs with other settings is restarted, one too many is stopped. Without a registered site no
        worker is ever ready: wait for `livez` then.

        Raises:
            Fatal: the servers are not up, or a worker did not come up; with the end of its log.
        """
        endpoints = self.endpoints()
        with self._folder.held():
            ports = self._ports()
            infos = self._supervisor.infos()
            known = programs.read(self._folder)
            names = line.worker_names(inspectors, epcis=line.HERALD in known if epcis is None else epcis)
            for name, program in known.items():
                if program.is_worker and name not in names:
                    programs.forget(self._folder, name)
            for name in names:
                port = ports.claim(name, in_use_by_us=_runs(infos, name))
                self._keep(
                    line.worker(
                        self._folder, name, health_port=port, endpoints=endpoints, env=env, environ=self._environ
                    )
                )
            self._supervisor.reload()
            for name in names:
                self._supervisor.launch(name)
            self._wait(names, until, within_s=_READY_WITHIN_S, say=say)

    def down(self, say: Say = print) -> None:
        """Stop everything that was started here, workers before the servers they use, and leave no process behind."""
        with self._folder.held():
            if self._supervisor.is_up():
                infos = self._supervisor.infos()
                theirs = {name for name, program in programs.read(self._folder).items() if program.is_worker}
                first = [name for name in infos if name in theirs or name == line.WATCHDOG]
                say(f"stopping {len([name for name in infos if _runs(infos, name)])} parts")
                self._supervisor.stop(first)
                self._supervisor.stop([name for name in infos if name not in first])
                self._supervisor.end()
            self._end_leftovers(say)

    def stop(self, name: str) -> None:
        """Stop one part; it stays stopped until it is started again."""
        self._supervisor.stop([self._known(name)])

    def start(self, name: str) -> None:
        """Start one part and wait until it answers; a worker need not be ready, as what it needs may be stopped too."""
        self._supervisor.launch(self._known(name))
        self._wait([name], "livez", within_s=_READY_WITHIN_S, say=lambda _: None)

    def restart(self, name: str) -> None:
        """Stop one part and start it again."""
        self.stop(name)
        self.start(name)

    def kill(self, name: str, signal: int) -> None:
        """Send a signal to one part; the supervisor starts a part again that dies of it.

        Raises:
            Fatal: it does not run.
        """
        pid = self.pid(name)
        if pid is None:
            raise Fatal(f"{name} does not run: start it with `sideline up`")
        os.kill(pid, signal)

    def pid(self, name: str) -> int | None:
        """Return the process id of a part, None while it does not run."""
        info = self._supervisor.infos().get(self._known(name))
        return info.pid or None if info is not None else None

    def status(self) -> list[PartStatus]:
        """Examine every part: servers, then workers, each asked whether it is healthy."""
        infos = self._supervisor.infos() if self._supervisor.is_up() else {}
        return status.examine(self._folder, infos, addresses.elsewhere(self._environ))

    def endpoints(self) -> Endpoints:
        """Return the addresses of a running installation.

        Raises:
            Fatal: it does not run; names the command that starts it.
        """
        elsewhere = addresses.elsewhere(self._environ)
        if len(elsewhere) < len(SERVERS) and not self._supervisor.is_up():
            raise Fatal(f"nothing runs in {self._folder.root}: start it with `sideline up`")
        return addresses.read(self._folder.endpoints_file, self._environ)

    def logs(self, name: str) -> Path:
        """Return the path of a part's log.

        Raises:
            Fatal: there is no such part.
        """
        return programs.log_of(self._folder, self._known(name))

    def _up(self, wanted: Collection[str], say: Say) -> Endpoints:
        if unknown := set(wanted) - set(SERVERS):
            raise Fatal(f"no server is named {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
        elsewhere = addresses.elsewhere(self._environ)
        is_up = self._supervisor.is_up()
        if not is_up:
            self._end_leftovers(say)
        infos = self._supervisor.infos() if is_up else {}
        book = self._ports()
        ports: dict[str, int] = {}
        for name in SERVERS:
            if name not in elsewhere:
                ports.update(servers.claim_ports(book, name, in_use_by_us=_runs(infos, name)))
        mine = [name for name in SERVERS if name in wanted and name not in elsewhere]
        for program in servers.prepare(self._folder, mine, ports=ports, environ=self._environ, say=say):
            self._keep(program)
        self._keep(line.watchdog(self._folder, self._environ))
        for name in elsewhere:
            programs.forget(self._folder, name)
        if is_up:
            self._supervisor.reload()
        else:
            self._supervisor.start()
        for name in [*mine, line.WATCHDOG]:
            self._supervisor.launch(name)
        endpoints = servers.endpoints(ports, elsewhere)
        addresses.write(self._folder.endpoints_file, endpoints)
        self._wait(mine, "livez", within_s=_READY_WITHIN_S, say=say)
        return endpoints

    def _keep(self, program: Program) -> None:
        """Keep a program's description; stop the part if it runs by another one, for the supervisor compares less."""
        if programs.write(self._folder, program) and self._supervisor.is_up():
            self._supervisor.stop([program.name])

    def _wait(self, names: Collection[str], page: WorkerPage, *, within_s: float, say: Say) -> None:
        known = programs.read(self._folder)
        waiting = [name for name in names if not status.ask(known[name], page).healthy]
        if waiting:
            say(f"waiting for {', '.join(waiting)}")
        for name in waiting:
            wait_until_healthy(
                name,
                functools.partial(status.ask, known[name], page),
                within_s=within_s,
                failed=functools.partial(self._failure, name, set()),
                log=programs.log_of(self._folder, name),
                say=say,
            )

    def _failure(self, name: str, pids: set[int]) -> str | None:
        """Return why a part that was started will not come up; `pids` is what was seen of it so far."""
        info = self._supervisor.infos().get(name)
        if info is None:
            return "the supervisor does not know it"
        pids.add(info.pid)
        if info.gave_up:
            return info.trouble or "it does not start"
        if len(pids - {0}) > _STARTS_ALLOWED:
            return f"it ended {len(pids - {0}) - 1} times"
        return None

    def _known(self, name: str) -> str:
        known = programs.read(self._folder)
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "nothing was started yet: `sideline up`"
            raise Fatal(f"no part is named {name}; {there}")
        return name

    def _ports(self) -> PortBook:
        return PortBook(self._folder.ports_file, self._environ)

    def _end_leftovers(self, say: Say) -> None:
        """End what an earlier supervisor left behind when it was killed, and the files it could not remove."""
        if left := leftovers.find(self._folder):
            say(f"ending {len(left)} processes left over from a run whose supervisor was killed")
            leftovers.end(left, patience_s=_LEFTOVER_PATIENCE_S)
        self._folder.supervisor_pid_file.unlink(missing_ok=True)
        self._folder.socket.unlink(missing_ok=True)
        if self._folder.socket.parent != self._folder.root:
            shutil.rmtree(self._folder.socket.parent, ignore_errors=True)
        for path in glob.glob(triton.shared_memory(self._folder)):  # noqa: PTH207 - one string, as the launcher takes it
            Path(path).unlink(missing_ok=True)


def _runs(infos: Mapping[str, ProcessInfo], name: str) -> bool:
    return name in infos and infos[name].pid > 0
