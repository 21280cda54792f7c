"""The watchdog on a real supervisor: what lives but does not work is started again."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import probes, programs, servers
from deploy.local.environment import of_servers
from deploy.local.folder import RunFolder
from deploy.local.leftovers import is_alive
from deploy.local.parts import Parts
from deploy.local.ports import PortBook
from deploy.local.programs import Program
from deploy.local.supervision import Supervisor
from deploy.local.watchdog import Patience, Watchdog

# A worker that answers /livez with the status that a file holds, and can be told to refuse to start.
WORKER = """
import http.server, pathlib, sys, time
port, status = int(sys.argv[1]), pathlib.Path(sys.argv[2])
if status.read_text() == "refuse":
    time.sleep(1.5)
    sys.exit(78)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(status.read_text()))
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """A run folder whose supervisor runs one worker, `tracker`, and no watchdog."""
    folder = RunFolder.at(tmp_path / "run")
    (folder.root / "status").write_text("200")
    port = PortBook(folder.ports_file, {}).claim("tracker", in_use_by_us=False)
    worker = Program(
        name="tracker",
        command=(sys.executable, "-c", WORKER, str(port), str(folder.root / "status")),
        env=of_servers({}, folder),
        cwd=str(folder.root),
        ports={"health": port},
        stop_within_s=1,
        settles_within_s=1,
        is_worker=True,
    )
    programs.write(folder, worker)
    supervisor = Supervisor(folder, {})
    supervisor.start()
    supervisor.launch("tracker")
    yield folder
    Parts(folder.root, environ={}).down(say=lambda _: None)


def state(folder: RunFolder) -> tuple[str, int]:
    """Return the supervisor's word for the worker, and its process id."""
    info = Supervisor(folder, {}).infos()["tracker"]
    return info.statename, info.pid


def running(folder: RunFolder, *, other_than: int = 0) -> int:
    """Wait until the worker answers and the supervisor calls it started; return its process id."""
    port = programs.read(folder)["tracker"].ports["health"]
    deadline = time.monotonic() + 30
    while True:
        name, pid = state(folder)
        if name == "RUNNING" and pid != other_than and probes.listens("127.0.0.1", port):
            return pid
        assert time.monotonic() < deadline, f"still {name} as {pid}"
        time.sleep(0.1)


class TestWorkers:
    """`Watchdog.look` on a worker."""

    def test_a_wedged_worker_is_restarted_after_some_strikes(self, folder: RunFolder) -> None:
        """One that says three times in a row that it is not alive is started again, not sooner."""
        watchdog = Watchdog(folder, Supervisor(folder, {}), Patience(strikes=3, grace_s=0))
        pid = running(folder)
        status = folder.root / "status"
        status.write_text("503")
        watchdog.look()
        watchdog.look()
        status.write_text("200")
        watchdog.look()  # a good answer in between starts the count anew
        status.write_text("503")
        watchdog.look()
        watchdog.look()
        assert pid == state(folder)[1]
        watchdog.look()
        status.write_text("200")
        assert pid != running(folder, other_than=pid)

    def test_a_silent_worker_is_restarted(self, folder: RunFolder) -> None:
        """One that does not answer at all, stopped in its tracks, is killed in the end and started again."""
        watchdog = Watchdog(folder, Supervisor(folder, {}), Patience(strikes=1, grace_s=0))
        pid = running(folder)
        psutil.Process(pid).send_signal(signal.SIGSTOP)
        watchdog.look()
        assert pid != running(folder, other_than=pid)

    def test_a_starting_worker_is_left_alone(self, folder: RunFolder) -> None:
        """Within its grace it may be as unwell as it likes."""
        watchdog = Watchdog(folder, Supervisor(folder, {}), Patience(strikes=1, grace_s=3600))
        pid = running(folder)
        (folder.root / "status").write_text("503")
        watchdog.look()
        assert ("RUNNING", pid) == state(folder)

    def test_a_worker_that_refused_is_tried_again(self, folder: RunFolder) -> None:
        """One that ended with "starting again will not help" stays down, until the watchdog's pause is over."""
        supervisor = Supervisor(folder, {})
        pid = running(folder)
        (folder.root / "status").write_text("refuse")
        supervisor.stop(["tracker"])
        supervisor.launch("tracker")
        deadline = time.monotonic() + 60
        while not supervisor.infos()["tracker"].gave_up:
            assert time.monotonic() < deadline, "it was not given up"
            time.sleep(0.2)
        (folder.root / "status").write_text("200")
        Watchdog(folder, supervisor, Patience(retry_s=3600)).look()
        assert "EXITED" == state(folder)[0]
        Watchdog(folder, supervisor, Patience(retry_s=0)).look()
        assert pid != running(folder)


class TestTriton:
    """The supervised watchdog on Triton; a dead stub is tested with the parts."""

    def test_a_silent_server_is_restarted(self, parts: Parts) -> None:
        """A Triton that accepts connections but answers nothing is killed in the end and started again."""
        old = psutil.Process(parts.pid("triton"))
        deadline = time.monotonic() + 25
        while time.time() - old.create_time() < Patience().grace_s:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        parts.kill("triton", signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while is_alive(old) or not self._answers(parts):
            assert time.monotonic() < deadline, "not healed"
            time.sleep(0.5)

    @staticmethod
    def _answers(parts: Parts) -> bool:
        return servers.probe("triton", parts.endpoints().triton_url).healthy
