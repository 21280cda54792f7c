"""A Redis of one test's own, as the decision store runs, to be maltreated."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from budget.sample import Trial


class Server:
    """One redis-server that can be killed and started again; what it has on disk stays."""

    trial: Trial
    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        """Remember how to start it, with its files in `folder`."""
        self.port, program = free_port(), shutil.which("redis-server")
        assert program is not None
        flags = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        self.command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), *flags]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, again if need be."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it at once, even where it is frozen."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """Return a port no one listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
