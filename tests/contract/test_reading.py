"""Whatever bytes arrive, reading them gives a message or Poison, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode, read_dead_letter
from schemas.faults import Poison, Reason
from schemas.messages import Capture, DeadLetter, Decision, Message
from schemas.register import MESSAGES
from schemas.words import MAX_EVENT_BYTES
from streams.documents import GOLDEN
from streams.json_schemas import file_stem
from tests.contract.contract_files import Json, golden_files, kind_of, label

KINDS: Final = st.sampled_from(MESSAGES)
FILES: Final = [path for path in golden_files() if kind_of(path) is not DeadLetter]
CAPTURE: Final = json.loads((GOLDEN / "capture" / "full.json").read_bytes())

# JSON texts that parsers trip over, each put in the place of every value of a golden message.
HOSTILE: Final = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"1.0",
    b"9223372036854775808",
    b"1" + b"0" * 40,
    b"1" + b"0" * 5000,
    b"null",
    b"true",
    b'""',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"[" * 100_000,
    b"[" * 50_000 + b"]" * 50_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b"{}",
    b"[]",
    b'"9999-12-31T23:59:59-23:59"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"2026-02-30T00:00:00Z"',
    b'"2026-01-01T00:00:00"',
    b'"{fra3}"',
    b'"fra3\\n"',
)


def read(kind: type[Message], raw: bytes | None) -> Message | Reason:
    """Read bytes as a worker does, and return the message, or the reason of its dead letter."""
    try:
        message = decode(kind, raw)
    except Poison as fault:
        return fault.reason
    encode(message)  # what was read can be written: nothing hostile came through
    return message


def places(value: Json, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inner for path in places(each, (*at, key)))]


def with_raw(document: Json, path: tuple[str | int, ...], raw: bytes) -> bytes:
    """Return the document as JSON with raw bytes in place of one value."""
    mark = "<here>"
    copy = {"root": json.loads(json.dumps(document))}
    target: Json = copy
    steps = ("root", *path)
    for step in steps[:-1]:
        target = target[step]
    target[steps[-1]] = mark
    return json.dumps(copy["root"]).encode().replace(f'"{mark}"'.encode(), raw)


class TestAnyBytes:
    """Nothing but Poison."""

    @given(KINDS, st.binary(max_size=400))
    @settings(deadline=None)
    @example(Capture, b"\xef\xbb\xbf{}")
    @example(Capture, b"\x00")
    @example(Decision, b"{" * 900_000)
    def test_random_bytes(self, kind: type[Message], raw: bytes) -> None:
        """Noise from a broken sender."""
        assert isinstance(read(kind, raw), Reason | Message)

    @given(
        st.sampled_from(FILES),
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=6),
    )
    @settings(deadline=None, max_examples=300)
    def test_damaged_messages(self, path: Path, cuts: list[tuple[float, int, bytes]]) -> None:
        """Real messages with bytes replaced, removed, doubled or cut off."""
        raw = path.read_bytes()
        for where, how, new in cuts:
            at = int(where * len(raw))
            pieces = (raw[:at] + new + raw[at + 1 :], raw[:at] + raw[at + 3 :], raw[: at + 9] + raw[at:], raw[:at])
            raw = pieces[how]
        assert isinstance(read(kind_of(path), raw), Reason | Message)

    @pytest.mark.parametrize("path", FILES, ids=label)
    def test_hostile_values_in_every_place(self, path: Path) -> None:
        """Each value of a golden message replaced in turn by each of the texts that parsers trip over."""
        document = json.loads(path.read_bytes())
        for place in places(document):
            for raw in HOSTILE:
                assert isinstance(read(kind_of(path), with_raw(document, place, raw)), Reason | Message)

    @pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: repr(raw[:20]))
    def test_hostile_values_where_no_one_looks(self, raw: bytes) -> None:
        """In a field that no one knows yet."""
        assert isinstance(read(Capture, with_raw(CAPTURE | {"later": 0}, ("later",), raw)), Reason | Message)

    @pytest.mark.parametrize("raw", [None, b""], ids=["null", "empty"])
    @pytest.mark.parametrize("kind", MESSAGES, ids=file_stem)
    def test_nothing_at_all(self, kind: type[Message], raw: bytes | None) -> None:
        """A record without a value is a dead letter as well."""
        assert Reason.UNREADABLE is read(kind, raw)

    def test_size(self) -> None:
        """At the limit a message is read, one byte more is too large."""
        raw = json.dumps(CAPTURE).encode()
        assert isinstance(read(Capture, raw.ljust(MAX_EVENT_BYTES)), Capture)
        assert Reason.TOO_LARGE is read(Capture, raw.ljust(MAX_EVENT_BYTES + 1))


class TestRefusals:
    """Messages that are JSON, and still no one's."""

    @pytest.mark.parametrize("field", ["site", "line", "station", "unit_id", "capture_id"])
    @pytest.mark.parametrize("wrong", ["{}\n", "{{{}}}", " {}", "{}\x00", "{}é", "", "{}".ljust(70, "x"), "{}/../x"])
    def test_ids(self, field: str, wrong: str) -> None:
        """An id is a name in Redis, in topics and in logs, so it holds nothing but letters, digits, dot, dash, line."""
        assert Reason.UNREADABLE is read(Capture, encode_raw(CAPTURE | {field: wrong.format(CAPTURE[field])}))

    @pytest.mark.parametrize(
        "capture_id",
        [
            "01A1F874-3E4D-7C3E-9F41-8D20B6A4E917",
            "01a1f874-3e4d-4c3e-9f41-8d20b6a4e917",
            "01a1f874-3e4d-7c3e-1f41-8d20b6a4e917",
            "01a1f8743e4d7c3e9f418d20b6a4e917",
        ],
        ids=["upper case", "version 4", "variant", "no dashes"],
    )
    def test_capture_ids_are_uuids_of_version_7(self, capture_id: str) -> None:
        """Their time is checked against the horizon, so another version or spelling will not do."""
        assert Reason.UNREADABLE is read(Capture, encode_raw(CAPTURE | {"capture_id": capture_id}))

    @pytest.mark.parametrize(
        "time",
        [
            "9999-12-31T23:59:59-00:01",
            "0001-01-01T00:00:00+00:01",
            "2026-11-20T10:15:30",
            "2026-11-20",
            1795169730,
            None,
        ],
    )
    def test_times(self, time: object) -> None:
        """Without an offset, or where UTC has no name for it, a time means nothing."""
        assert Reason.UNREADABLE is read(Capture, encode_raw(CAPTURE | {"captured_at": time}))

    def test_a_deadline_in_the_last_second_of_9999_is_read(self) -> None:
        """It is absurd but a time; what to make of it is the worker's business."""
        capture = read(Capture, encode_raw(CAPTURE | {"decide_by": "9999-12-31T23:59:59.999999Z"}))
        assert isinstance(capture, Capture)
        assert capture.decide_by is not None
        assert capture.decide_by.timestamp() > 253_402_300_799

    @pytest.mark.parametrize("views", [[], None, {}, [None], [{}], CAPTURE["views"] * 5])
    def test_views(self, views: object) -> None:
        """One to eight, each complete."""
        assert Reason.UNREADABLE is read(Capture, encode_raw(CAPTURE | {"views": views}))

    def test_of_a_doubled_name_the_last_counts(self) -> None:
        """JSON leaves it open; we do not, so that the site that is checked is the site that is used."""
        raw = encode_raw(CAPTURE)[:-1] + b',"site":"other"}'
        capture = read(Capture, raw)
        assert isinstance(capture, Capture)
        assert capture.site == "other"


class TestDeadLetterHeaders:
    """The headers of dead letters, read back."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([*json.loads((GOLDEN / "dead_letter" / "full.json").read_bytes()), "x"]),
                st.binary(max_size=40),
            )
        )
    )
    @settings(deadline=None)
    def test_any_headers(self, headers: list[tuple[str, bytes]]) -> None:
        """Headers that are not those of a dead letter are Poison, nothing else."""
        try:
            outcome = read_dead_letter(headers).partition >= 0
        except Poison as fault:
            outcome = fault.reason is Reason.UNREADABLE
        assert outcome

    def test_headers_without_values(self) -> None:
        """Kafka allows them."""
        with pytest.raises(Poison, match="dead letter"):
            read_dead_letter([("__connect.errors.topic", None)])  # type: ignore[list-item]


def encode_raw(document: Json) -> bytes:
    """Return a document as JSON bytes."""
    return json.dumps(document).encode()
