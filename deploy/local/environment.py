"""The environments of the parts: only what they need, so that the shell `up` is typed in does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deploy.local.folder import RunFolder
from deploy.local.leftovers import MARK

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOR_ALL: Final = ("HOME", "USER", "LOGNAME", "TMPDIR", "TZ")
_FOR_WORKERS: Final = (
    "SIDELINE_",
    "AWS_",
    "SSL_CERT_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


def of_servers(environ: Mapping[str, str], folder: RunFolder) -> dict[str, str]:
    """Return a server's environment.

    `up` compares it with the one a running server was started with and restarts the server when they differ; a PATH or
    a terminal setting of the day must not cause that.
    """
    kept = {name: environ[name] for name in _FOR_ALL if name in environ}
    return {**kept, "PATH": _PATH, "LC_ALL": "C.UTF-8", MARK: str(folder.root)}


def of_workers(environ: Mapping[str, str], folder: RunFolder) -> dict[str, str]:
    """Return the base of a worker's environment: a server's, the line's settings and what an object store needs."""
    kept = {name: value for name, value in environ.items() if name.startswith(_FOR_WORKERS)}
    defaults = {"SIDELINE_DATA_DIR": str(folder.root / "faust"), "SIDELINE_IMAGE_ROOTS": str(folder.images)}
    return {**defaults, **kept, **of_servers(environ, folder), "PYTHONUNBUFFERED": "1"}
