"""Which line a history is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.here import Line
from settings.line import Settings


@dataclass(frozen=True, slots=True)
class Where:
    """A line to ask: its servers, the id that its store should have, and the folder of its logs, if it is at hand."""

    bootstrap: str
    decisions_url: str
    gallery_url: str
    store_id: str = ""
    logs: Path | None = None
    scan_window_s: float = 30.0


def where_of(line: Line) -> Where:
    """Return what a history asks of a line."""
    return Where(
        bootstrap=line.bootstrap,
        decisions_url=line.endpoints.redis_decisions_url,
        gallery_url=line.endpoints.redis_gallery_url,
        store_id=line.store_id,
        logs=line.folder.logs,
        scan_window_s=Settings().scan_window_s,
    )
