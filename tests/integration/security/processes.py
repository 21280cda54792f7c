"""Workers as processes of their own, with the credential of one principal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cli.tape import TopicReader
from streams.acls import Role
from streams.delivery import Delivery
from streams.documents import ROOT
from tests.integration.security.secured_broker import SecuredBroker
from tests.integration.security.secured_store import SecuredStore

LIMIT_S = 40.0


@dataclass(slots=True)
class Worker:
    """A worker's process with everything it wrote."""

    process: Process
    said: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Keep every line of its log."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode())

    async def pages(self) -> str:
        """Return its health and metrics pages once it says where they are."""
        async with asyncio.timeout(LIMIT_S):
            while not (found := re.search(r'"health_port": ?(\d+)', "".join(self.said))):
                await asyncio.sleep(0.05)
        return "".join([await asyncio.to_thread(page, int(found[1]), name) for name in ("metrics", "readyz", "livez")])


def page(port: int, name: str) -> str:
    """Read a page of a worker, whatever its status."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


@contextlib.asynccontextmanager
async def worker(name: str, variables: Mapping[str, str], folder: Path) -> AsyncIterator[Worker]:
    """Start a worker, and stop it as its supervisor would."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SIDELINE_")}
    env = {**kept, **variables, "SIDELINE_DATA_DIR": str(folder), "SIDELINE_WORKER_NAME": f"{name}-of-a-test"}
    env |= {"SIDELINE_LOG_LEVEL": "DEBUG"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"workers.{name}", env=env, cwd=ROOT, stderr=PIPE
    )
    started = Worker(process)
    listening = asyncio.create_task(started.listen())
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 15)
        await listening


def credential(broker: SecuredBroker, decisions: SecuredStore, role: Role, store_id: str) -> dict[str, str]:
    """Return the environment of a worker: its own user and password for both servers, passwords in files."""
    user = role.principal()
    file = decisions.folder / f"{user}.password"
    file.touch(mode=0o600)
    file.write_text(decisions.secrets[user])
    return {
        **broker.variables(user),
        "SIDELINE_REDIS_DECISIONS_URL": f"redis://127.0.0.1:{decisions.port}/0",
        "SIDELINE_REDIS_USERNAME": user,
        "SIDELINE_REDIS_PASSWORD_FILE": str(file),
        "SIDELINE_STORE_ID": store_id,
    }


async def first(broker: SecuredBroker, name: str, wanted: Callable[[Delivery], bool]) -> Delivery:
    """Return the first record on a topic that is wanted."""
    async with TopicReader(broker.bootstrap, [name]) as reader, asyncio.timeout(LIMIT_S):
        async for delivery in reader.follow():
            if wanted(delivery):
                return delivery
    raise AssertionError(name)


def now_ms() -> int:
    """Return the time."""
    return round(datetime.now(UTC).timestamp() * 1000)
