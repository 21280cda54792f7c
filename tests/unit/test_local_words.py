"""What the parts say when something is missing or fails: the words must name the fault and the fix."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.local import doctor, kafka, readiness, system
from deploy.local.doctor import Verdict
from deploy.local.parts import Parts
from deploy.local.probes import Probe
from deploy.local.system import Need
from schemas.faults import Fatal

ABSENT = Need(what="the command frobnicate", package="frobnicator", is_there=lambda: False)


class TestProvide:
    """`system.provide`."""

    def test_nothing_missing_does_nothing(self, tmp_path: Path) -> None:
        """It says nothing and touches nothing when all is there."""
        said: list[str] = []
        system.provide([Need("sh", "dash", lambda: True)], cache=tmp_path, say=said.append)
        assert [] == said
        assert [] == list(tmp_path.iterdir())

    def test_without_rights_it_names_package_and_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where packages may not be installed, the message has everything a person needs to do it."""
        monkeypatch.setenv("PATH", str(tmp_path))  # neither apt-get nor sudo
        with pytest.raises(Fatal, match=r"frobnicate is missing: .*sudo apt-get install frobnicator"):
            system.provide([ABSENT], cache=tmp_path, say=lambda _: None)


class TestJars:
    """`kafka.unexpected`."""

    def test_a_strange_jar_is_named(self, tmp_path: Path) -> None:
        """A jar that nobody pinned, or that is not there, is found by its name."""
        (tmp_path / "AAA.jar").write_bytes(b"")
        assert "AAA.jar" == kafka.unexpected(tmp_path)
        (tmp_path / "AAA.jar").rename(tmp_path / "HdrHistogram-2.2.2.jar")
        assert "HdrHistogram-2.2.2.jar" == kafka.unexpected(tmp_path)


class TestWaiting:
    """`wait_until_healthy`."""

    def test_a_failed_part_is_not_waited_for(self, tmp_path: Path) -> None:
        """It ends at once with the reason and the end of the log, tables and blank lines left out."""
        log = tmp_path / "part.log"
        log.write_text("began\n\n+----+\n| a  |\n+----+\nno such model\n")
        with pytest.raises(Fatal) as caught:
            readiness.wait_until_healthy(
                "part",
                lambda: Probe(healthy=False),
                within_s=60,
                failed=lambda: "it ended 3 times",
                log=log,
                say=lambda _: None,
            )
        assert f"part failed: it ended 3 times\nthe end of {log}:\n  began\n  no such model" == str(caught.value)

    def test_the_wait_is_bounded(self, tmp_path: Path) -> None:
        """It gives up in time and says what the last answer was."""
        with pytest.raises(Fatal, match="part was not ready within 0 s: loading"):
            readiness.wait_until_healthy(
                "part",
                lambda: Probe(healthy=False, detail="loading"),
                within_s=0,
                failed=lambda: None,
                log=tmp_path / "none.log",
                say=lambda _: None,
            )

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('{"event": "cannot work", "error": "no fusion.json"}', "no fusion.json"),
            ('{"event": "stopped"}', "stopped"),
            ("plain words", "plain words"),
            ("[1, 2]", "[1, 2]"),
        ],
    )
    def test_last_words(self, tmp_path: Path, line: str, words: str) -> None:
        """Of a structured line the error or the event is said, of any other the line."""
        (tmp_path / "log").write_text(f"before\n{line}\n\n")
        assert words == readiness.last_words(tmp_path / "log")


class TestDoctor:
    """`doctor.examine` where nothing runs."""

    def test_a_taken_port_is_found_before_the_start(self, tmp_path: Path) -> None:
        """A configured port that is taken is a failure with the variable to change."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            environ = {"SIDELINE_KAFKA_PORT": str(taken.getsockname()[1]), "HOME": str(tmp_path)}
            found = {f.subject: f for f in doctor.examine(environ, Parts(tmp_path, environ=environ), "")}
        assert Verdict.FAIL is found["port of kafka"].verdict
        assert "SIDELINE_KAFKA_PORT" in found["port of kafka"].fix
        assert Verdict.OK is found["python"].verdict
        assert "sideline up" in found["line"].said

    def test_missing_models_are_found(self, tmp_path: Path) -> None:
        """An empty repository is a failure that names the command which fills it."""
        environ = {"SIDELINE_MODEL_REPOSITORY": str(tmp_path), "HOME": str(tmp_path)}
        found = {f.subject: f for f in doctor.machine(environ, tmp_path)}
        assert (Verdict.FAIL, "make models") == (found["models"].verdict, found["models"].fix)

    def test_every_trouble_has_a_fix(self, tmp_path: Path) -> None:
        """No finding that is not well leaves the reader alone."""
        environ = {"HOME": str(tmp_path)}
        found = list(doctor.examine(environ, Parts(tmp_path, environ=environ), ""))
        assert [] == [f.subject for f in found if f.verdict is not Verdict.OK and not f.fix]


class TestParts:
    """`Parts` where nothing runs."""

    @pytest.mark.parametrize("call", [lambda p: p.endpoints(), lambda p: p.start_workers()])
    def test_the_command_that_helps_is_named(self, tmp_path: Path, call: object) -> None:
        """Asking for what does not run says how to start it."""
        assert callable(call)
        with pytest.raises(Fatal, match="sideline up"):
            call(Parts(tmp_path, environ={}))

    def test_there_is_nothing_to_see(self, tmp_path: Path) -> None:
        """Status is empty and down does nothing."""
        said: list[str] = []
        parts = Parts(tmp_path, environ={})
        parts.down(say=said.append)
        assert ([], []) == (parts.status(), said)
