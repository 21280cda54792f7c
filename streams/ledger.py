"""The ledger: which deliveries of a partition are finished, and how far their offsets may be acknowledged.

Faust infers progress from acks alone, so an ack out of order lets it commit past a message still in work and lose it
on a crash. The ledger therefore hands out acks in delivery order only: an entry is released when it and every entry
before it have finished (promise P1).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One delivery on the ledger. `token` is whatever must be acknowledged once it is this entry's turn."""

    token: T
    entered_at: float
    finished: bool = False


@dataclass(slots=True)
class Ledger(Generic[T]):
    """The deliveries of one partition in one generation, oldest first.

    Times are seconds of one monotonic clock, given by the caller.
    """

    _entries: deque[Entry[T]] = field(default_factory=deque)
    _unfinished: int = 0

    def enter(self, token: T, *, now: float) -> Entry[T]:
        """Write down a delivery before work on it starts."""
        entry = Entry(token, now)
        self._entries.append(entry)
        self._unfinished += 1
        return entry

    def finish(self, entry: Entry[T]) -> list[T]:
        """Note that an entry's outcome is durable; return the tokens whose turn has come, in delivery order.

        Finishing an entry twice releases nothing the second time.
        """
        if entry.finished:
            return []
        entry.finished = True
        self._unfinished -= 1
        released: list[T] = []
        while self._entries and self._entries[0].finished:
            released.append(self._entries.popleft().token)
        return released

    @property
    def behind_head(self) -> int:
        """How many entries wait for their acknowledgement, the head included."""
        return len(self._entries)

    @property
    def unfinished(self) -> int:
        """How many entries have no outcome yet."""
        return self._unfinished

    def head_age_s(self, *, now: float) -> float:
        """How long the oldest unreleased entry has been here; 0 when there is none."""
        return now - self._entries[0].entered_at if self._entries else 0.0
