"""How far long work is, where no terminal shows bars."""

from __future__ import annotations

import io

from rich.console import Console

from cli.meter import Meter


class TestMeter:
    """Meter outside a terminal."""

    def test_a_stage_ends_with_its_count(self) -> None:
        """The first and the last step of a stage are said, not each of a thousand."""
        stream = io.StringIO()
        with Meter(Console(file=stream, width=100)) as meter:
            for done in range(1001):
                meter.say("captures", done, 1000)
        lines = stream.getvalue().splitlines()

        assert 2 == len(lines)
        assert lines[-1].startswith("captures: 1,000 of 1,000")

    def test_bars_in_a_terminal(self) -> None:
        """A terminal gets one bar a stage, with the count."""
        stream = io.StringIO()
        with Meter(Console(file=stream, width=100, force_terminal=True)) as meter:
            meter.say("references", 4, 4)
            meter.say("captures", 3, 7)
        assert "references" in stream.getvalue()
        assert "3/7" in stream.getvalue()
