"""Bounded waits that say what they wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.probes import Probe
from schemas.faults import Fatal

_POLL_S: Final = 0.15
_SAY_EVERY_S: Final = 5.0
_TAIL_LINES: Final = 20
_LINE_CHARS: Final = 300


def wait_until_healthy(
    name: str,
    probe: Callable[[], Probe],
    *,
    within_s: float,
    failed: Callable[[], str | None],
    log: Path,
    say: Callable[[str], None],
) -> None:
    """Ask again and again until the part is healthy.

    `failed` returns why there is no use in waiting any longer, or None.

    Raises:
        Fatal: it was not healthy in time, or failed; with the end of its log.
    """
    began = said = time.monotonic()
    while True:
        seen = probe()
        if seen.healthy:
            return
        now = time.monotonic()
        if reason := failed():
            raise Fatal(f"{name} failed: {reason}\n{tail(log)}")
        if now - began > within_s:
            raise Fatal(f"{name} was not ready within {within_s:.0f} s: {seen.detail}\n{tail(log)}")
        if now - said > _SAY_EVERY_S:
            said = now
            say(f"still waiting for {name}: {now - began:.0f} s of at most {within_s:.0f} ({seen.detail})")
        time.sleep(_POLL_S)


def last_words(log: Path) -> str:
    """Return what a log ends with: of a structured line, the error or the event."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), "")
    try:
        said = msgspec.json.decode(last, type=_LogLine)
    except msgspec.DecodeError:
        return last[:_LINE_CHARS]
    return said.error or said.event


class _LogLine(msgspec.Struct, frozen=True):
    """What our own processes log."""

    event: str = ""
    error: str = ""


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log under a line that names it, without blank lines and tables."""
    try:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip() and line[0] not in "|+"]
    except OSError:
        return f"({log} is not there)"
    return "\n".join([f"the end of {log}:", *(f"  {line[:_LINE_CHARS]}" for line in said[-lines:])])
