"""Examines the machine and the line, one question at a time; every finding that is not well says how to mend it."""

from __future__ import annotations

import asyncio
import enum
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from deploy.local import endpoints as addresses
from deploy.local import kafka, servers, system, triton
from deploy.local.endpoints import Endpoints
from deploy.local.folder import cache_dir
from deploy.local.parts import Parts, PartStatus
from deploy.local.ports import is_free, variable
from schemas.faults import SidelineError

_GIB: Final = 1024**3
_PYTHON: Final = (3, 11)  # Triton's Python stub is built for one version
_DISK_GIB: Final = (1.0, 5.0)  # fail below, warn below: a day of captures and the downloads
_MEMORY_GIB: Final = (1.0, 2.5)  # the four servers and five workers take about 2 GiB
_SHARED_MIB: Final = 32  # Triton exchanges tensors with its stubs through /dev/shm


class Verdict(enum.StrEnum):
    """How a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was examined, how it is, and what to do about it."""

    subject: str
    verdict: Verdict
    said: str
    fix: str = ""


def machine(environ: Mapping[str, str], folder: Path) -> Iterator[Finding]:
    """Examine what the line needs from the machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == _PYTHON:
        yield Finding("python", Verdict.OK, version)
    else:
        yield Finding(
            "python", Verdict.FAIL, version, "make the virtual environment with python3.11: make clean, then make"
        )
    ours = [name for name in servers.NEEDS if name not in addresses.elsewhere(environ)]
    needs = {need.what: need for name in ours for need in servers.NEEDS[name]}
    if kafka.have_jars(cache_dir(environ)):
        needs.pop(system.MAVEN.what, None)  # it only downloads them
    for need in needs.values():
        yield _need(need)
    yield _room("disk", shutil.disk_usage(folder).free / _GIB, _DISK_GIB, f"free some on the disk of {folder}")
    yield _room("memory", psutil.virtual_memory().available / _GIB, _MEMORY_GIB, "end other programs")
    if "triton" in ours:
        yield _shared_memory()
        yield _models(triton.model_repository(environ))


def ports(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Examine whether the configured ports can be had; only of use while nothing of ours runs on them."""
    elsewhere = addresses.elsewhere(environ)
    for name in (port for server in servers.PORTS if server not in elsewhere for port in servers.PORTS[server]):
        configured = environ.get(variable(name), "")
        if configured.isdecimal() and not is_free(int(configured)):
            fix = f"free it, or unset {variable(name)} to have one chosen"
            yield Finding(f"port of {name}", Verdict.FAIL, f"{configured} is taken by another process", fix)


def part(seen: PartStatus) -> Finding:
    """Judge one part."""
    said = ", ".join(words for words in (seen.state, seen.detail) if words)
    if seen.state in {"running", "elsewhere"} and seen.healthy is not False:
        return Finding(seen.name, Verdict.OK, said)
    if seen.state == "elsewhere":
        return Finding(
            seen.name, Verdict.FAIL, said, "start it, or unset the variable that names it: then ours is used"
        )
    if seen.state == "running":
        return Finding(seen.name, Verdict.WARN, f"running, not ready: {seen.detail}", f"sideline logs {seen.name}")
    fix = "sideline up" if seen.state == "stopped" else f"sideline logs {seen.name}"
    return Finding(seen.name, Verdict.FAIL, said, fix)


def models(url: str) -> Iterator[Finding]:
    """Let every model of a Triton server infer once."""
    from deploy.local.inference import TritonProbe

    with TritonProbe(url) as probe:
        for name in probe.models():
            began = time.perf_counter()
            try:
                probe.infer(name)
            except Exception as error:  # noqa: BLE001 - the answer is no, whatever gRPC calls it
                yield Finding(f"model {name}", Verdict.FAIL, str(error), "sideline logs triton")
            else:
                yield Finding(f"model {name}", Verdict.OK, f"inferred in {(time.perf_counter() - began) * 1000:.0f} ms")


