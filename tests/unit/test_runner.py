"""`tests/run.py`: its last line is what CI believes, so it must not be better than the truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

MIXED = """
import pytest
def test_good(): pass
def test_bad(): assert False
@pytest.fixture
def broken(): raise RuntimeError
def test_unset(broken): pass
@pytest.mark.skip
def test_skipped(): pass
"""


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("runner", Path(__file__).parents[1] / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class TestCounting:
    """`run` and `summary`."""

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (MIXED, "1 passed, 1 failed, 1 skipped, 1 errors"),
            ("def test_good(): pass", "1 passed, 0 failed"),
            ("import no_such_module", "0 passed, 0 failed, 1 errors"),
            ("", "0 passed, 0 failed, 1 errors"),
            ("import os; os._exit(3)", "0 passed, 0 failed, 1 errors"),
        ],
        ids=["mixed", "good", "cannot be collected", "no test", "crash"],
    )
    def test_a_suite_is_counted_as_it_went(self, runner: ModuleType, tmp_path: Path, text: str, line: str) -> None:
        """Failures, broken fixtures, modules that do not load, empty suites and crashes all show."""
        (tmp_path / "test_it.py").write_text(text)
        result = runner.run(runner.Part("suite", suite=str(tmp_path)))
        assert f"===== {line} in {result.took_s:.1f}s =====" == runner.summary([result])
        assert result.is_well == ("1 passed, 0 failed" == line)

    def test_a_failed_check_is_an_error(self, runner: ModuleType) -> None:
        """Lint and types are no tests, but the line is not clean without them."""
        result = runner.run(runner.Part("types", ("python", "-c", "raise SystemExit(1)")))
        assert not result.is_well
        assert "0 passed, 0 failed, 1 errors" in runner.summary([result])

    def test_parts_add_up(self, runner: ModuleType) -> None:
        """The last line counts all suites."""
        results = [
            runner.Result(runner.Part("a", suite="a"), 1.5, passed=2, skipped=1),
            runner.Result(runner.Part("b", suite="b"), 2.5, passed=3, failed=1),
        ]
        assert "===== 5 passed, 1 failed, 1 skipped in 4.0s =====" == runner.summary(results)

    def test_an_unknown_part_is_refused(self, runner: ModuleType) -> None:
        """A misspelt name must not pass as nothing to do."""
        with pytest.raises(SystemExit, match="no part is named unti; there are lint"):
            runner.main(["unti"])
