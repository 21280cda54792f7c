"""Dead letters on a screen: hostile text does nothing there, secrets are not there, and floods are short."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.dead.letters import Letter, Wanted, letter_of
from cli.dead.shown import HIDDEN, counted, letter_json, rows, shown, shown_bytes, shown_header, without_secrets
from schemas.faults import Poison, Reason
from streams.dead_letters import headers_of
from streams.delivery import Delivery
from streams.topics import Entity

MIB = 1 << 20


def delivery(
    value: bytes | None, *, offset: int = 1, reason: Reason = Reason.UNREADABLE, said: str = "why"
) -> Delivery:
    """Return a record of a dead topic."""
    original = Delivery("sideline.s.captures.v1", 3, 9, b"key", value, (("traceparent", b"00-1"),), 0)
    headers = headers_of(original, Poison(reason, said), worker="inspector-1")
    return Delivery("sideline.s.dead.v1", 0, offset, b"key", value, tuple(headers), 1_795_169_730_125)


def screen(renderable: object) -> str:
    """Return what a terminal would get."""
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


class TestSecrets:
    """What gives access is hidden wherever it stands."""

    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("s3://me:hunter2@bucket/a.jpg", "hunter2"),
            ("https://b/a.jpg?X-Amz-Signature=hunter2&x=1", "hunter2"),
            ('{"api_key": "hunter2"}', "hunter2"),
            ('{"a": {"Secret-Token":"hun\\"ter2"}}', "ter2"),
            ('{"password": 123456}', "123456"),
            ('{"password":"hunter2', "hunter2"),
            ("password=hunter2 user=me", "hunter2"),
            ("Authorization: Bearer hunter2", "hunter2"),
            ("sent with bearer hunter2", "hunter2"),
        ],
    )
    def test_in_text(self, text: str, secret: str) -> None:
        """In URIs, in JSON, in words."""
        assert secret not in without_secrets(text)
        assert HIDDEN in without_secrets(text)
        assert secret not in shown_bytes(text.encode())
        assert secret not in shown_bytes(b"\xff\xfe" + text.encode())

    def test_what_is_none_stays(self) -> None:
        """Ordinary events are shown as they are."""
        text = '{"capture_id":"c","views":[{"uri":"s3://bucket/2026/a.jpg","sha256":"00"}],"unit_id":"u@x"}'
        assert text == without_secrets(text)

    def test_in_headers_and_messages(self) -> None:
        """By the header's name, by what it holds, and where an error quotes it."""
        assert "hunter2" not in shown_header("X-Api-Key", b"hunter2")
        assert "hunter2" not in shown_header("link", b"s3://me:hunter2@b/a")
        one = delivery(b"{}", said="no file s3://me:hunter2@b/a")
        letter = letter_of(one)
        assert "hunter2" not in "".join(line.plain for line in rows([letter]))
        assert "hunter2" not in msgspec.json.encode(letter_json(letter)).decode()


class TestHostile:
    """Nothing that a stranger wrote moves a cursor, renames a window or floods a screen."""

    @given(raw=st.binary(max_size=3_000) | st.text(max_size=1_000).map(str.encode))
    def test_any_bytes_are_plain(self, raw: bytes) -> None:
        """Printable lines, and not many."""
        text = shown_bytes(raw)
        assert all(char.isprintable() or char == "\n" for char in text)
        assert len(text) <= 50_000

    @pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "\u202egnp.exe", "\x9b31m", "a\rb"])
    def test_sequences_are_escaped_everywhere(self, text: str) -> None:
        """In values, in headers, in the message, in ids."""
        value = msgspec.json.encode({"capture_id": text, "station": text})
        one = delivery(value, said=text)
        letter = letter_of(one)
        everything = [
            screen(shown(letter, one, record=None, decision=None, resent=None)),
            screen(counted([letter])),
            *(screen(line) for line in rows([letter])),
            shown_header(text, text.encode()),
            shown_bytes(text.encode()),
        ]
        assert [] == [part for part in everything if text in part]

    @pytest.mark.parametrize(
        "raw",
        [b"[" * MIB, b'{"a":' * 200_000, b"token" * 200_000, b"a" * MIB, b"\0" * MIB, b"x://" * 250_000],
        ids=["deep", "deeper", "names", "word", "zeros", "uris"],
    )
    def test_the_largest_are_shown_at_once(self, raw: bytes) -> None:
        """No pattern backtracks over a mebibyte, no nesting overflows."""
        started = time.monotonic()
        letter = letter_of(delivery(raw))
        assert len(shown_bytes(raw)) < 50_000
        assert () == letter.ids
        assert time.monotonic() - started < 5.0

    def test_markup_is_text(self) -> None:
        """Brackets do not colour a table."""
        one = delivery(b'{"unit_id":"[red]u[/red]"}')
        assert "[red]u[/red]" in screen(next(rows([letter_of(one)])))


class TestLetters:
    """What can be known of a letter, and which are meant."""

    def test_what_it_says_of_itself(self) -> None:
        """Position, entity, reason, station and ids; wrong types are no ids."""
        letter = letter_of(delivery(b'{"capture_id":"c","unit_id":7,"station":"st-4"}', offset=42))
        assert ("0:42", Entity.CAPTURES, "unreadable", "st-4", ("c",)) == (
            letter.position,
            letter.entity,
            letter.reason,
            letter.station,
            letter.ids,
        )

    def test_without_the_headers_of_a_dead_letter(self) -> None:
        """Whatever else lies on the topic is listed and never redriven."""
        letter = letter_of(Delivery("sideline.dead.v1", 1, 2, None, None, (), 5))
        assert ("global:1:2", None, "no reason") == (letter.position, letter.entity, letter.reason)
        assert "not those of a dead letter" in next(rows([letter])).plain

    def test_filters(self) -> None:
        """All that are given must hold."""
        letter = letter_of(delivery(b'{"capture_id":"c","station":"st-4"}'))
        assert Wanted().everything
        for wanted in (
            Wanted(),
            Wanted(name="0:1"),
            Wanted(name="c"),
            Wanted(reasons=frozenset({"unreadable"}), station="st-4", entities=frozenset({Entity.CAPTURES})),
        ):
            assert wanted.holds(letter)
        for wanted in (
            Wanted(name="0:2"),
            Wanted(reasons=frozenset({"too_old"})),
            Wanted(station="st-5", reasons=frozenset({"unreadable"})),
            Wanted(entities=frozenset({Entity.SCANS})),
        ):
            assert not wanted.holds(letter)

    def test_the_table_counts_by_entity_and_reason(self) -> None:
        """Most first, each with the newest one's position."""
        letters: list[Letter] = [letter_of(delivery(b"{}", offset=at)) for at in range(3)]
        letters.append(letter_of(delivery(b"{}", offset=9, reason=Reason.VIEW_MISSING)))
        lines = screen(counted(letters)).splitlines()
        assert ["3", "captures", "unreadable", "0:2"] == [lines[1].split()[at] for at in (0, 1, 2, -1)]
        assert ["1", "captures", "view_missing", "0:9"] == [lines[2].split()[at] for at in (0, 1, 2, -1)]
