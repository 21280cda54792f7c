"""How well codes are read, where somebody wrote down what they say, and in how many times the library's own time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import zxingcpp

from evidence.code_reader import LONG_SIDE, Effort, read_codes
from evidence.codes import Code
from evidence.decode import decode


@dataclass(slots=True)
class CodeCard:
    """Counts of pictures. A wrong text only counts against the reader where it says that it is confirmed."""

    pictures: int = 0
    with_text: int = 0
    confirmed: int = 0  # the right text, confirmed
    unconfirmed: int = 0  # the right text, but not confirmed
    missed: int = 0
    wrong: int = 0  # another text confirmed than the one that is there
    false_positives: int = 0  # a text confirmed where there is none
    ours_s: float = 0.0
    library_s: float = 0.0

    def count(self, expected: str, codes: Sequence[Code]) -> None:
        """Count one picture."""
        text = words(expected)
        right = [code for code in codes if text and words(code.text) == text]
        sure = any(code.confirmed for code in right)
        false = any(code.confirmed for code in codes if code not in right)
        self.pictures += 1
        self.with_text += bool(text)
        self.confirmed += sure
        self.unconfirmed += bool(right) and not sure
        self.missed += bool(text) and not right
        self.wrong += false and bool(text)
        self.false_positives += false and not text

    def time(self, raw: bytes, effort: Effort) -> None:
        """Time our reader and the library with its default settings on the same pixels; decoding is not counted.

        CPU time of this thread, so that the ratio does not depend on what else the machine does. Only for pictures
        that the pool has read before: this happens in the process of the command.
        """
        rgb, _ = decode(raw, long_side=LONG_SIDE)
        began = time.thread_time()
        read_codes(rgb, view=0, effort=effort)
        between = time.thread_time()
        zxingcpp.read_barcodes(rgb)
        self.ours_s += between - began
        self.library_s += time.thread_time() - between

    def lines(self) -> list[str]:
        """Return the card in words."""
        found = [
            f"{self.pictures} pictures, {self.with_text} with a text",
            f"read and confirmed {self.confirmed}, read but not confirmed {self.unconfirmed}, missed {self.missed}",
            f"confirmed and wrong {self.wrong}, confirmed where there is no code {self.false_positives}",
        ]
        if self.library_s > 0 and self.pictures:
            ours, library = (1000 * each / self.pictures for each in (self.ours_s, self.library_s))
            found.append(
                f"reading, CPU ms a picture: {ours:.1f}; zxing-cpp with default settings {library:.1f}; "
                f"ratio {self.ours_s / self.library_s:.1f}"
            )
        return found


def words(text: str) -> str:
    """Return a text in the form in which it is compared: spaces of any kind and number are one."""
    return " ".join(text.split())
