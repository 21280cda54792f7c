"""Batches whose header names are no UTF-8 are read all the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from streams import legible
from streams.legible import LegibleRecords

BAD = b"na\xffmes"
Headers = Sequence[tuple[bytes, bytes]]


def batch(*records: tuple[bytes | None, bytes | None, Headers], compression: int = 0) -> bytes:
    """Return a batch as a broker stores it, with any bytes as names of headers."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    names = []
    for number, (key, value, headers) in enumerate(records):
        marked = [
            (f"{number:03}{at:03}".ljust(len(name), "_")[: len(name)], each) for at, (name, each) in enumerate(headers)
        ]
        names += [(mark.encode(), name) for (mark, _), (name, _) in zip(marked, headers, strict=True)]
        builder.append(number, timestamp=1, key=key, value=value, headers=marked)
    raw = bytes(builder.build())
    for mark, name in names:
        raw = raw.replace(mark, name)
    checksum: int = calc_crc32c(raw[21:])
    return raw[:17] + checksum.to_bytes(4, "big") + raw[21:]


def read(raw: bytes) -> list[Any]:
    """Read all records as the fetcher does."""
    records, found = LegibleRecords(raw), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += list(one)
    assert records.next_batch() is None
    return found


class TestLegibleRecords:
    """`LegibleRecords`."""

    def test_aiokafka_still_raises(self) -> None:
        """If it does not any more, all of this can go."""
        with pytest.raises(UnicodeDecodeError):
            list(MemoryRecords(batch((b"k", b"v", [(b"honest", b""), (BAD, b"")]))).next_batch())

    def test_the_record_and_those_around_it_are_read(self) -> None:
        """Names become question marks where they are illegible; nothing else changes, nothing comes twice."""
        raw = batch(
            (b"k0", b"v0", [(b"ce_type", b"\xff")]),
            (None, b"\xff\xfe", [(b"before", b"1"), (BAD, b"\xff2"), (b"after1", b"")]),
            (b"k2", None, [(b"\xc3\xa9\xc3\xa9\xc3\xa9", b"3")]),
        )
        found = [(each.offset, each.key, each.value, list(each.headers)) for each in read(raw)]
        assert [
            (0, b"k0", b"v0", [("ce_type", b"\xff")]),
            (1, None, b"\xff\xfe", [("before", b"1"), ("na?mes", b"\xff2"), ("after1", b"")]),
            (2, b"k2", None, [("ééé", b"3")]),
        ] == found

    def test_batches_follow_each_other_and_the_last_may_be_cut_off(self) -> None:
        """As in what a broker answers."""
        good, bad = batch((b"k", b"1", [])), batch((b"k", b"2", [(BAD, b"")]))
        assert [b"1", b"2", b"1"] == [each.value for each in read(good + bad + good + bad[:-3])]

    @given(
        st.lists(st.lists(st.tuples(st.binary(min_size=6, max_size=20), st.binary(max_size=5)), max_size=3), max_size=4)
    )
    def test_any_names(self, records: list[list[tuple[bytes, bytes]]]) -> None:
        """Whatever names there are, every record is read, and a legible name is what it was."""
        if not records:
            return
        found = read(batch(*((b"k", b"v", headers) for headers in records)))
        assert len(records) == len(found)
        assert all(one.offset + 1 == other.offset for one, other in pairwise(found))
        for wanted, each in zip(records, found, strict=True):
            assert [value for _, value in wanted] == [value for _, value in each.headers]
            for (name, _), (told, _) in zip(wanted, each.headers, strict=True):
                assert told == name.decode(errors="replace") if _is_text(name) else "?" in told

    def test_consumers_use_it_once_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The fetcher looks the class up where we put it."""
        monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
        legible.install()
        assert fetcher.MemoryRecords is LegibleRecords


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
