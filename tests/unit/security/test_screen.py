"""The terminal of whoever looks: text of strangers shows, and does nothing."""

from __future__ import annotations

import ast
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.screen import Screen, on_one_line, plain_json
from cli.tail import Stream, said
from cli.wording import record_json
from schemas.codec import encode
from schemas.faults import Poison, Reason
from schemas.messages import Decision, Identity
from schemas.words import Action, Divert, IdentityMethod, Outcome
from streams.dead_letters import headers_of
from streams.delivery import Delivery

ROOT = Path(__file__).parents[3]
HOSTILE = {
    "a cleared screen": "x\x1b[2J\x1b[H",
    "a new title": "x\x1b]0;root\x07",
    "a link": "x\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\",
    "the clipboard": "x\x1b]52;c;cm0gLXJmIC8=\x07",
    "eight-bit control": "x\x9b2J",
    "backspaces": "bad\x08\x08\x08good",
    "words turned round": "x\u202egpj.exe",
    "hidden": "x\u200b\u2066y",
    "a line separator": "x\u2028y",
    "beyond the plane": "x\U000e0001y",
}


def shown(*what: object, terminal: bool = False) -> str:
    """Return what a command would write."""
    out = io.StringIO()
    Screen(file=out, width=200, force_terminal=terminal, color_system="standard" if terminal else None).print(*what)
    return out.getvalue()


class TestScreen:
    """`cli.screen.Screen`."""

    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("terminal", [True, False])
    def test_nothing_acts(self, name: str, *, terminal: bool) -> None:
        """Plain, in a table, in a panel: only characters that print are written, on a terminal as well as not."""
        table = Table("name", "value")
        table.add_row("note", Text(HOSTILE[name]))
        for what in (Text(HOSTILE[name]), table, Panel(Text(HOSTILE[name]))):
            written = shown(what, terminal=terminal).replace("\x1b[1m", "").replace("\x1b[0m", "")  # the table's head
            assert all(line.isprintable() for line in written.split("\n"))

    def test_its_own_styles_do(self) -> None:
        """Colours of ours are still colours."""
        assert "\x1b[31m" in shown(Text("red", style="red"), terminal=True)

    def test_an_event_is_one_line(self) -> None:
        """A line break in a text of strangers is shown, not made."""
        forged = on_one_line(Text("10:00:00.000  rejected  x\n10:00:01.000  pass"))
        assert 1 == shown(forged).count("\n")
        assert "\\n10:00:01" in shown(forged)

    def test_no_command_has_another(self) -> None:
        """Whoever prints for people prints through it."""
        others = [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for path in sorted((ROOT / "cli").rglob("*.py"))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"Console", "rich.print", "rprint", "get_console"}
        ]
        assert [] == others


class TestTail:
    """`sideline tail`, on records of every topic."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_decision_that_quotes_a_stranger(self, name: str) -> None:
        """Its product, its reason, its claims."""
        now = datetime.now(UTC)
        decision = Decision(
            capture_id="01a1f874-3e4d-7c3e-9f41-8d20b6a4e917",
            site="s",
            line="l",
            station="s",
            unit_id="u",
            captured_at=now,
            identity=Identity(product_id="p", method=IdentityMethod.SCAN, claims=[f"scan:{HOSTILE[name]}"]),
            outcome=Outcome.UNDETERMINED,
            action=Action.NONE,
            divert=Divert.NONE,
            reason=HOSTILE[name],
            decide_by=now,
            decided_at=now,
        )
        self._harmless(Stream.DECISIONS, encode(decision))

    @pytest.mark.parametrize("stream", list(Stream))
    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_record_that_cannot_be_read(self, stream: Stream, name: str) -> None:
        """Whatever lies on the topic."""
        self._harmless(stream, b'{"capture_id":' + json.dumps(HOSTILE[name]).encode())

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_dead_letter_made_by_somebody_else(self, name: str) -> None:
        """Its headers say what they like."""
        of = Delivery(
            topic="sideline.s.captures.v1", partition=0, offset=0, append_ms=0, key=None, value=b"", headers=()
        )
        headers = dict(headers_of(of, Poison(Reason.UNREADABLE, "x"), worker="w"))
        for header in ("__connect.errors.exception.message", "sideline-reason", "__connect.errors.topic"):
            self._harmless(Stream.DEAD, b"{}", {**headers, header: HOSTILE[name].encode()})

    def _harmless(self, stream: Stream, value: bytes, headers: dict[str, bytes] | None = None) -> None:
        delivery = Delivery(
            topic="sideline.s.dead.v1",
            partition=0,
            offset=0,
            append_ms=0,
            key=value[:20],
            value=value,
            headers=tuple((headers or {}).items()),
        )
        line = shown(on_one_line(said(stream, delivery)))
        assert line.removesuffix("\n").isprintable()
        assert record_json(delivery).isprintable()


class TestPlainJson:
    """`plain_json`."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_is_the_same_document(self, name: str) -> None:
        """Escapes of JSON's own, so whatever reads it gets what was there."""
        text = plain_json(json.dumps({"note": HOSTILE[name]}, ensure_ascii=False).encode())
        assert text.isprintable()
        assert {"note": HOSTILE[name]} == json.loads(text)
