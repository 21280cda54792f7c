"""Bytes to messages and back, and the CloudEvents 1.0 headers (Kafka binary mode) that go with them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from schemas.faults import Poison, Reason
from schemas.messages import DeadLetter, Message
from schemas.words import MAX_EVENT_BYTES

Headers = Sequence[tuple[str, bytes]]
M = TypeVar("M", bound=Message)

CONTENT_TYPE: Final = b"application/json"
# What msgspec raises for bytes that are no document of the type that was asked for. Text that is no UTF-8 is a
# ValueError, nesting without end a RecursionError.
NO_DOCUMENT: Final = (msgspec.DecodeError, ValueError, RecursionError)
_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[dict[type[Message], msgspec.json.Decoder[Message]]] = {}


def encode(message: Message) -> bytes:
    """Write a message as compact JSON with times in RFC 3339 UTC."""
    return _ENCODER.encode(message)


def decode(kind: type[M], raw: bytes | None) -> M:
    """Read a message.

    Nesting without end is a RecursionError at Python's usual limit of 1,000. A process that raises the limit by orders
    of magnitude lets a hostile message overflow the C stack instead.

    Raises:
        Poison: `too_large` or `unreadable`, with the field at fault where it is known.
    """
    if not raw:
        raise Poison(Reason.UNREADABLE, f"empty message where a {kind.__name__} was expected")
    if len(raw) > MAX_EVENT_BYTES:
        raise Poison(Reason.TOO_LARGE, f"{len(raw)} bytes, the limit is {MAX_EVENT_BYTES}")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(raw)  # type: ignore[return-value]
    except NO_DOCUMENT as error:
        raise Poison(Reason.UNREADABLE, f"not a {kind.__name__}: {error}") from error


def read_dead_letter(headers: Headers) -> DeadLetter:
    """Read what a dead letter's headers add to the original.

    Raises:
        Poison: `unreadable`, when they are not those of a dead letter.
    """
    wanted = {field.encode_name for field in msgspec.structs.fields(DeadLetter)}
    try:
        texts = {name: (value or b"").decode() for name, value in headers if name in wanted}
        return msgspec.convert(texts, DeadLetter, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Poison(Reason.UNREADABLE, f"not the headers of a dead letter: {error}") from error


def cloud_headers(*, entity: str, event_id: str, source: str, time: str) -> list[tuple[str, bytes]]:
    """Return CloudEvents 1.0 headers for an event of `entity` (`capture`, `decision`, ...) in version 1."""
    pairs = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": f"sideline.{entity}.v1",
        "ce_time": time,
    }
    return [*((name, value.encode()) for name, value in pairs.items()), ("content-type", CONTENT_TYPE)]


def rfc3339(moment: datetime) -> str:
    """Format an aware time as RFC 3339 UTC with microseconds and a Z.

    Raises:
        ValueError: a time without an offset, or one that UTC cannot name within the years 1 to 9999.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no offset from UTC")
    try:
        # Not strftime: it writes the year 33 as "33".
        return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError as error:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from error


def new_uuid7(*, at_ms: int, random_bits: int) -> str:
    """Make a UUIDv7 (RFC 9562) from a Unix time in milliseconds and 74 random bits."""
    rand_a, rand_b = (random_bits >> 62) & 0xFFF, random_bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=(at_ms & ((1 << 48) - 1)) << 80 | 7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b))


def uuid7_ms(capture_id: str) -> int:
    """Return the Unix time in milliseconds inside a UUIDv7."""
    return uuid.UUID(capture_id).int >> 80
