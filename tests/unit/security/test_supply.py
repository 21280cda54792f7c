"""Installed is what was chosen: every package by its hash, every jar by its checksum, wherever it comes from."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from deploy.local import kafka

ROOT: Final = Path(__file__).parents[3]
LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))
PIN: Final = re.compile(r"([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==([^\s;]+)(?: ; [^\\]+)?")
HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins(lock: Path) -> dict[str, str]:
    """Return versions by package; every requirement is read, or the test fails."""
    found = {}
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        requirement, *hashes = re.split(r"\s+(?=--hash)", line.strip())
        match = PIN.fullmatch(requirement)
        assert match is not None, f"{lock.name}: {requirement} is no name==version"
        assert hashes, f"{lock.name}: {requirement} has no hash"
        assert all(HASH.fullmatch(each.strip()) for each in hashes), f"{lock.name}: {requirement}"
        found[match[1]] = match[2]
    return found


def asked_for(name: str) -> str:
    """Return a requirement's bare name, as locks write it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name.strip())[0]).lower()


class TestPackages:
    """`requirements/`, and how it is installed."""

    def test_there_are_locks(self) -> None:
        """One for each environment: the line, development, training, the build, the tools, Triton."""
        assert ["build", "dev", "line", "tools", "training", "triton"] == [lock.stem for lock in LOCKS]

    @pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
    def test_every_package_is_pinned_with_hashes(self, lock: Path) -> None:
        """One exact version and its SHA-256s; no address, no option that would bring another source in."""
        assert pins(lock)

    def test_what_the_line_asks_for_is_in_its_lock(self) -> None:
        """Nothing is left to be found at install time, in development and training neither."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        groups = project["dependency-groups"]
        line = project["project"]["dependencies"]
        dev = [*line, *groups["booth"], *groups["lab"], *groups["dev"]]
        for lock, names in (("line", line), ("dev", dev), ("training", [*dev, *groups["training"]])):
            missing = {asked_for(name) for name in names} - pins(ROOT / "requirements" / f"{lock}.txt").keys()
            assert set() == missing, f"run `make requirements`: {lock}.txt is older than pyproject.toml"

    @pytest.mark.parametrize("other", ["dev", "training"])
    def test_what_is_tested_is_what_workers_install(self, other: str) -> None:
        """The environments of tests and training hold the line's own versions."""
        line, theirs = pins(ROOT / "requirements" / "line.txt"), pins(ROOT / "requirements" / f"{other}.txt")
        assert line == {name: theirs.get(name) for name in line}

    @pytest.mark.parametrize("file", ["Makefile", "deploy/local/triton.py"])
    def test_pip_is_never_run_without_hashes(self, file: str) -> None:
        """Except for the checkout itself, which brings nothing along and builds with what is there."""
        text = (ROOT / file).read_text(encoding="utf-8")
        installs = [line.strip() for line in text.splitlines() if re.search(r"\$\(PIP_INSTALL\)|\[\*pip,", line)]
        assert installs
        own = "--no-deps --no-build-isolation --editable ."
        assert [] == [line for line in installs if "--require-hashes" not in line and own not in line]

    def test_nothing_else_installs(self) -> None:
        """No other file of ours runs pip, npm, curl or wget."""
        found = [
            f"{path.relative_to(ROOT)}: {line.strip()}"
            for path in [ROOT / "Makefile", *(ROOT / "deploy").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.search(r"\b(pip3? install|npm |curl |wget |easy_install)", line)
        ]
        assert [] == found


class TestJars:
    """The broker's jars, by `deploy/local/kafka_jars.sha256`."""

    @pytest.fixture
    def libs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder of two jars that are pinned."""
        libs, sums = tmp_path / "libs", tmp_path / "sums"
        libs.mkdir()
        for name in ("a.jar", "b.jar"):
            (libs / name).write_bytes(name.encode())
        sums.write_text(
            "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.jar", "b.jar"))
        )
        monkeypatch.setattr(kafka, "_SUMS", sums)
        return libs

    def test_all_as_pinned(self, libs: Path) -> None:
        """Nothing to say."""
        assert kafka.unexpected(libs) is None

    def test_another_jar_of_the_same_name(self, libs: Path) -> None:
        """A repository that serves other bytes is found out."""
        (libs / "b.jar").write_bytes(b"B.jar")
        assert "b.jar" == kafka.unexpected(libs)

    def test_one_jar_more(self, libs: Path) -> None:
        """A class path takes whatever lies in the folder."""
        (libs / "c.jar").write_bytes(b"c.jar")
        assert "c.jar" == kafka.unexpected(libs)

    def test_one_jar_less(self, libs: Path) -> None:
        """A download cut short."""
        (libs / "a.jar").unlink()
        assert "a.jar" == kafka.unexpected(libs)

    def test_the_real_list(self) -> None:
        """Every line is a SHA-256 and a jar."""
        lines = (ROOT / "deploy" / "local" / "kafka_jars.sha256").read_text(encoding="utf-8").splitlines()
        assert all(re.fullmatch(r"[0-9a-f]{64}  [A-Za-z0-9._-]+\.jar", line) for line in lines)
        assert any(line.split()[1].startswith("kafka") for line in lines)
