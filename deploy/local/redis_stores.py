"""The two Redis servers: decisions, which may lose nothing, and the gallery, which can be filled again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final, Literal

from deploy.local.folder import RunFolder
from deploy.local.programs import Program, digest

_FSYNC: Final = {"redis-decisions": "always", "redis-gallery": "everysec"}

_CONFIG: Final = """\
bind 127.0.0.1
port {port}
dir {home}
daemonize no
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
# Rewriting the process title would overwrite the environment that marks the process as ours.
set-proc-title no
"""


def program(
    folder: RunFolder, name: Literal["redis-decisions", "redis-gallery"], *, port: int, environ: Mapping[str, str]
) -> Program:
    """Write the server's configuration and return how to start it."""
    home = folder.root / name
    home.mkdir(exist_ok=True)
    config = home / "redis.conf"
    text = _CONFIG.format(port=port, home=f'"{home}"', fsync=_FSYNC[name])
    config.write_text(text)
    return Program(
        name=name,
        command=(shutil.which("redis-server", path=environ.get("PATH")) or "redis-server", str(config)),
        env=dict(environ),
        cwd=str(home),
        ports={name: port},
        stop_within_s=10,
        reads=digest(text.encode()),
    )
