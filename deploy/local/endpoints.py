"""Where the servers are, for every process that uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import msgspec

from schemas.faults import Fatal

# Server -> (field of Endpoints, environment variable that names an existing one).
SERVERS: Final = {
    "kafka": ("kafka_bootstrap", "SIDELINE_KAFKA_BOOTSTRAP"),
    "redis-decisions": ("redis_decisions_url", "SIDELINE_REDIS_DECISIONS_URL"),
    "redis-gallery": ("redis_gallery_url", "SIDELINE_REDIS_GALLERY_URL"),
    "triton": ("triton_url", "SIDELINE_TRITON_URL"),
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of the four servers; `triton_url` is host:port of its gRPC service."""

    kafka_bootstrap: str
    redis_decisions_url: str
    redis_gallery_url: str
    triton_url: str

    def variables(self) -> dict[str, str]:
        """Return the environment variables that carry them to a process of ours."""
        return {variable: getattr(self, field) for field, variable in SERVERS.values()}


def elsewhere(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the address of every server that the environment says to use instead of starting ours."""
    return {server: environ[variable] for server, (_, variable) in SERVERS.items() if environ.get(variable)}


def write(file: Path, endpoints: Endpoints) -> None:
    """Keep the endpoints for other commands, beside whatever else they keep in that file (the store's id)."""
    kept = {**_read(file), **asdict(endpoints)}
    fresh = file.with_suffix(".part")
    fresh.touch(mode=0o600)  # a URL may hold a password
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    fresh.replace(file)


def read(file: Path, environ: Mapping[str, str]) -> Endpoints:
    """Return the endpoints kept at the last start, those of the environment first.

    Raises:
        Fatal: an address is known to neither.
    """
    known = _read(file)
    known.update({SERVERS[server][0]: address for server, address in elsewhere(environ).items()})
    try:
        return Endpoints(**{field.name: known[field.name] for field in fields(Endpoints)})
    except KeyError as missing:
        raise Fatal(f"no {missing.args[0]} is known: start the servers with `sideline up`") from None


def _read(file: Path) -> dict[str, str]:
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    return {}
