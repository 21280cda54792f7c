"""`sideline replay` on a running line: what its workers decided comes out of their records, and can be changed."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from schemas.words import Outcome
from streams.topics import Entity
from tests.integration.line.running import SITE, RunningLine
from tests.integration.line.test_cli_commands import sideline

CAPTURES = 12


async def test_what_the_line_decided_is_replayed_and_changed(line: RunningLine, tmp_path: Path) -> None:
    """Every decision comes out bit for bit; with another budget there is a table, a CSV and a picture."""
    began = datetime.now(UTC).isoformat()
    captures = [line.capture() for _ in range(CAPTURES)]
    for capture in captures:
        await line.send(Entity.CAPTURES, capture)
    answers = await line.decisions(captures)

    exact = await sideline(line, "replay", "--site", SITE, "--from", began)
    changed = await sideline(line, "replay", "--site", SITE, "--from", began, "--alpha", "0.01", "--out", str(tmp_path))

    assert 0 == exact.returncode, exact.stderr + exact.stdout
    assert f"{CAPTURES} of {CAPTURES} decisions" in exact.stdout
    assert 0 == changed.returncode, changed.stderr
    with (tmp_path / "captures.csv").open() as file:
        rows = {row["capture_id"] for row in csv.DictReader(file)}
    decided = {key for key, copies in answers.items() if copies[0].outcome is Outcome.DECIDED}
    assert decided
    assert decided == rows
    assert b"\x89PNG" == (tmp_path / "replay.png").read_bytes()[:4]


async def test_it_says_what_is_wrong(line: RunningLine) -> None:
    """A site nobody knows, a time when nothing was decided, a budget that cannot hold."""
    capture = line.capture()
    await line.send(Entity.CAPTURES, capture)
    await line.decisions([capture])
    for words, reason in (
        (("--site", "nowhere"), "site nowhere is not registered"),
        (("--site", SITE, "--to", "2020-01-01"), "no decision of the site lies in the range"),
        (("--site", SITE, "--from", "1h", "--to", "2h"), "no time lies between"),
        (("--site", SITE, "--burst", "1", "--alpha", "0.9"), "needs burst_tokens >="),
        (("--site", SITE, "--fusion", "nowhere.json"), "nowhere.json is no usable calibration"),
    ):
        answer = await sideline(line, "replay", *words)
        assert 1 == answer.returncode, answer.stdout
        assert reason in " ".join(answer.stderr.split())
        assert "Traceback" not in answer.stderr
