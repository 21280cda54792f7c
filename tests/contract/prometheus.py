"""A real Prometheus and its promtool: found, or unpacked into a cache, and run on loopback for one test."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from deploy.local.folder import locked
from schemas.faults import Fatal

DOWNLOAD_WITHIN_S: Final = 120
LIMIT_S: Final = 60.0
FIX: Final = (
    "put prometheus and promtool on PATH (https://prometheus.io/download); on Debian `sudo apt-get update` is enough, "
    "for the package is then downloaded and unpacked, not installed: its service would listen on all interfaces"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the two programs are."""

    prometheus: Path
    promtool: Path


def programs(cache: Path) -> Programs:
    """Return both programs: those on PATH, else those of Debian's package, unpacked below `cache`.

    Raises:
        Fatal: neither works here; the message names the fix.
    """
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    if all(found):
        return Programs(*(Path(str(path)) for path in found))
    home = cache / "prometheus"
    with locked(cache / "prometheus.lock", within_s=DOWNLOAD_WITHIN_S):
        if not home.exists():
            _unpack(home)
    return Programs(home / "usr/bin/prometheus", home / "usr/bin/promtool")


def _unpack(home: Path) -> None:
    """Download Debian's package as whoever we are and unpack it, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        _run("apt-get", "download", "-qq", "prometheus", cwd=Path(folder))
        (package,) = Path(folder).glob("prometheus_*.deb")
        _run("dpkg-deb", "-x", str(package), "unpacked", cwd=Path(folder))
        (Path(folder) / "unpacked").rename(home)


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=DOWNLOAD_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Fatal(f"no Prometheus here: {FIX}. {command[0]} said: {error}") from error
    if done.returncode:
        raise Fatal(f"no Prometheus here: {FIX}. {command[0]} said: {done.stderr.strip()}")


class Prometheus:
    """A server that scrapes and evaluates once a second, with its data in `home`, until `stop`."""

    def __init__(self, program: Path, home: Path, *, rules: Path, targets: list[str]) -> None:
        """Start it with these rules; `targets` (`host:port`) are the job `sideline`."""
        config = home / "prometheus.yml"
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        jobs = [{"job_name": "sideline", "static_configs": [{"targets": targets}]}]
        config.write_text(yaml.safe_dump({"global": every, "rule_files": [str(rules)], "scrape_configs": jobs}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._log = home / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(program),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={home / 'data'}",
                    f"--web.listen-address={self._address}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self, page: str) -> Any:  # noqa: ANN401 - JSON of theirs
        """Return `data` of a page of the API, None while the server starts."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/{page}", timeout=5) as answer:
                return json.load(answer)["data"]
        except (urllib.error.URLError, ConnectionError):
            assert self._process.poll() is None, f"Prometheus ended: {self._log.read_text()}"
            return None

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules as the server sees them."""
        return [rule for group in (self.ask("rules") or {"groups": []})["groups"] for rule in group["rules"]]

    def alerts(self, name: str, state: str) -> list[dict[str, Any]]:
        """Return the alerts of a rule that are `pending` or `firing`."""
        found = (self.ask("alerts") or {"alerts": []})["alerts"]
        return [alert for alert in found if alert["labels"]["alertname"] == name and alert["state"] == state]

    def stop(self) -> None:
        """End the server and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def until(seen: Callable[[], Any], what: str) -> Any:  # noqa: ANN401 - whatever `seen` returns
    """Return what `seen` returns as soon as there is something."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := seen()):
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S:.0f} s"
        time.sleep(0.1)
    return found
