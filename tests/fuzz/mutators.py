"""Mutations that keep a format whole, so that inputs get past its first check."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

Plain = Callable[[bytes, int], bytes]

# JSON texts that parsers and arithmetic trip over.
HOSTILE: Final = (
    *("null", "true", "[]", "{}", "0", "-0", "-1", "1.0", "1e999", "NaN", "1" + "0" * 40, "0.1e-300"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e6"),
    *('""', '" "', '"\\ud800"', '"\\u0000"', '"\\u202e"', '"\\uff11"', '"0"', '"../x"', '"%2e%2e"', '"x\\n"'),
    *('"9999-12-31T23:59:59.999999Z"', '"0001-01-01T00:00:00+23:59"', '"2026-01-01T00:00:00"'),
    '"' + "x" * 300 + '"',
    "[" * 2_000 + "]" * 2_000,
)
_MARK: Final = "<here>"
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def json_values(data: bytes, most_bytes: int, seed: int, plain: Plain) -> bytes:
    """Replace, remove, double or move one value of a document; one time in three mutate its bytes instead."""
    rng = random.Random(seed)
    if rng.random() < 1 / 3:
        return plain(data, most_bytes)
    try:
        root = {"root": json.loads(data)}
    except (ValueError, RecursionError):
        return plain(data, most_bytes)
    places = list(_places(root))
    holder, key = rng.choice(places)
    raw = _MARK
    match rng.randrange(6):
        case 0 if isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), holder[key])
        case 1 if holder is not root:
            del holder[key]
        case 2:
            other, at = rng.choice(places)
            holder[key] = other[at] if other is not root else None
        case 3 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice([-holder[key], holder[key] * 10, holder[key] + 1, 2 ** rng.randrange(64)])
        case _:
            raw, holder[key] = rng.choice(HOSTILE), _MARK
    try:
        text = json.dumps(root["root"]).replace(f'"{_MARK}"', raw)
    except (ValueError, RecursionError, KeyError):
        return plain(data, most_bytes)
    return text.encode()[:most_bytes]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    """Yield the holder and key of every value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def png_chunks(data: bytes, most_bytes: int, seed: int, plain: Plain) -> bytes:
    """Mutate the body of one chunk, pixels unpacked, and make its checksum right again."""
    rng = random.Random(seed)
    chunks = list(_chunks(data))
    if not chunks or rng.random() < 1 / 4:
        return plain(data, most_bytes)
    at = rng.randrange(len(chunks))
    kind, body = chunks[at]
    if kind == b"IDAT" and rng.random() < 1 / 2:
        try:
            body = zlib.compress(plain(zlib.decompressobj().decompress(body, most_bytes), most_bytes), 1)
        except zlib.error:
            body = plain(body, most_bytes)
    else:
        body = plain(body, most_bytes)
    chunks[at] = (kind, body)
    if rng.random() < 1 / 8:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    whole = _SIGNATURE + b"".join(chunk(*each) for each in chunks)
    return whole if len(whole) <= most_bytes else plain(data, most_bytes)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of each whole chunk; nothing for what is no PNG."""
    if not data.startswith(_SIGNATURE):
        return
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length
