"""The command line as a whole: fast, complete, and plain about errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands import COMMANDS, Entry
from cli.main import app

# A wide terminal without colours, so that the help's lines can be compared.
PLAIN = {"TERM": "dumb", "COLUMNS": "200", "NO_COLOR": "1"}


def sideline(*arguments: str, run_dir: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SIDELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env={**plain, "SIDELINE_RUN_DIR": str(run_dir), **PLAIN, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestHelp:
    """`sideline --help` and `sideline COMMAND --help`."""

    def test_it_lists_every_command(self) -> None:
        """Each command is there with its line."""
        shown = CliRunner().invoke(app, ["--help"], env=PLAIN).output
        assert [] == [entry.name for entry in COMMANDS if entry.line not in shown]

    @pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
    def test_every_command_has_an_example(self, entry: Entry) -> None:
        """Its own help loads and shows how it is used."""
        shown = CliRunner().invoke(app, [entry.name, "--help"], env=PLAIN)
        assert 0 == shown.exit_code
        assert f"sideline {entry.name}" in shown.output
        assert "Example" in shown.output

    def test_it_imports_nothing_heavy(self) -> None:
        """The list of commands must come at once: none of the libraries behind them is imported."""
        probe = "import sys, cli.main; print(sorted({name.partition('.')[0] for name in sys.modules}))"
        loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
        heavy = ("aiokafka", "redis", "numpy", "cv2", "grpc", "pydantic", "rich", "msgspec")
        assert [] == [name for name in heavy if f"'{name}'" in loaded]


class TestErrors:
    """What a user sees when something is wrong."""

    def test_one_line_names_the_fix(self, tmp_path: Path) -> None:
        """An error of ours is one line without a traceback, and exit status 1."""
        done = sideline("logs", "kafka", run_dir=tmp_path)
        assert (1, "sideline: no part is named kafka; nothing was started yet: `sideline up`\n", "") == (
            done.returncode,
            done.stderr,
            done.stdout,
        )

    def test_a_traceback_on_request(self, tmp_path: Path) -> None:
        """SIDELINE_DEBUG=1 shows where it came from."""
        done = sideline("logs", "kafka", run_dir=tmp_path, SIDELINE_DEBUG="1")
        assert 1 == done.returncode
        assert "Traceback" in done.stderr

    def test_a_misspelt_command_is_guessed(self, tmp_path: Path) -> None:
        """The nearest command is offered."""
        done = sideline("staus", run_dir=tmp_path)
        assert 2 == done.returncode
        assert "Did you mean 'status'?" in done.stderr

    def test_status_tells_by_its_exit_status(self, tmp_path: Path) -> None:
        """Where nothing runs, scripts see 1 and an empty array."""
        done = sideline("status", "--json", run_dir=tmp_path)
        assert (1, "[]\n") == (done.returncode, done.stdout)