def examine(environ: Mapping[str, str], parts: Parts, store_id: str) -> Iterator[Finding]:
    """Examine everything from the machine up, and stop where the rest would make no sense."""
    yield from machine(environ, parts.folder.root)
    try:
        endpoints = parts.endpoints()
    except SidelineError as error:
        yield from ports(environ)
        yield Finding("line", Verdict.WARN, str(error), "sideline up")
        return
    found = {seen.name: part(seen) for seen in parts.status()}
    yield from found.values()
    well = {name for name, finding in found.items() if finding.verdict is Verdict.OK}
    if "triton" in well:
        yield from models(endpoints.triton_url)
    if {"redis-decisions", "kafka"} <= well:
        yield asyncio.run(_store(endpoints, store_id))
        yield asyncio.run(_topics(endpoints, store_id))


async def _store(endpoints: Endpoints, store_id: str) -> Finding:
    from budget.store import DecisionStore

    if not store_id:
        return Finding("store id", Verdict.WARN, "none is pinned: no store was made yet", "sideline init")
    store = DecisionStore(endpoints.redis_decisions_url, store_id=store_id)
    try:
        await store.verify()
    except SidelineError as error:
        return Finding("store id", Verdict.FAIL, str(error), "point at the store that was pinned, or: sideline restore")
    finally:
        await store.close()
    return Finding("store id", Verdict.OK, store_id)


async def _topics(endpoints: Endpoints, store_id: str) -> Finding:
    from budget.store import DecisionStore
    from streams.topics import Entity, missing_topics

    store = DecisionStore(endpoints.redis_decisions_url, store_id=store_id)
    try:
        sites = list(await store.sites())
        missing = await missing_topics(endpoints.kafka_bootstrap, sites, Entity)
    except SidelineError as error:
        return Finding("topics", Verdict.FAIL, str(error), "sideline status")
    finally:
        await store.close()
    if missing:
        return Finding("topics", Verdict.FAIL, f"missing: {', '.join(missing)}", "sideline init")
    if not sites:
        return Finding("topics", Verdict.WARN, "no site is registered", "sideline site add NAME")
    return Finding("topics", Verdict.OK, f"all there for {', '.join(sites)}")


def _need(need: system.Need) -> Finding:
    if need.is_there():
        return Finding(need.package, Verdict.OK, f"{need.what} is there")
    if system.may_install():
        return Finding(need.package, Verdict.WARN, f"{need.what} is missing", "sideline up installs it")
    return Finding(need.package, Verdict.FAIL, f"{need.what} is missing", f"sudo apt-get install {need.package}")


def _room(subject: str, free_gib: float, limits_gib: tuple[float, float], fix: str) -> Finding:
    fail, warn = limits_gib
    said = f"{free_gib:.1f} GiB free"
    if free_gib >= warn:
        return Finding(subject, Verdict.OK, said)
    return Finding(subject, Verdict.WARN if free_gib >= fail else Verdict.FAIL, f"{said}, {warn} are needed", fix)


def _shared_memory() -> Finding:
    free_mib = shutil.disk_usage("/dev/shm").free / 1024**2  # noqa: S108 - the kernel's place for it
    said = f"{free_mib:.0f} MiB free in /dev/shm"
    if free_mib >= _SHARED_MIB:
        return Finding("shared memory", Verdict.OK, said)
    fix = "give the container a larger --shm-size"
    return Finding("shared memory", Verdict.FAIL, f"{said}, {_SHARED_MIB} are needed", fix)


def _models(repository: Path) -> Finding:
    names = sorted(config.parent.name for config in repository.glob("*/config.pbtxt"))
    empty = [name for name in names if not any(repository.glob(f"{name}/*/model.onnx"))]
    if not names or empty:
        said = f"{', '.join(empty)} without a version" if empty else f"{repository} has no model"
        return Finding("models", Verdict.FAIL, said, "make models")
    return Finding("models", Verdict.OK, ", ".join(names))
