"""Runs everything that CI checks, each part timed: `python tests/run.py [PART ...]`.

A part that fails does not stop the others. The last line counts all of them as pytest counts tests; a check that is no
test (lint, types, import contracts) appears there only when it fails, as an error.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
WORKERS = min(4, os.cpu_count() or 1)
BIN = Path(sys.executable).parent  # the tools of the virtual environment this runs in


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to run. A suite is a folder of tests, anything else a command that passes or fails.

    `python` runs a suite in another environment than this one's. `budget_s` is what it may take on two idle cores: a
    part beyond it is named at the end, but does not fail, for machines differ.
    """

    name: str
    command: tuple[str, ...] = ()
    suite: str = ""
    workers: int = 1  # processes that share a suite of tests that need no server
    python: Path = Path(sys.executable)
    budget_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a part."""

    part: Part
    took_s: float
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0

    @property
    def is_well(self) -> bool:
        """Whether nothing in it failed."""
        return not self.failed and not self.errors


PARTS = (
    Part("lint", ("ruff", "check", "--quiet", "."), budget_s=5),
    Part("format", ("ruff", "format", "--check", "--quiet", "."), budget_s=5),
    Part("imports", ("lint-imports",), budget_s=5),
    Part("types", ("mypy",), budget_s=25),
    Part("types of tests", ("mypy", "--explicit-package-bases", "tests"), budget_s=20),
    Part("unit", suite="tests/unit", workers=WORKERS, budget_s=150),
    Part("contract", suite="tests/contract", budget_s=20),
    Part("training", suite="tests/training", python=ROOT / ".venv-training/bin/python", budget_s=80),
    Part("integration", suite="tests/integration", budget_s=570),
    Part("chaos", suite="tests/chaos", budget_s=270),
    Part("fuzz", suite="tests/fuzz", budget_s=50),
)


def main(names: Sequence[str]) -> int:
    """Run the named parts, or all, and return the exit status."""
    known = {part.name: part for part in PARTS}
    if unknown := set(names) - set(known):
        sys.exit(f"no part is named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    results = [run(part) for part in PARTS if not names or part.name in names]
    say("")
    for result in results:
        verdict = "ok" if result.is_well else "FAILED"
        spent = f"{result.took_s:6.0f} of {result.part.budget_s:4.0f} s"
        over = "  OVER ITS BUDGET" if result.took_s > result.part.budget_s else ""
        tests = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped" if result.part.suite else ""
        say(f"{result.part.name:<16} {spent}  {verdict:<7} {tests}{over}".rstrip())
    took_s, budget_s = sum(each.took_s for each in results), sum(each.part.budget_s for each in results)
    say(f"{'all':<16} {took_s:6.0f} of {budget_s:4.0f} s")
    say(summary(results))
    return 0 if all(result.is_well for result in results) else 1


def run(part: Part) -> Result:
    """Run one part with its output shown, and count."""
    say(f"\n--- {part.name}")
    began = time.monotonic()
    if not part.suite:
        done = subprocess.run([str(BIN / part.command[0]), *part.command[1:]], cwd=ROOT, check=False)
        return Result(part, time.monotonic() - began, errors=int(done.returncode != 0))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        several = ["-n", str(part.workers)] if part.workers > 1 else []
        flags = ["-q", "-m", "not slow", "--durations=5", f"--junit-xml={report}", *several]
        command = [str(part.python), "-m", "pytest", *flags, part.suite]
        done = subprocess.run(command, cwd=ROOT, check=False)
        return counted(part, time.monotonic() - began, report, done.returncode)


def counted(part: Part, took_s: float, report: Path, exit_status: int) -> Result:
    """Read pytest's own report; a run that ended badly without a failed test (no tests, a crash) is an error."""
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - written by pytest just now
    except (OSError, ET.ParseError):
        return Result(part, took_s, errors=1)
    total, failed, errors, skipped = (
        sum(int(suite.get(count, "0")) for suite in suites) for count in ("tests", "failures", "errors", "skipped")
    )
    if exit_status and not failed and not errors:
        errors = 1
    return Result(part, took_s, max(0, total - failed - errors - skipped), failed, errors, skipped)


def summary(results: Sequence[Result]) -> str:
    """Return the one line that says it all."""
    passed, failed, errors, skipped = (
        sum(getattr(result, count) for result in results) for count in ("passed", "failed", "errors", "skipped")
    )
    rest = [f"{count} {word}" for count, word in ((skipped, "skipped"), (errors, "errors")) if count]
    took_s = sum(result.took_s for result in results)
    return f"===== {', '.join([f'{passed} passed', f'{failed} failed', *rest])} in {took_s:.1f}s ====="


def say(line: str) -> None:
    """Print at once, so that our lines and those of the parts stay in order."""
    print(line, flush=True)  # noqa: T201 - this is its job


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
