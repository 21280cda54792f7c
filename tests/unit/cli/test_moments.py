"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.moments import moment
from schemas.faults import Fatal

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class TestMoment:
    """`moment`."""

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
            ("2026-11-20T10:15", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
            ("2026-11-20T10:15:00+01:00", datetime(2026, 11, 20, 9, 15, tzinfo=UTC)),
            ("2026-11-20T10:15:00Z", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
            (" 90m ", NOW - timedelta(minutes=90)),
            ("36h", NOW - timedelta(hours=36)),
            ("7d", NOW - timedelta(days=7)),
            ("0m", NOW),
        ],
    )
    def test_forms(self, typed: str, meant: datetime) -> None:
        """A day, a moment, how long ago; UTC unless an offset says otherwise."""
        assert meant == moment(typed, NOW)
        assert moment(typed, NOW).tzinfo is UTC

    @pytest.mark.parametrize("typed", ["", "yesterday", "7", "-7d", "1w", "2026-13-01", "999999d", "7dd"])
    def test_anything_else_names_the_forms(self, typed: str) -> None:
        """Rather than meaning some other time."""
        with pytest.raises(Fatal, match="is no time; say 2026-11-20"):
            moment(typed, NOW)

    @given(st.text(max_size=30))
    def test_no_text_is_a_traceback(self, typed: str) -> None:
        """A time or a sentence."""
        try:
            found = moment(typed, NOW)
        except Fatal:
            return
        assert found.tzinfo is UTC
