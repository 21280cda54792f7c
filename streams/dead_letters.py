"""Dead letters: the original key, value and headers, plus Kafka Connect's error headers and our reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from schemas.codec import rfc3339
from schemas.faults import Poison
from streams.delivery import Delivery

MAX_MESSAGE_CHARS: Final = 500  # attackers choose what is quoted in messages; keep the headers small


def headers_of(
    delivery: Delivery, fault: Poison, *, worker: str, failed_at: str | None = None
) -> list[tuple[str, bytes]]:
    """Return the headers of the dead letter for a delivery, originals first.

    A dead letter that is redriven and dies again carries only its newest error headers.
    """
    kept = [
        (name, value) for name, value in delivery.headers if not name.startswith(("__connect.errors.", "sideline-"))
    ]
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
    return [*kept, *((name, value.encode()) for name, value in added.items())]
