"""A running line for the length of a command: started if none runs, and stopped again by whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from budget.config import BudgetConfig
from cli.here import LAST_SITE, Line, here
from cli.site import add_site, initialise
from deploy.local.folder import default_run_dir
from deploy.local.parts import Parts
from settings.line import Settings

Say = Callable[[str], None]
WORKERS: Final = ("inspector", "tracker", "curator", "settler", "herald")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The site a command needs, and the workers to serve it.

    `env` is for the workers only. With `inspectors` None, workers that run stay as they are, and `env` is for those
    that this command starts.
    """

    site: str
    lines: tuple[str, ...]
    config: BudgetConfig
    inspectors: int | None = 1
    env: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def running_line(wanted: Wanted, *, keep_up: bool, say: Say) -> Iterator[tuple[Parts, Line]]:
    """Give a line that serves the wanted site.

    The site is registered before the workers start, so they serve it from their first breath. What was not running
    before is stopped at the end, whatever happens in between, Ctrl-C and SIGTERM included; with `keep_up` it stays.

    Raises:
        Fatal: something is missing or did not come up; says how to mend it.
    """
    parts = Parts(default_run_dir(os.environ))
    with _terminated_like_ctrl_c():
        running = [part.name for part in parts.status() if part.state in {"running", "starting"}]
        workers = [name for name in running if name.startswith(WORKERS)]
        leave = wanted.inspectors is None and bool(workers)
        try:
            parts.up(say=say)
            line = here()
            is_new = asyncio.run(_register(line, wanted))
            if not leave:
                # Workers start again by themselves when a site is new, but only after a while.
                _each(parts.stop, workers)
                _start_workers(parts, line, wanted, wanted.env, say)
            elif is_new:
                _each(parts.restart, workers)
            (line.folder.root / LAST_SITE).write_text(wanted.site + "\n")
            yield parts, line
        finally:
            with _undisturbed():
                if not running and not keep_up:
                    parts.down(say=say)
                elif wanted.env and not leave:  # what was set for this command only must not outlive it
                    _start_workers(parts, here(), wanted, {}, say)


def _start_workers(parts: Parts, line: Line, wanted: Wanted, env: Mapping[str, str], say: Say) -> None:
    parts.start_workers(inspectors=wanted.inspectors or 1, env={"SIDELINE_STORE_ID": line.store_id, **env}, say=say)


async def _register(line: Line, wanted: Wanted) -> bool:
    """Make sure that the site is there and has the wanted budget; return whether it is new."""
    partitions = Settings().partitions
    await initialise(line, partitions=partitions)
    store = line.store()
    try:
        is_new = wanted.site not in await store.sites()
        await add_site(line, wanted.site, wanted.lines, config=wanted.config, partitions=partitions)
        await store.configure(wanted.site, wanted.config)
    finally:
        await store.close()
    return is_new


def _each(act: Callable[[str], None], names: list[str]) -> None:
    """Do something to several parts at once."""
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        list(pool.map(act, names))


@contextlib.contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command like Ctrl-C does, so that `finally` runs."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore further signals: an impatient second Ctrl-C must not leave half of the parts running."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
