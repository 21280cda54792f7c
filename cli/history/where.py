"""Which line a history is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Where:
    """A line to ask: its servers, the id that its store should have, and the folder of its logs, if it is at hand."""

    bootstrap: str
    decisions_url: str
    gallery_url: str
    store_id: str = ""
    logs: Path | None = None
    scan_window_s: float = 30.0
