"""Ports: configured, or chosen free at the first start and remembered in the run folder."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from schemas.faults import Fatal

# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes one of ours between two runs.
_FIRST: Final = 20_000
_LAST: Final = 32_000
_TRIES: Final = 200


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the loopback port (connections that linger in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def variable(name: str) -> str:
    """Return the environment variable that configures the port `name` (`kafka` -> SIDELINE_KAFKA_PORT)."""
    return f"SIDELINE_{name.upper().replace('-', '_')}_PORT"


class PortBook:
    """The ports of one run folder, by name."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        """Read what earlier starts remembered."""
        self._file = file
        self._environ = environ
        try:
            self._ports = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            self._ports = {}

    def known(self, name: str) -> int | None:
        """Return the port `name` was given before."""
        return self._ports.get(name)

    def claim(self, name: str, *, in_use_by_us: bool) -> int:
        """Return the port for `name` and remember it.

        The same port as before is kept whenever possible: other processes have it in their settings. A remembered port
        that someone else took meanwhile is replaced, a configured one is not: that is for the user to mend.

        Raises:
            Fatal: the configured port is no port, or another process listens on it.
        """
        before = self._ports.get(name)
        wanted = self._configured(name)
        port = before if wanted is None else wanted
        if port is not None and in_use_by_us and port == before:
            return port
        if wanted is not None and not is_free(wanted):
            raise Fatal(
                f"port {wanted} ({variable(name)}) is taken by another process: "
                "free it, or unset the variable to have one chosen"
            )
        if port is None or not is_free(port):
            port = _choose(set(self._ports.values()))
        self._ports[name] = port
        self._file.write_bytes(msgspec.json.format(msgspec.json.encode(self._ports)))
        return port

    def _configured(self, name: str) -> int | None:
        text = self._environ.get(variable(name), "")
        if not text:
            return None
        if not text.isdecimal() or not 0 < int(text) < 65536:  # noqa: PLR2004 - TCP's ports
            raise Fatal(f"{variable(name)}={text!r} is no port: give a number from 1 to 65535")
        return int(text)


def _choose(taken: Collection[int]) -> int:
    for _ in range(_TRIES):
        port = random.SystemRandom().randint(_FIRST, _LAST)
        if port not in taken and is_free(port):
            return port
    raise Fatal(f"no free port found between {_FIRST} and {_LAST} on 127.0.0.1")
