"""System packages: found, or installed by apt-get where we may, else named with the command that installs them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.folder import locked
from schemas.faults import Fatal

_INSTALL_WITHIN_S: Final = 600


@dataclass(frozen=True, slots=True)
class Need:
    """Something of the system that a part cannot run without."""

    what: str
    package: str  # Debian's
    is_there: Callable[[], bool]


def _command(name: str, package: str) -> Need:
    return Need(what=f"the command {name}", package=package, is_there=lambda: shutil.which(name) is not None)


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


JAVA: Final = _command("java", "openjdk-17-jre-headless")
MAVEN: Final = _command("mvn", "maven")
REDIS: Final = _command("redis-server", "redis-server")
# Triton's Python stub is linked against it, while Debian's own python3.11 is not.
LIBPYTHON: Final = Need(
    what="the library libpython3.11.so.1.0", package="libpython3.11", is_there=lambda: _can_load("libpython3.11.so.1.0")
)
ALL: Final = (JAVA, MAVEN, REDIS, LIBPYTHON)


def missing(needs: Collection[Need]) -> list[Need]:
    """Return the needs that this machine does not meet."""
    return [need for need in needs if not need.is_there()]


def provide(needs: Collection[Need], *, cache: Path, say: Callable[[str], None]) -> None:
    """Install what is missing, in one go.

    Raises:
        Fatal: we may not install packages here, or the installation failed; names packages and command.
    """
    if not missing(needs):
        return
    with locked(cache / "apt.lock", within_s=_INSTALL_WITHIN_S):
        absent = missing(needs)  # another checkout may have installed them while we waited
        if not absent:
            return
        packages = sorted({need.package for need in absent})
        advice = f"install it with: sudo apt-get install {' '.join(packages)}"
        names = " and ".join(need.what for need in absent)
        prefix = _root_prefix()
        if prefix is None:
            raise Fatal(f"{names} is missing: {advice}")
        say(f"installing {' '.join(packages)} with apt-get")
        install = [
            "apt-get",
            "install",
            "-qq",
            "-y",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=300",
            *packages,
        ]
        if not _runs([*prefix, *install]):
            # A fresh machine has no package lists yet.
            _runs([*prefix, "apt-get", "update", "-qq"])
            if not _runs([*prefix, *install]):
                raise Fatal(f"{names} is missing and apt-get could not install it: {advice}")
    if still := missing(needs):
        raise Fatal(f"{still[0].what} is missing although {still[0].package} is installed: check PATH")


def may_install() -> bool:
    """Tell whether `provide` can install packages here."""
    return _root_prefix() is not None


def _root_prefix() -> list[str] | None:
    """Return what makes a command run as root without asking anyone, or None if nothing does."""
    if shutil.which("apt-get") is None:
        return None
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if os.geteuid() == 0:
        return quiet
    if shutil.which("sudo") and _runs(["sudo", "-n", "true"]):
        return ["sudo", "-n", *quiet]
    return None


def _runs(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_INSTALL_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
