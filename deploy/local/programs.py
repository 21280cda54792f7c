"""What the supervisor starts: one frozen description per part, kept in the run folder."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.folder import RunFolder

EXIT_FATAL: Final = (
    78  # a worker's word for "starting again will not help" (EX_CONFIG); the watchdog still tries, rarely
)
_START_RETRIES: Final = 5  # pauses of 1, 2, .. 5 s; then it is "failed", and the watchdog tries again from time to time


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One part: a command that stays in the foreground and ends on SIGTERM."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str]  # all of it, not additions
    cwd: str
    ports: dict[str, int]  # by use: `kafka`, `metrics`, `health`
    stop_within_s: int
    # One that ends sooner than this is started again with growing pauses; a worker or server that finds its settings
    # wrong has imported or loaded for some seconds by then.
    settles_within_s: int = 5
    is_worker: bool = False
    reads: str = ""  # digest of what the command reads besides its arguments: when it changes, the part is started anew
    clears: tuple[
        str, ...
    ] = ()  # patterns of files that an earlier process may have left and that go before each start


def digest(*contents: bytes) -> str:
    """Return a short digest of the contents, for `Program.reads`."""
    whole = hashlib.sha256()
    for content in contents:
        whole.update(len(content).to_bytes(8))
        whole.update(content)
    return whole.hexdigest()[:16]


def write(folder: RunFolder, program: Program) -> bool:
    """Keep the program's description; return whether it differs from the one kept before.

    The description goes through `launch.py`, because supervisord's own configuration format cannot carry every value
    (quotes and percent signs in environment variables).
    """
    description = folder.programs / f"{program.name}.json"
    new = msgspec.json.encode(program)
    if description.exists() and description.read_bytes() == new:
        return False
    fresh = description.with_suffix(".part")
    fresh.touch(mode=0o600)  # the environment may hold credentials
    fresh.write_bytes(new)
    fresh.replace(description)  # the watchdog and other commands read it at any moment
    (folder.programs / f"{program.name}.conf").write_text(_config(folder, program, description))
    return True


def read(folder: RunFolder) -> dict[str, Program]:
    """Return every program kept in the run folder, by name."""
    programs = (msgspec.json.decode(path.read_bytes(), type=Program) for path in folder.programs.glob("*.json"))
    return {program.name: program for program in programs}


def forget(folder: RunFolder, name: str) -> None:
    """Drop a program, so that the supervisor no longer knows it after its next reload."""
    for suffix in ("json", "conf"):
        (folder.programs / f"{name}.{suffix}").unlink(missing_ok=True)


def log_of(folder: RunFolder, name: str) -> Path:
    """Return the path of a part's log."""
    return folder.logs / f"{name}.log"


def _config(folder: RunFolder, program: Program, description: Path) -> str:
    launcher = Path(__file__).with_name("launch.py")
    command = shlex.join([sys.executable, "-I", "-S", str(launcher), str(description)])
    settings: Mapping[str, object] = {
        "command": _escaped(command),
        "directory": _escaped(program.cwd),
        "autostart": "false",  # `up` starts the parts, and knows which
        "autorestart": "unexpected",
        "exitcodes": EXIT_FATAL,
        "startsecs": program.settles_within_s,
        "startretries": _START_RETRIES,
        "stopsignal": "TERM",
        "stopwaitsecs": program.stop_within_s,
        "killasgroup": "true",  # a SIGKILL takes the part's children along
        "redirect_stderr": "true",
        "stdout_logfile": _escaped(str(log_of(folder, program.name))),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": 2,
    }
    return "\n".join([f"[program:{program.name}]", *(f"{key}={value}" for key, value in settings.items()), ""])


def _escaped(value: str) -> str:
    return value.replace("%", "%%")
