"""Records whose header names are no UTF-8: anybody may write one, and Kafka's brokers take it.

aiokafka 0.14 decodes the name of a header while it unpacks what it fetched, and raises where that cannot be done. The
reader never gets past such a record: one message of one station stops its partition for everybody. So fetched batches
are unpacked here; a batch with such a name is read a second time with question marks in place of what is illegible, of
the same length. Keys, values and the values of headers are never touched.

Touched of aiokafka, pinned by tests/unit/test_legible.py: `aiokafka.consumer.fetcher.MemoryRecords`, and of what that
makes `has_next`, `size_in_bytes` and `next_batch`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any, Final

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH_AT: Final = 8  # offsets in a batch of the format 2, as KIP-98 gives them
_BODY_AT: Final = 12
_MAGIC_AT: Final = 16
_ATTRIBUTES_AT: Final = 21
_COUNT_AT: Final = 57
_RECORDS_AT: Final = 61
_COMPRESSED: Final = 0b111
_log = structlog.get_logger(__name__)


def install() -> None:
    """Have every consumer of this process read legibly from now on. Can be called again."""
    fetcher.MemoryRecords = LegibleRecords


class LegibleRecords:
    """The batches of one answer of a broker, as aiokafka's fetcher takes them."""

    def __init__(self, raw: bytes) -> None:
        """Take what was fetched; the last batch may be cut off."""
        self._raw = memoryview(raw)
        self._records = MemoryRecords(raw)
        self._at = 0

    def has_next(self) -> bool:
        """Tell whether there is another whole batch."""
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        """Return the size of all that was fetched."""
        return int(self._records.size_in_bytes())

    def next_batch(self) -> Any:  # noqa: ANN401 - aiokafka's batches have no common type
        """Return the next batch, None after the last."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        (length,) = struct.unpack_from(">i", self._raw, self._at + _LENGTH_AT)
        raw = self._raw[self._at : self._at + _BODY_AT + length]
        self._at += len(raw)
        has_headers = raw[_MAGIC_AT] >= 2  # noqa: PLR2004 - the format that brought them
        return _LegibleBatch(batch, raw) if has_headers and not raw[_ATTRIBUTES_AT + 1] & _COMPRESSED else batch


class _LegibleBatch:
    """A batch, its records read a second time where a name is illegible. All else is the batch's own."""

    def __init__(self, batch: Any, raw: memoryview) -> None:  # noqa: ANN401 - as above
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the batch has
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - a record
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except UnicodeDecodeError:
            _log.warning("header names that are no UTF-8", base_offset=self._batch.base_offset)
            yield from itertools.islice(MemoryRecords(legible(self._raw)).next_batch(), read, None)


def legible(batch: bytes | memoryview) -> bytes:
    """Return an uncompressed batch of the format 2 with question marks where names of headers are no UTF-8.

    Its checksum is not made anew: check that of the original.
    """
    mended = bytearray(batch)
    (count,) = struct.unpack_from(">i", mended, _COUNT_AT)
    at = _RECORDS_AT
    for _ in range(count):
        length, at = decode_varint(mended, at)
        end = at + length
        at += 1  # attributes
        for _ in range(2):  # time and offset
            _, at = decode_varint(mended, at)
        for _ in range(2):  # key and value
            at = _after(mended, at)
        headers, at = decode_varint(mended, at)
        for _ in range(headers):
            length, at = decode_varint(mended, at)
            name = bytes(mended[at : at + length])
            try:
                name.decode()
            except UnicodeDecodeError:
                mended[at : at + length] = name.decode("ascii", "replace").encode("ascii", "replace")
            at = _after(mended, at + length)
        at = end
    return bytes(mended)


def _after(batch: bytearray, at: int) -> int:
    """Return where bytes end that are written with their length before them; -1 stands for none."""
    length, start = decode_varint(batch, at)
    return int(start + max(0, length))
