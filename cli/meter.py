"""How far long work is: bars in a terminal, a line every few seconds elsewhere. All of it on standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_S: Final = 10.0


class Meter:
    """Stages of work, each with a count and a rate: `with Meter(console) as meter: meter.say(stage, done, of)`."""

    def __init__(self, console: Console) -> None:
        """Show on a console."""
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, tuple[float, int]] = {}  # when, and what was done already
        self._spoke_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        self._bars.stop()

    def say(self, stage: str, done: int, of: int) -> None:
        """Hear how far a stage is."""
        now = time.monotonic()
        began, before = self._began.setdefault(stage, (now, done))
        rate = f"{(done - before) / (now - began):.1f}/s" if now > began else ""
        if self._bars.disable:
            if done == of or now - self._spoke_at >= LINE_EVERY_S:
                self._spoke_at = now
                self._console.print(f"{stage}: {done:,} of {of:,} {rate}".rstrip(), highlight=False)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=of, rate="")
        self._bars.update(self._tasks[stage], completed=done, total=of, rate=rate)
