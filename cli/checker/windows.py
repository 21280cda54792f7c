"""Promise P5 in every window: no run of consecutive decisions may hold more events than rate x length + burst.

There are n(n+1)/2 windows. Writing +1 - rate for an event and -rate for anything else, a window breaks the promise
exactly when its sum is above the burst, so one pass for the largest sum of a contiguous run judges them all
(Kadane's maximum subarray). All numbers are integers of millionths, so nothing is rounded away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.words import MICRO


@dataclass(frozen=True, slots=True)
class Window:
    """The run of decisions that came closest to the cap, or went furthest beyond it.

    `first` and `last` are positions (0-based, inclusive); `used` and `allowed` are millionths of a token.
    """

    first: int
    last: int
    events: int
    allowed: int

    @property
    def length(self) -> int:
        """How many decisions the window spans."""
        return self.last - self.first + 1

    @property
    def used(self) -> int:
        """The events in the window, in millionths."""
        return self.events * MICRO

    @property
    def holds(self) -> bool:
        """Whether the window keeps the promise."""
        return self.used <= self.allowed


def worst_window(events: Sequence[bool], *, rate: int, burst: int) -> Window | None:
    """Return the window with the least room left under the cap; None for an empty sequence.

    `events[i]` says whether decision i counts; `rate` is millionths per decision, `burst` millionths.
    """
    best: Window | None = None
    best_sum = start = running = 0
    for position, event in enumerate(events):
        if running <= 0:
            start, running = position, 0
        running += (MICRO if event else 0) - rate
        if best is None or running > best_sum:
            best_sum = running
            length = position - start + 1
            best = Window(start, position, (running + rate * length) // MICRO, burst + rate * length)
    return best
