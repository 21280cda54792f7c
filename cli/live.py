"""The live view of a line: a screen in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.screen import Screen
from cli.summary import percentile
from cli.watch import Watch
from cli.wording import STYLES, log_odds
from schemas.words import MICRO, IdentityMethod

SCREEN_EVERY_S: Final = 0.5
LINE_EVERY_S: Final = 5.0
GAUGE_WIDTH: Final = 24
PLAIN_WIDTH: Final = 130
_ORDER: Final = ("pass", "damage", "identity", "audit", "withheld", "undetermined", "rejected")
_METHODS: Final = (
    (IdentityMethod.SCAN, "scan"),
    (IdentityMethod.BARCODE, "code in the picture"),
    (IdentityMethod.IMAGE, "looks"),
    (IdentityMethod.NONE, "not identified"),
)


def wide_console(*, stderr: bool = False) -> Console:
    """Return a console that does not squeeze its tables where no terminal says how wide it is."""
    console = Screen(stderr=stderr)
    return console if console.is_terminal else Screen(stderr=stderr, width=max(console.width, PLAIN_WIDTH))


@contextlib.asynccontextmanager
async def showing(watch: Watch, console: Console) -> AsyncIterator[None]:
    """Show a watch while the block runs."""
    show = _screen(watch, console) if console.is_terminal else _lines(watch, console)
    task = asyncio.create_task(show)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _screen(watch: Watch, console: Console) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(screen(watch), refresh=True)
            await asyncio.sleep(SCREEN_EVERY_S)


async def _lines(watch: Watch, console: Console) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        console.print(line(watch), soft_wrap=True, highlight=False)


def line(watch: Watch) -> str:
    """Return the view in one line."""
    asked = "" if watch.asked_for is None else f" of {watch.asked_for}"
    words = ", ".join(f"{watch.words[word]} {word}" for word in _ORDER if watch.words[word])
    parts = [
        f"{time.monotonic() - watch.started_at:4.0f} s  {watch.phase}: {len(watch.sent)}{asked} sent",
        f"{len(watch.answered)} answered" + (f" ({words})" if words else ""),
        f"p50 {percentile(sorted(watch.delays_ms), 0.5):.0f} ms",
    ]
    if watch.budget is not None:
        state = watch.budget
        burst = state.config.burst_tokens
        parts.append(f"budget {state.balance / MICRO:.2f} + {state.pending / MICRO:.0f} pending of {burst}")
    parts.append("waiting for " + "; ".join(watch.waiting_for() or ["nothing"]))
    return " · ".join(parts)


def screen(watch: Watch) -> RenderableType:
    """Return the view as a screen."""
    columns = Table.grid(padding=(0, 4))
    for _ in range(3):
        columns.add_column(vertical="top")
    columns.add_row(_answers(watch), _identities(watch), _budget(watch))
    rows: list[RenderableType] = [_progress(watch), Text(), columns, Text(), _parts(watch), _waits(watch)]
    rows += [Text(note, style="magenta") for note in watch.notes]
    return Panel(
        Group(*rows), title=f"sideline · site {watch.site}", title_align="left", box=box.ROUNDED, padding=(1, 2)
    )


def _progress(watch: Watch) -> Text:
    seconds = time.monotonic() - watch.started_at
    asked = "" if watch.asked_for is None else f" of {watch.asked_for}"
    delays = sorted(watch.delays_ms)
    text = Text(f"{watch.phase}", style="bold")
    text.append(f"   {len(watch.sent)}{asked} captures sent, {len(watch.answered)} answered", style="not bold")
    text.append(f"   {len(watch.answered) / max(seconds, 1e-3):.1f}/s", style="not bold")
    text.append(f"   p50 {percentile(delays, 0.5):.0f} ms, p99 {percentile(delays, 0.99):.0f} ms", style="not bold")
    return text


def _answers(watch: Watch) -> Table:
    table = _list("answers")
    for word in _ORDER:
        table.add_row(Text(word, style=STYLES.get(word, "")), str(watch.words[word]))
    table.add_row("dead letters", str(len(watch.refused)))
    table.add_row("verdicts", str(watch.verdicts))
    return table


def _identities(watch: Watch) -> Table:
    table = _list("identified by")
    for method, words in _METHODS:
        table.add_row(words, str(watch.methods[method]))
    table.add_row("conflicts", str(watch.conflicts))
    return table


def _budget(watch: Watch) -> Table:
    table = _list("false-alarm budget")
    state = watch.budget
    if state is None:
        table.add_row("not known yet", "")
        return table
    burst = max(1, state.config.burst_tokens)
    table.add_row(gauge(state.balance / MICRO, state.pending / MICRO, burst), f"of {burst}")
    table.add_row("balance", f"{state.balance / MICRO:.2f}")
    table.add_row("waiting for verdicts", f"{state.pending / MICRO:.0f}")
    table.add_row("withheld", str(state.withheld))
    table.add_row("diverts", str(state.damage_diverts + state.identity_diverts + state.audit_diverts))
    for threshold in state.thresholds.values():
        table.add_row("threshold", log_odds(threshold.threshold))
    return table


def gauge(balance: float, pending: float, burst: float) -> Text:
    """Draw the accounts: free tokens full, tokens that wait for a verdict shaded, the rest empty."""
    free = round(GAUGE_WIDTH * balance / burst)
    waiting = min(GAUGE_WIDTH - free, round(GAUGE_WIDTH * pending / burst))
    bar = Text("█" * free, style="blue")
    bar.append("▒" * waiting, style="blue")
    return bar.append("·" * (GAUGE_WIDTH - free - waiting), style="dim")


def _parts(watch: Watch) -> Text:
    text = Text("parts     ", style="bold")
    for part in watch.parts:
        well = part.state in {"running", "elsewhere"} and part.healthy is not False
        unwell = part.state if part.state != "running" else "not healthy"
        text.append(part.name if well else f"{part.name} ({unwell})", style="green not bold" if well else "bold red")
        text.append("  ")
    return text


def _waits(watch: Watch) -> Text:
    waits = watch.waiting_for()
    text = Text("waits for ", style="bold")
    return text.append("; ".join(waits) or "nothing", style="bold yellow" if waits else "green not bold")


def _list(title: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(title, header_style="bold")
    table.add_column("", justify="right")
    return table
