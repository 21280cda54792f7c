"""A folder for decoders that read files."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path


@cache
def scratch() -> Path:
    """Return this process's folder, empty at first. A campaign puts it into memory, and removes it."""
    return Path(tempfile.mkdtemp(prefix="sideline-fuzz-"))
