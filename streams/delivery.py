"""One event as Kafka delivered it, free of Faust's types, so that workers and tests need no broker to handle one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivered event. `append_ms` is the broker's append time, Unix milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    append_ms: int
