"""Times as people type them: a day, a moment, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.faults import Fatal

FORMS: Final = "2026-11-20, 2026-11-20T10:15, 2026-11-20T10:15:00+01:00, or how long ago: 90m, 36h, 7d"
_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def moment(text: str, now: datetime) -> datetime:
    """Return the time that was typed, in UTC; without an offset UTC is meant.

    Raises:
        Fatal: it is no time; names the forms that are.
    """
    said = text.strip()
    try:
        if ago := _AGO.fullmatch(said):
            return now - int(ago[1]) * _UNITS[ago[2]]
        found = datetime.fromisoformat(said)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fatal(f"{text!r} is no time; say {FORMS}") from None
