"""The run folder: where everything that exists only while the line runs is kept, and who may change it now."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.faults import Fatal

_LONGEST_SOCKET_PATH: Final = 90  # bytes; Linux allows 107, and supervisord appends a pid while it binds
_LOCK_WITHIN_S: Final = 180.0  # a cold `up` downloads; another command waits this long for it


def checkout() -> Path:
    """Return the folder that holds our packages: the checkout, or site-packages of an installation."""
    return Path(__file__).resolve().parents[2]


def default_run_dir(environ: Mapping[str, str]) -> Path:
    """Return the run folder in force: SIDELINE_RUN_DIR, else `.sideline` in the checkout."""
    configured = environ.get("SIDELINE_RUN_DIR")
    return Path(configured).expanduser().absolute() if configured else checkout() / ".sideline"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside one run folder. Nothing outside of it changes when the line runs, except caches of downloads."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> RunFolder:
        """Make the folder and what must exist in it before anything starts."""
        folder = cls(root.expanduser().resolve())
        for path in (folder.root, folder.logs, folder.programs, folder.images):
            path.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def logs(self) -> Path:
        """One log file per part."""
        return self.root / "logs"

    @property
    def programs(self) -> Path:
        """One description per part: what the supervisor starts, and with which environment."""
        return self.root / "programs"

    @property
    def images(self) -> Path:
        """The image root of the workers unless another is configured."""
        return self.root / "images"

    @property
    def ports_file(self) -> Path:
        """The ports chosen at the first start."""
        return self.root / "ports.json"

    @property
    def endpoints_file(self) -> Path:
        """Where the servers are: what other commands read."""
        return self.root / "endpoints.json"

    @property
    def supervisor_config(self) -> Path:
        """Supervisord's configuration."""
        return self.root / "supervisord.conf"

    @property
    def supervisor_pid_file(self) -> Path:
        """Holds supervisord's process id."""
        return self.root / "supervisord.pid"

    @property
    def socket(self) -> Path:
        """Supervisord's socket: in the run folder, or in the temporary one when that path is too long."""
        path = self.root / "supervisord.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        return Path(tempfile.gettempdir()) / f"sideline-{os.getuid()}-{self.key}" / "supervisord.sock"

    @property
    def key(self) -> str:
        """A short name for this folder, the same in every process: keeps names outside of it apart."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other `up` and `down` commands out while this one works.

        Raises:
            Fatal: another command held the folder for three minutes.
        """
        with locked(self.root / "lock", within_s=_LOCK_WITHIN_S):
            yield


@contextlib.contextmanager
def locked(path: Path, *, within_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel drops it when the holder dies.

    Raises:
        Fatal: another process held it for `within_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + within_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Fatal(
                        f"another sideline command has held {path} for {within_s:.0f} s: end it, then try again"
                    ) from None
                time.sleep(0.1)
        yield


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Return where downloads are kept for every checkout of this user: `sideline` under XDG_CACHE_HOME."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path there is to be ignored.
    root = Path(base) if base and Path(base).is_absolute() else Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return root / "sideline"
