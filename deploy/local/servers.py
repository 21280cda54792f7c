"""From the name of a server to its address, what it needs and the program that starts it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from deploy.local import kafka, probes, redis_stores, system, triton
from deploy.local.endpoints import SERVERS, Endpoints
from deploy.local.environment import of_servers
from deploy.local.folder import RunFolder, cache_dir
from deploy.local.ports import PortBook
from deploy.local.probes import Probe
from deploy.local.programs import Program
from deploy.local.system import Need

RedisName = Literal["redis-decisions", "redis-gallery"]

# Server -> every port it listens on; the first is the one that others talk to.
PORTS: Final = {
    "kafka": ("kafka", "kafka-controller"),
    "redis-decisions": ("redis-decisions",),
    "redis-gallery": ("redis-gallery",),
    "triton": ("triton", "triton-http", "triton-metrics"),
}
NEEDS: Final[Mapping[str, tuple[Need, ...]]] = {
    "kafka": (system.JAVA, system.MAVEN),
    "redis-decisions": (system.REDIS,),
    "redis-gallery": (system.REDIS,),
    "triton": (system.LIBPYTHON,),
}


def claim_ports(book: PortBook, name: str, *, in_use_by_us: bool) -> dict[str, int]:
    """Return the ports of a server by their names."""
    return {port: book.claim(port, in_use_by_us=in_use_by_us) for port in PORTS[name]}


def address(name: str, port: int) -> str:
    """Return the address of a server of ours, in the form its clients take."""
    return f"redis://127.0.0.1:{port}/0" if name.startswith("redis") else f"127.0.0.1:{port}"


def endpoints(ports: Mapping[str, int], elsewhere: Mapping[str, str]) -> Endpoints:
    """Return the addresses: those of existing servers, and ours for the rest."""
    return Endpoints(
        **{
            field: elsewhere[name] if name in elsewhere else address(name, ports[name])
            for name, (field, _) in SERVERS.items()
        }
    )


def prepare(
    folder: RunFolder,
    names: Collection[str],
    *,
    ports: Mapping[str, int],
    environ: Mapping[str, str],
    say: Callable[[str], None],
) -> list[Program]:
    """Download, configure and describe the servers, side by side: the first time, downloads take most of the time.

    Raises:
        Fatal: a package, a download or the model repository is missing.
    """
    cache = cache_dir(environ)
    system.provide({need for name in names for need in NEEDS[name]}, cache=cache, say=say)
    makers: dict[str, Callable[[], Program]] = {
        "kafka": lambda: _kafka(folder, cache, ports, environ, say),
        "redis-decisions": lambda: _redis(folder, "redis-decisions", ports, environ),
        "redis-gallery": lambda: _redis(folder, "redis-gallery", ports, environ),
        "triton": lambda: _triton(folder, cache, ports, environ, say),
    }
    with ThreadPoolExecutor(max_workers=len(makers)) as pool:
        return [made.result() for made in [pool.submit(makers[name]) for name in names]]


def _kafka(
    folder: RunFolder, cache: Path, ports: Mapping[str, int], environ: Mapping[str, str], say: Callable[[str], None]
) -> Program:
    libs = kafka.jars(cache, environ=environ, say=say)
    return kafka.program(
        folder,
        libs,
        port=ports["kafka"],
        controller_port=ports["kafka-controller"],
        environ=of_servers(environ, folder),
    )


def _redis(folder: RunFolder, name: RedisName, ports: Mapping[str, int], environ: Mapping[str, str]) -> Program:
    return redis_stores.program(folder, name, port=ports[name], environ=of_servers(environ, folder))


def _triton(
    folder: RunFolder, cache: Path, ports: Mapping[str, int], environ: Mapping[str, str], say: Callable[[str], None]
) -> Program:
    home = triton.venv(cache, environ=environ, say=say)
    return triton.program(
        folder, home, repository=triton.model_repository(environ), ports=ports, environ=of_servers(environ, folder)
    )


def probe(name: str, address: str) -> Probe:
    """Ask a server, ours or not, whether it is healthy."""
    match name:
        case "kafka":
            return probes.kafka(address)
        case "triton":
            return probes.triton(address)
        case _:
            return probes.redis(address)
