"""From a description to a process: nothing of it may be lost or changed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy.local import launch, line, programs
from deploy.local.endpoints import Endpoints
from deploy.local.environment import of_servers, of_workers
from deploy.local.folder import RunFolder
from deploy.local.leftovers import MARK
from deploy.local.programs import Program

AWKWARD = "quotes \" and ' and 100 % and ; and \\ and $HOME and ünïcode"
PRINT_ENVIRONMENT = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"


def program(folder: RunFolder, *, env: dict[str, str] | None = None, clears: tuple[str, ...] = ()) -> Program:
    """Describe a part that prints what it was started with."""
    return Program(
        name="part",
        command=(sys.executable, "-c", PRINT_ENVIRONMENT),
        env={"A": AWKWARD} if env is None else env,
        cwd=str(folder.root),
        ports={},
        stop_within_s=1,
        clears=clears,
    )


class TestWrite:
    """`programs.write`."""

    def test_it_tells_what_changed(self, tmp_path: Path) -> None:
        """Only a description that differs is a change: a part is restarted for it."""
        folder = RunFolder.at(tmp_path)
        assert programs.write(folder, program(folder))
        assert not programs.write(folder, program(folder))
        assert programs.write(folder, program(folder, env={"A": "b"}))
        assert {"part": program(folder, env={"A": "b"})} == programs.read(folder)

    def test_others_cannot_read_it(self, tmp_path: Path) -> None:
        """The environment may hold credentials."""
        folder = RunFolder.at(tmp_path)
        programs.write(folder, program(folder))
        assert 0o600 == (folder.programs / "part.json").stat().st_mode & 0o777


class TestLaunch:
    """`launch.py`, as the supervisor runs it."""

    def test_the_environment_arrives_unchanged(self, tmp_path: Path) -> None:
        """Quotes, percent signs and the like reach the part as they are, and nothing else does."""
        folder = RunFolder.at(tmp_path)
        programs.write(folder, program(folder))
        env, cwd = json.loads(self._launched(folder))
        assert AWKWARD == env["A"]
        assert {"A"} == set(env) - {"LC_CTYPE"}  # Python adds that one to itself
        assert str(folder.root) == cwd

    def test_files_of_a_killed_process_go_first(self, tmp_path: Path) -> None:
        """Whatever matches a pattern of `clears` is removed before the part starts, and nothing else is."""
        folder = RunFolder.at(tmp_path)
        for name in ("region-1", "region-2", "other"):
            (tmp_path / name).touch()
        programs.write(folder, program(folder, clears=(f"{tmp_path}/region-*",)))
        self._launched(folder)
        assert {"other"} == {path.name for path in tmp_path.iterdir() if path.is_file()}

    @staticmethod
    def _launched(folder: RunFolder) -> bytes:
        command = [sys.executable, "-I", "-S", launch.__file__, str(folder.programs / "part.json")]
        return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


class TestEnvironments:
    """`of_servers` and `of_workers`."""

    def test_servers_do_not_depend_on_the_shell(self, tmp_path: Path) -> None:
        """What differs from terminal to terminal does not reach a server, so that it is not restarted for it."""
        folder = RunFolder(tmp_path)
        one = of_servers({"HOME": "/h", "PATH": "/a", "TERM": "dumb", "SIDELINE_WINDOW": "3"}, folder)
        assert one == of_servers({"HOME": "/h", "PATH": "/b", "LANG": "de_DE"}, folder)
        assert str(tmp_path) == one[MARK]

    def test_workers_get_settings_and_credentials(self, tmp_path: Path) -> None:
        """The line's settings and the object store's reach the workers, other variables do not."""
        env = of_workers({"SIDELINE_WINDOW": "3", "AWS_REGION": "r", "SECRET": "s"}, RunFolder(tmp_path))
        assert ("3", "r") == (env["SIDELINE_WINDOW"], env["AWS_REGION"])
        assert "SECRET" not in env
        assert str(tmp_path / "images") == env["SIDELINE_IMAGE_ROOTS"]

    def test_a_worker_knows_its_name_and_servers(self, tmp_path: Path) -> None:
        """Each has its own name and health port, all have the same servers, and what the caller adds wins."""
        endpoints = Endpoints("k:1", "redis://d", "redis://g", "t:2")
        extra = {"SIDELINE_STORE_ID": "s-1", "SIDELINE_WINDOW": "5"}
        made = line.worker(
            RunFolder(tmp_path),
            "inspector-2",
            health_port=20_001,
            endpoints=endpoints,
            env=extra,
            environ={"SIDELINE_WINDOW": "3"},
        )
        assert "workers.inspector" == made.command[-1]
        assert {
            "SIDELINE_WORKER_NAME": "inspector-2",
            "SIDELINE_HEALTH_PORT": "20001",
            "SIDELINE_KAFKA_BOOTSTRAP": "k:1",
            "SIDELINE_WINDOW": "5",
            "SIDELINE_STORE_ID": "s-1",
        }.items() <= made.env.items()
