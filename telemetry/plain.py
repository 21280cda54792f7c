"""Text of strangers as it can stand in a log, on a terminal, or in one line of either.

Newlines forge lines, ANSI sequences hide, recolour and retitle, bidirectional marks turn words round. Whoever may put a
message on a topic chooses such text: in ids that are refused, in notes and titles, in what errors quote.
"""

from __future__ import annotations


def plain(text: str) -> str:
    """Return text with everything that does not print, line breaks included, as an escape of Python's."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plain_lines(text: str) -> str:
    """Return text of several lines, each plain."""
    return "\n".join(map(plain, text.split("\n")))


def cut(text: str, longest: int) -> str:
    """Return at most `longest` characters of a text, and how many there were."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"
