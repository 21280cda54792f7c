"""Is it healthy? One question per kind of part, each answered within a few seconds and never by raising."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from settings.credentials import store_arguments

_WITHIN_S: Final = 3.0
T = TypeVar("T")


class _HealthPage(msgspec.Struct, frozen=True):
    """What a worker's health pages say."""

    why: str = ""
    waiting_for: tuple[str, ...] = ()

    def words(self) -> str:
        return f"waiting for {', '.join(self.waiting_for)}" if self.waiting_for else self.why


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe saw, in words where there is something to say."""

    healthy: bool
    detail: str = ""


def kafka(bootstrap: str) -> Probe:
    """Ask the broker for its cluster: healthy once it lists itself, which it does only when it takes requests."""
    return _asked(lambda: _in_a_loop(_brokers(bootstrap)))


def topics(bootstrap: str) -> set[str]:
    """Return the names of the topics that exist.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    return _in_a_loop(_topics(bootstrap))


def redis(url: str) -> Probe:
    """Ask a Redis server whether it answers and has its data loaded."""
    return _asked(lambda: _redis(url))


def triton(url: str) -> Probe:
    """Ask a Triton server for one real inference of every model: readiness alone stays true when a model is dead."""
    from deploy.local.inference import TritonProbe  # imports gRPC, which takes half a second

    def ask() -> Probe:
        _refuse_if_silent(url)
        with TritonProbe(url) as probe:
            return probe.ask()

    return _asked(ask)


def worker(port: int, page: str) -> Probe:
    """Ask a worker's health page (`livez` or `readyz`)."""
    return _asked(lambda: _page(port, page))


def listens(host: str, port: int) -> bool:
    """Tell whether something accepts connections there; cheap, and silent unlike most clients."""
    try:
        with socket.create_connection((host, port), timeout=_WITHIN_S):
            return True
    except OSError:
        return False


def _asked(ask: Callable[[], Probe]) -> Probe:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever a client raises, the answer is no
        return Probe(healthy=False, detail=str(error).strip() or type(error).__name__)


def _redis(url: str) -> Probe:
    import redis as client
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)  # the client would try four times
    with client.Redis.from_url(
        url, **store_arguments(url), socket_timeout=_WITHIN_S, socket_connect_timeout=_WITHIN_S, retry=once
    ) as connection:
        connection.ping()
        return Probe(healthy=True, detail=f"{connection.dbsize()} keys")


def _page(port: int, page: str) -> Probe:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN_S)
    try:
        connection.request("GET", f"/{page}")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    with contextlib.suppress(msgspec.DecodeError):
        said = msgspec.json.decode(body, type=_HealthPage)
        return Probe(healthy=answer.status == http.client.OK, detail=said.words())
    return Probe(healthy=answer.status == http.client.OK, detail=f"HTTP status {answer.status}")


async def _brokers(bootstrap: str) -> Probe:
    from aiokafka.client import AIOKafkaClient

    from streams import connection

    _refuse_if_silent(bootstrap)
    client = AIOKafkaClient(**connection.arguments(bootstrap), request_timeout_ms=int(_WITHIN_S * 1000))
    try:
        await client.bootstrap()
        brokers = len(client.cluster.brokers())
    finally:
        await client.close()
    return Probe(healthy=brokers > 0, detail=f"{brokers} broker" if brokers else "lists no broker yet")


async def _topics(bootstrap: str) -> set[str]:
    from aiokafka.admin import AIOKafkaAdminClient

    from streams import connection

    client = AIOKafkaAdminClient(**connection.arguments(bootstrap), request_timeout_ms=int(_WITHIN_S * 1000))
    await client.start()
    try:
        return set(await client.list_topics())
    finally:
        await client.close()


def _refuse_if_silent(bootstrap: str) -> None:
    """Look before the client does: it logs each refused connection as an error."""
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        if listens(host, int(port)):
            return
    raise ConnectionRefusedError(f"nothing listens on {bootstrap}")


def _in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, so that callers may have an event loop running."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the answer says it
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, asyncio.wait_for(work, 2 * _WITHIN_S)).result()
