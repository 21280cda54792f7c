"""Processes that outlived their supervisor: found by a mark in their environment, ended, never looked up by name.

Every process that the supervisor starts, and every child of those, inherits the mark with the run folder's path as its
value. It is read from the kernel, so a reused process id, another checkout's broker or a system's own Redis can not be
mistaken for ours; and nothing has to be written down in time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Final

import psutil

from deploy.local.folder import RunFolder

MARK: Final = "SIDELINE_PARTS_OF"


def find(folder: RunFolder) -> list[psutil.Process]:
    """Return every living process that carries this run folder's mark, never this process or its ancestors."""
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    value = str(folder.root)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in spared and process.environ().get(MARK) == value and is_alive(process):
                found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Tell whether the process still runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(processes: Sequence[psutil.Process], *, patience_s: float) -> None:
    """Ask the processes to end, and kill those that have not after `patience_s`."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in outliving(processes, patience_s):
        with contextlib.suppress(psutil.Error):
            process.kill()
    outliving(processes, patience_s)


def outliving(processes: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait until all have ended, `patience_s` at most, and return the rest."""
    deadline = time.monotonic() + patience_s
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def supervisor(folder: RunFolder) -> psutil.Process | None:
    """Return this folder's living supervisord: the process its pid file names, if that carries the mark."""
    try:
        process = psutil.Process(int(folder.supervisor_pid_file.read_text()))
        marked = process.environ().get(MARK) == str(folder.root)
    except (OSError, ValueError, psutil.Error):
        return None
    return process if marked and is_alive(process) else None
