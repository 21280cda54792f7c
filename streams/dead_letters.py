"""Dead letters: the original key, value and headers, plus Kafka Connect's error headers and our reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from schemas.codec import Headers, rfc3339
from schemas.faults import Poison
from streams.delivery import Delivery

REDRIVES: Final = "sideline-redrives"
MAX_COUNT_DIGITS: Final = 4
MAX_MESSAGE_CHARS: Final = 500  # attackers choose what is quoted in messages; keep the headers small


def headers_of(
    delivery: Delivery, fault: Poison, *, worker: str, failed_at: str | None = None, redrives: int | None = None
) -> list[tuple[str, bytes]]:
    """Return the headers of the dead letter for a delivery, originals first.

    A dead letter that is redriven and dies again carries only its newest error headers, and how often it was redriven:
    `redrives` where a record says so, else what the delivery itself says.
    """
    kept = original_headers(delivery.headers)
    before = redrives_of(delivery.headers) if redrives is None else redrives
    message = "".join(char if char.isprintable() else "?" for char in str(fault))[:MAX_MESSAGE_CHARS]
    added = {
        "__connect.errors.topic": delivery.topic,
        "__connect.errors.partition": str(delivery.partition),
        "__connect.errors.offset": str(delivery.offset),
        "__connect.errors.connector.name": worker,
        "__connect.errors.stage": "VALUE_CONVERTER" if fault.reason.value == "unreadable" else "TASK_PUT",
        "__connect.errors.exception.class.name": type(fault).__name__,
        "__connect.errors.exception.message": message,
        "sideline-reason": fault.reason.value,
        "sideline-failed-at": failed_at or rfc3339(datetime.now(UTC)),
    }
    if before:
        added[REDRIVES] = str(before)
    return [*kept, *((name, value.encode()) for name, value in added.items())]


def original_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Return the headers that a message had before it became a dead letter or was redriven."""
    return [(name, value) for name, value in headers if not name.startswith(("__connect.errors.", "sideline-"))]


def redrives_of(headers: Headers) -> int:
    """Return how often a message says that it was redriven.

    Whoever may write to an input topic can claim any number. A claim only ever stops the redriving of that message.
    """
    said = dict(headers).get(REDRIVES) or b""
    return int(said) if said.isdigit() and len(said) <= MAX_COUNT_DIGITS else 0
