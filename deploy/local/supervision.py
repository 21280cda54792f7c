"""supervisord, started and spoken to: one per run folder, over a unix socket that only this user may open."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from deploy.local import leftovers, programs
from deploy.local.folder import RunFolder
from schemas.faults import Fatal

_ANSWER_WITHIN_S: Final = 5.0
_START_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.1
_WANTED: Final = frozenset({"STARTING", "RUNNING", "BACKOFF", "STOPPING"})


class ProcessInfo(msgspec.Struct, frozen=True):
    """What the supervisor knows of one part."""

    name: str
    statename: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL UNKNOWN
    pid: int  # 0 when it does not run
    start: int  # Unix time, s
    now: int
    spawnerr: str
    exitstatus: int

    @property
    def uptime_s(self) -> float:
        """Seconds since the part started, 0 when it does not run."""
        return float(max(0, self.now - self.start)) if self.pid else 0.0

    @property
    def gave_up(self) -> bool:
        """Tell whether nobody will start it again: it failed too often, or said itself that there is no use."""
        return self.statename == "FATAL" or (self.statename == "EXITED" and self.exitstatus == programs.EXIT_FATAL)

    @property
    def runs_or_will(self) -> bool:
        """Tell whether it runs, or the supervisor starts it again in a moment because it died."""
        return self.statename in _WANTED or (self.statename == "EXITED" and not self.gave_up)

    @property
    def trouble(self) -> str:
        """Why it does not run, in words; empty if it was never started or was stopped on purpose."""
        ended = f"ended with exit status {self.exitstatus}" if self.statename == "EXITED" else ""
        return self.spawnerr or ended


class Supervisor:
    """The supervisor of one run folder."""

    def __init__(self, folder: RunFolder, environ: Mapping[str, str]) -> None:
        """Nothing is started or connected yet."""
        self._folder = folder
        self._environ = environ

    def is_up(self) -> bool:
        """Tell whether a supervisor of this folder answers."""
        if not self._folder.socket.exists():
            return False
        try:
            self._call("supervisor.getState")
        except (Fatal, xmlrpc.client.Error):
            return False
        return True

    def start(self) -> None:
        """Start supervisord and wait until it answers.

        Raises:
            Fatal: it did not start; the message has its own words.
        """
        self._write_config()
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._folder.supervisor_config)]
        env = {**self._environ, leftovers.MARK: str(self._folder.root)}
        started = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_START_WITHIN_S, check=False)
        deadline = time.monotonic() + _START_WITHIN_S
        while started.returncode == 0 and time.monotonic() < deadline:
            if self.is_up():
                return
            time.sleep(_POLL_S)
        words = (started.stderr or started.stdout).strip() or f"see {self._folder.logs / 'supervisord.log'}"
        raise Fatal(f"the process supervisor did not start: {words}")

    def infos(self) -> dict[str, ProcessInfo]:
        """Return what the supervisor knows of each part, by name.

        Raises:
            Fatal: there is no supervisor, or it does not answer.
        """
        answer = self._call("supervisor.getAllProcessInfo")
        return {info.name: info for info in msgspec.convert(answer, list[ProcessInfo])}

    def reload(self) -> None:
        """Take over the programs now in the run folder: changed and removed ones are stopped, none is started."""
        added, changed, removed = cast(
            "tuple[list[str], list[str], list[str]]", self._call("supervisor.reloadConfig")[0]
        )
        for name in [*changed, *removed]:
            self.stop([name])
            self._call("supervisor.removeProcessGroup", name)
        for name in [*changed, *added]:
            self._call("supervisor.addProcessGroup", name)

    def launch(self, name: str) -> None:
        """Ask for a part to be started; one that is already wanted stays as it is."""
        try:
            self._call("supervisor.startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise Fatal(
                    f"cannot start {name}: {fault.faultString}; see {programs.log_of(self._folder, name)}"
                ) from fault

    def stop(self, names: Collection[str]) -> None:
        """Stop parts side by side and wait until they ended: SIGTERM, then SIGKILL after each one's own limit.

        Raises:
            Fatal: one is still there well after its SIGKILL.
        """
        limits = (program.stop_within_s for name, program in programs.read(self._folder).items() if name in names)
        deadline = time.monotonic() + max(limits, default=0) + 10
        going = list(names)
        while time.monotonic() < deadline:
            for name in going:  # again and again: one that has just died is NOT_RUNNING, and then started once more
                with contextlib.suppress(xmlrpc.client.Fault):  # NOT_RUNNING, or BAD_NAME: there is nothing to stop
                    self._call("supervisor.stopProcess", name, False)
            infos = self.infos()
            going = [name for name in going if name in infos and infos[name].runs_or_will]
            if not going:
                return
            time.sleep(_POLL_S)
        raise Fatal(f"{', '.join(going)} did not stop: try `sideline down`")

    def end(self) -> None:
        """Ask supervisord to leave, and wait until it has."""
        daemon = leftovers.supervisor(self._folder)
        with contextlib.suppress(Fatal, xmlrpc.client.Error):
            self._call("supervisor.shutdown")
        if daemon is not None:
            leftovers.outliving([daemon], _START_WITHIN_S)

    def _write_config(self) -> None:
        folder = self._folder
        folder.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.socket.parent != folder.root and folder.socket.parent.stat().st_uid != os.getuid():
            raise Fatal(
                f"{folder.socket.parent} belongs to another user: remove it, or set TMPDIR to a folder of your own"
            )
        escaped = {
            path: str(path).replace("%", "%%") for path in (folder.socket, folder.logs, folder.supervisor_pid_file)
        }
        folder.supervisor_config.write_text(
            "[unix_http_server]\n"
            f"file={escaped[folder.socket]}\n"
            "chmod=0700\n"
            "[supervisord]\n"
            f"logfile={escaped[folder.logs]}/supervisord.log\n"
            "logfile_maxbytes=5MB\n"
            "logfile_backups=1\n"
            f"pidfile={escaped[folder.supervisor_pid_file]}\n"
            f"childlogdir={escaped[folder.logs]}\n"
            "nocleanup=true\n"
            f"{'user=root' if os.getuid() == 0 else ''}\n"  # said aloud, else it warns
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            "[include]\n"
            "files=programs/*.conf\n"
        )

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - XML-RPC answers are what they are
        transport = _UnixTransport(self._folder.socket)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                return getattr(server, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise Fatal(f"nothing runs in {self._folder.root} ({error}): start it with `sideline up`") from error


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, with a limit on how long an answer may take."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002 - the base class's form
        connection = _UnixConnection(self._path)
        self._connection = ("localhost", connection)  # where the base class looks for what to close
        return connection
