"""A history as people read it: where the capture stands, then one line per moment."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from cli.history.timeline import History, Mark, Source
from cli.screen import Screen
from telemetry.plain import plain as plain_text

_STYLES: Final = {Mark.PLAIN: "", Mark.WAITING: "yellow", Mark.WRONG: "bold red"}
_SOURCES: Final = {
    Source.CAPTURES: "bold",
    Source.STORE: "bold green",
    Source.DECISIONS: "green",
    Source.SIDELINED: "magenta",
    Source.DEAD: "red",
    Source.LOG: "dim",
}
_WIDE: Final = 100_000  # columns: a report is not cut where a terminal ends


def rendered(history: History) -> Text:
    """Return a history with colours. Times are ms since the first delivery; clocks are those of where it was found."""
    began = history.begins_ms
    text = Text(f"capture {history.capture_id}, site {history.site}\n", style="bold")
    for one in history.standings:
        text.append(f"  {one.words}\n", style=_STYLES[one.mark])
    text.append(
        f"\n{'ms':>10}  from {datetime.fromtimestamp(began / 1000, UTC).isoformat(' ', 'milliseconds')}\n", "dim"
    )
    for moment in history.moments:
        text.append(f"{moment.at_ms - began:>+10.0f}  ")
        text.append(f"{moment.source.value:<12} ", style=_SOURCES.get(moment.source, ""))
        text.append(f"{moment.place:<20} ", style="dim")
        text.append(f"{plain_text(moment.what)}\n", style=_STYLES[moment.mark])
    if history.left_out:
        text.append(f"{'':>10}  {history.left_out} more log lines about workers at that time\n", style="dim")
    return text


def plain(history: History) -> str:
    """Return a history as text without colours, for reports."""
    page = io.StringIO()
    Screen(file=page, width=_WIDE, color_system=None, highlight=False).print(rendered(history), soft_wrap=True, end="")
    return page.getvalue()
