"""The line that faults happen to: real servers, workers that reach them through proxies, a bucket with pictures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
import msgspec
import psutil
from moto.server import ThreadedMotoServer

from booth.turns import Goods
from budget.config import BudgetConfig
from cli.here import Line, model_repository
from cli.run import demo_budget
from cli.scenarios import SCENARIOS, Scenario
from cli.site import add_site, initialise
from deploy.local import programs
from deploy.local.parts import Parts
from evidence.calibration import DEFAULT_PATH, Calibration
from schemas.faults import Fatal
from tests.chaos.proxy import Proxy

BUCKET: Final = "line-pictures"
PARTITIONS: Final = 4
INSPECTORS: Final = ("inspector-1", "inspector-2")
WORKERS: Final = (*INSPECTORS, "tracker", "curator", "settler")
RATE_PER_S: Final = 4.0  # two cores carry it with two inspectors, the booth and a catching-up after each fault
READY_WITHIN_S: Final = 90.0
_KEY: Final = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_KEPT: Final = ("SIDELINE_MODEL_REPOSITORY", "PATH", "HOME", "TMPDIR", "LANG")
Say = Callable[[str], None]


@dataclass(slots=True)
class Stage:
    """A running line, and how to lay hands on it."""

    parts: Parts
    line: Line
    store: Proxy
    triton: Proxy
    images: Proxy
    s3: Any
    env: Mapping[str, str]
    sites: dict[str, tuple[str, ...]] = field(default_factory=dict)  # and their lines

    async def open_sites(self, sites: Mapping[str, tuple[str, ...]]) -> None:
        """Register sites with full budgets, and let the workers take them up."""
        for site, lines in sites.items():
            await add_site(self.line, site, lines, config=budget(), partitions=PARTITIONS)
            self.sites[site] = lines
        await self.configure()
        await self.workers()

    async def configure(self) -> None:
        """Put the budget in force at all sites."""
        store = self.line.store()
        try:
            for site in self.sites:
                await store.configure(site, budget())
        finally:
            await store.close()

    async def workers(self, inspectors: int = len(INSPECTORS)) -> None:
        """Start or restart what serves the line, and wait until all of it is ready."""
        running = [part.name for part in self.parts.status() if part.name in WORKERS and part.state == "running"]
        await asyncio.gather(*(asyncio.to_thread(self.parts.stop, name) for name in running))
        await asyncio.to_thread(
            self.parts.start_workers, inspectors=inspectors, env=dict(self.env), say=lambda _words: None
        )

    async def again(self, name: str, env: Mapping[str, str], *, module: str = "") -> None:
        """Start one worker anew with more settings, or as another module."""
        program = programs.read(self.parts.folder)[name]
        command = (*program.command[:2], module, name) if module else program.command
        programs.write(self.parts.folder, msgspec.structs.replace(program, env={**program.env, **env}, command=command))
        await asyncio.to_thread(self.parts.restart, name)

    async def ready(self, *names: str, within_s: float = READY_WITHIN_S) -> float:
        """Wait until these workers say that they are, all of them by default; return how long that took, s."""
        began = time.monotonic()
        wanted = set(names or WORKERS)
        while time.monotonic() - began < within_s:
            found = {part.name for part in await asyncio.to_thread(self.parts.status) if part.healthy}
            if wanted <= found:
                return time.monotonic() - began
            await asyncio.sleep(0.3)
        raise AssertionError(f"{', '.join(sorted(wanted - found))} not ready within {within_s:g} s")

    def process(self, name: str) -> psutil.Process | None:
        """Return a part's process, None while there is none."""
        with contextlib.suppress(psutil.Error):
            if (pid := self.parts.pid(name)) is not None:
                return psutil.Process(pid)
        return None

    async def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part; one that is down already is left alone."""
        with contextlib.suppress(psutil.Error):
            if (process := await asyncio.to_thread(self.process, name)) is not None:
                process.send_signal(number)

    def upload(self, file: Path) -> str:
        """Put a file into the bucket and return its address."""
        self.s3.upload_file(str(file), BUCKET, file.name, ExtraArgs={"ACL": "public-read"})
        return f"s3://{BUCKET}/{file.name}"


def budget() -> BudgetConfig:
    """Return the budget of the demo, at the harness's rate."""
    return demo_budget(RATE_PER_S, calibration())


def calibration() -> Calibration:
    """Return the calibration that the line fuses with."""
    return Calibration.load(model_repository() / DEFAULT_PATH.name)


def world(seed: int) -> Goods:
    """Return the goods of a run."""
    return SCENARIOS[Scenario.STEADY].world(seed, 0)


@contextlib.asynccontextmanager
async def stage(folder: Path, environ: Mapping[str, str], *, say: Say) -> AsyncIterator[Stage]:
    """Start servers, proxies and bucket; stop everything at the end, whatever happened meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server would tell of each picture
    parts = Parts(folder, environ={name: value for name, value in environ.items() if name in _KEPT})
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    try:
        endpoints = await asyncio.to_thread(parts.up, say=say)
        moto.start()
        host, port = moto.get_host_and_port()
        s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **_KEY)
        s3.create_bucket(Bucket=BUCKET)
        redis, triton = urlsplit(endpoints.redis_decisions_url), endpoints.triton_url.rsplit(":", 1)
        async with (
            Proxy(str(redis.hostname), redis.port or 0) as to_store,
            Proxy(triton[0], int(triton[1])) as to_triton,
            Proxy(host, port) as to_images,
        ):
            through = replace(
                endpoints,
                redis_decisions_url=redis._replace(netloc=f"127.0.0.1:{to_store.port}").geturl(),
                triton_url=f"127.0.0.1:{to_triton.port}",
            )
            line = Line(endpoints, parts.folder)
            store_id = await initialise(line, partitions=PARTITIONS)
            env = {
                **through.variables(),
                "SIDELINE_STORE_ID": store_id,
                "SIDELINE_S3_BUCKETS": BUCKET,
                "SIDELINE_S3_ENDPOINT": f"http://127.0.0.1:{to_images.port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
            yield Stage(parts, line, to_store, to_triton, to_images, s3, env)
    finally:
        with contextlib.suppress(Exception):
            moto.stop()
        await _down(parts, say)


async def _down(parts: Parts, say: Say) -> None:
    """Stop everything; once more where a thread of something that was given up has started a part again meanwhile."""
    try:
        await asyncio.to_thread(parts.down, say=say)
    except Fatal as error:
        say(f"once more: {error}")
        await asyncio.to_thread(parts.down, say=say)
