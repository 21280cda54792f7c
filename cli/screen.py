"""Where commands write what strangers wrote: text stays text, whatever the terminal would make of it.

Rich takes care of its own markup and lets terminal sequences through: a title of a product could clear the screen,
retitle the window, or overwrite what the line above it says. Every command prints through `Screen`, or `print`s what
went through `plain` (`telemetry.plain`) or `plain_json`.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from telemetry.plain import plain, plain_lines


class Screen(Console):
    """A console that writes everything that does not print as an escape, its own styles and line breaks excepted."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of what is to be shown."""
        for segment in super().render(renderable, options):
            harmless = segment.control or segment.text.isprintable()
            yield segment if harmless else Segment(plain_lines(segment.text), segment.style)


def on_one_line(text: Text) -> Text:
    """Return text that is one event without line breaks of a stranger's, which would pass for events of their own."""
    return text if "\n" not in text.plain else Text(plain(text.plain), style=text.style)


def plain_json(raw: bytes) -> str:
    """Return JSON with what does not print escaped inside its strings: the same document, safe to look at."""
    text = raw.decode()
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable() or char == "\n":  # between values, where somebody laid it out: inside strings it is escaped
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
