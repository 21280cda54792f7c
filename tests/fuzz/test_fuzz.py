"""Every decoder of outside bytes under the fuzzer for a moment, and the fuzzer under planted faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import registry
from tests.fuzz.campaign import ROOT, Kind, Result, run, table
from tests.fuzz.target import Target
from tests.fuzz.targets import planted

pytest.importorskip("atheris", reason="the fuzzer has wheels for Linux on x86-64 only")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """All targets, each with the number of inputs that it states, always the same ones."""
    found = run(registry.everything(), tmp_path_factory.mktemp("fuzz"), inputs=lambda target: target.inputs)
    print(f"\n{table(found)}")  # noqa: T201 - pytest shows it when a test fails
    return found


class TestDecoders:
    """Our decoders."""

    @pytest.mark.timeout(600)
    def test_nothing_is_found(self, results: list[Result]) -> None:
        """No crash, no hang, no flood of memory in any target."""
        assert [] == [(one.target, one.find.command(one.target)) for one in results if one.find is not None]

    def test_each_target_ran(self, results: list[Result]) -> None:
        """A target that takes no inputs proves nothing."""
        wanted = {target.name: target.inputs for target in registry.everything()}
        assert wanted.keys() == {one.target for one in results}
        assert [] == [(one.target, one.inputs) for one in results if one.inputs < wanted[one.target]]

    def test_each_target_is_seen_from_inside(self, results: list[Result]) -> None:
        """The code under test is instrumented: the fuzzer knows when an input reached something new."""
        assert [] == [one.target for one in results if not one.edges]


class TestFuzzer:
    """The fuzzer itself."""

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("crash", Kind.CRASH), ("hang", Kind.HANG), ("flood", Kind.CRASH)],
        ids=str,
    )
    def test_finds_what_was_planted(self, tmp_path: Path, name: str, kind: Kind) -> None:
        """Each planted fault is found, its input kept, and the command that is printed shows it again."""
        target = next(target for target in planted.TARGETS if target.name == f"planted.{name}")
        (result,) = run([target], tmp_path, inputs=lambda _: 500_000, seconds=60)
        assert result.find is not None
        assert kind is result.find.kind
        assert result.find.input is not None
        assert result.find.input.read_bytes().startswith(b"SL")
        assert result.find.command(target.name) in table([result])
        again = subprocess.run(result.find.command(target.name).split(), cwd=ROOT, capture_output=True, check=False)
        assert 1 == again.returncode
        assert b"in _" + {"crash": b"crashes", "hang": b"hangs", "flood": b"floods"}[name] in again.stderr

    def test_a_target_that_cannot_start_is_a_find(self, tmp_path: Path) -> None:
        """A process that ends in the wrong way without an input is no success."""
        unknown = Target("planted.unknown", print, list)
        (result,) = run([unknown], tmp_path, inputs=lambda _: 1)
        assert result.find is not None
        assert Kind.BROKEN is result.find.kind

    def test_an_unknown_target_is_refused_in_words(self) -> None:
        """With the names that there are."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", "--target", "nothing"], cwd=ROOT, capture_output=True, check=False
        )
        assert 2 == done.returncode
        assert b"codes.uris" in done.stderr
