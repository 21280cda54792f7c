"""The threat table of docs/security.md: every row has tests, and every test it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "security.md"
HEAD: Final = "| threat | what we do | proved by |"
NAME: Final = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?(?:::(\w+))?`")


def rows() -> list[tuple[str, str]]:
    """Return threat and proof of each row of the threat tables."""
    found, inside = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
        elif line == HEAD:
            inside = True
        elif inside and not line.startswith("|---"):
            threat, _, proof = (cell.strip() for cell in line.strip("|").split(" | "))
            found.append((threat, proof))
    return found


def exists(file: str, group: str | None, test: str | None) -> bool:
    """Tell whether a file holds a class of tests, and in it a test; without names, any test at all."""
    path = ROOT / file
    if not path.is_file():
        return False
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and group in {None, node.name}:
            tests = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
            if test in tests or (test is None and any(name.startswith("test_") for name in tests)):
                return True
    return False


class TestPage:
    """`docs/security.md`."""

    def test_it_has_rows(self) -> None:
        """An empty table would pass everything below."""
        assert len(rows()) > 30

    @pytest.mark.parametrize(("threat", "proof"), rows(), ids=[threat[:40] for threat, _ in rows()])
    def test_every_row_is_proved(self, threat: str, proof: str) -> None:
        """By one test or more, all of which are there."""
        named = NAME.findall(proof)
        assert named, f"{threat}: no test"
        assert "" == NAME.sub("", proof).strip(), "the last cell holds names of tests and nothing else"
        missing = [
            "::".join(filter(None, each)) for each in named if not exists(each[0], each[1] or None, each[2] or None)
        ]
        assert [] == missing

    def test_every_security_test_is_on_it(self) -> None:
        """A file of tests that no row names proves something that nobody promised."""
        named = {file for _, proof in rows() for file, _, _ in NAME.findall(proof)}
        files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "unit" / "security").glob("test_*.py")}
        assert {"tests/unit/security/test_threat_table.py"} == files - named

    def test_every_decision_it_cites_is_there(self) -> None:
        """Links to other pages lead somewhere."""
        for target in re.findall(r"\]\(([\w./-]+)\)", PAGE.read_text(encoding="utf-8")):
            assert (PAGE.parent / target).is_file(), target


class TestTheReading:
    """What the test above would find."""

    @pytest.mark.parametrize(
        ("file", "group", "test", "there"),
        [
            ("tests/unit/security/test_threat_table.py", "TestTheReading", "test_names", True),
            ("tests/unit/security/test_threat_table.py", "TestTheReading", None, True),
            ("tests/unit/security/test_threat_table.py", None, None, True),
            ("tests/unit/security/test_threat_table.py", "TestTheReading", "test_no_such", False),
            ("tests/unit/security/test_threat_table.py", "TestNoSuch", "test_names", False),
            ("tests/unit/security/test_no_such.py", None, None, False),
        ],
    )
    def test_names(self, file: str, group: str | None, test: str | None, *, there: bool) -> None:
        """A test is there or it is not."""
        assert there is exists(file, group, test)
