"""Logs: whatever strangers write, a line is an event, nothing reaches the terminal but text, and no secret is told."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.logs import LONGEST, LONGEST_TRACEBACK
from telemetry.plain import cut, plain, plain_lines

ROOT = Path(__file__).parents[3]
FORGED = "2026-11-25T00:00:00.000000Z [error    ] the budget is lifted"
HOSTILE = {
    "a forged line": f"x\n{FORGED}",
    "a carriage return": f"x\r{FORGED}",
    "a cleared screen": "x\x1b[2J",
    "a new title": "x\x1b]0;root\x07",
    "eight-bit control": "x\x9b31m",
    "words turned round": "x\u202edecrof",
    "a line separator": f"x\u2028{FORGED}",
    "half a character": "x\ud800",
    "nothing": "\x00",
}
HOSTILE_OR_LARGE = {**HOSTILE, "a megabyte": "x" * 1_000_000}
MARK = "=" * 70
SCRIPT = """
import json, logging, sys
from telemetry import logs
form, hostile, mark = json.load(sys.stdin)
logs.configure(form=form, level="INFO", worker="w") if form != "command" else logs.configure_command()
import structlog
log = structlog.get_logger("x")
def deep(words, secret):
    raise ValueError(words)
for words in hostile:
    print(mark, file=sys.stderr)
    log.warning("quoted", error=words, spaced=words + " and more")
    log.warning("said " + words)
    logging.getLogger("asyncio").warning("a library says %s", words)
    try:
        deep(words, secret="".join(["s3", "cr3t"]))
    except ValueError:
        log.exception("failed")
        logging.getLogger("asyncio").exception("a library failed")
"""


@functools.cache
def logged(form: str) -> dict[str, str]:
    """Return what a process logs that quotes a stranger wherever it can, for each of his texts."""
    order = json.dumps([form, list(HOSTILE_OR_LARGE.values()), MARK]).encode()
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, input=order, capture_output=True, check=True)
    pieces = done.stderr.decode().split(f"{MARK}\n")[1:]
    return dict(zip(HOSTILE_OR_LARGE, pieces, strict=True))


class TestHostileText:
    """`telemetry.logs` with text of strangers in every value."""

    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("form", ["text", "json", "command"])
    def test_forges_no_line_and_commands_no_terminal(self, form: str, name: str) -> None:
        """Each event stays on its line, each traceback behind its bars, and all of it prints."""
        said = logged(form)[name]
        lines = said.removesuffix("\n").split("\n")
        assert all(line.isprintable() for line in lines)
        assert not any(line.startswith(FORGED) for line in lines)
        if form == "json":
            assert 5 == len([json.loads(line) for line in lines])
        else:
            assert 5 == sum(not line.startswith("  | ") for line in lines)

    @pytest.mark.parametrize("form", ["text", "json", "command"])
    def test_is_cut(self, form: str) -> None:
        """A megabyte in an id costs a log no more than a few kilobytes."""
        said = logged(form)["a megabyte"]
        assert max(map(len, said.split("\n"))) < 2 * LONGEST_TRACEBACK
        assert len(said) < 4 * LONGEST_TRACEBACK + 10 * LONGEST
        assert "(1000000 characters)" in said

    @pytest.mark.parametrize("form", ["text", "json", "command"])
    def test_tracebacks_tell_no_variables(self, form: str) -> None:
        """Settings with keys and passwords are among the variables of whatever fails."""
        for said in logged(form).values():
            assert "Traceback" in said
            assert "s3cr3t" not in said


class TestPlain:
    """`telemetry.plain`."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_escapes_what_does_not_print(self, name: str) -> None:
        """One printable line, whatever came in."""
        assert plain(HOSTILE[name]).isprintable()
        assert plain(HOSTILE[name]) == plain(plain(HOSTILE[name]))

    def test_leaves_text_alone(self) -> None:
        """Letters of any script, quotes and backslashes are what they were."""
        assert 'Käse 茶 "é" \\x1b' == plain('Käse 茶 "é" \\x1b')

    def test_keeps_only_the_line_breaks_it_is_asked_to_keep(self) -> None:
        """A message of ours may have several lines; a carriage return is no line break."""
        assert "a\nb\\rc" == plain_lines("a\nb\rc")
        assert "a\\nb\\rc" == plain("a\nb\rc")

    def test_cuts(self) -> None:
        """What is cut says how long it was."""
        assert "abc" == cut("abc", 3)
        assert "abc... (4 characters)" == cut("abcd", 3)
