"""One Redis connection pool with bounded waits, the script on it, and Redis's errors as ours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final, NoReturn

from redis import asyncio as aioredis
from redis import exceptions as faults
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from schemas.faults import Fatal, Retryable
from settings.credentials import store_arguments, where

DEPENDENCY: Final = "redis"
Argument = str | bytes | int

# First words of answers that mean "not now" rather than "never": the server is starting, stopping, full or read-only.
_PASSING: Final = (
    "LOADING",
    "BUSY",
    "OOM",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
    "CLUSTERDOWN",
)


def script_text() -> str:
    """Return the text of `decision.lua`."""
    return resources.files("budget").joinpath("decision.lua").read_text(encoding="utf-8")


class RedisLink:
    """Commands to the decision store.

    Nothing is retried here: a caller that may repeat a call (deciding and settling are idempotent) does so knowingly.
    """

    def __init__(self, url: str, *, timeout_s: float, script: str | None = None) -> None:
        """Connect lazily to `url`; `script` replaces `decision.lua` in tests that plant a mistake in it."""
        self._where = where(url)
        self._timeout_s = timeout_s
        self._client = aioredis.Redis.from_url(
            url,
            **store_arguments(url),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = script if script is not None else script_text()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def command(self, *words: Argument) -> Any:  # noqa: ANN401 - a Redis answer has the command's own type
        """Run one command.

        Raises:
            Retryable: `redis` is away, slow, starting, full or read-only.
            Fatal: it refuses our credentials or holds what it must not hold.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        except (TimeoutError, OSError, faults.RedisError) as error:
            self._raise(error)

    async def commands(self, batch: Sequence[Sequence[Argument]], *, atomic: bool = False) -> list[Any]:
        """Run several commands in one round trip, as one transaction if `atomic`. Raises like `command`."""
        try:
            async with asyncio.timeout(self._timeout_s), self._client.pipeline(transaction=atomic) as pipe:
                for words in batch:
                    pipe.execute_command(*words)
                return await pipe.execute()
        except (TimeoutError, OSError, faults.RedisError) as error:
            self._raise(error)

    async def run(self, keys: Sequence[str], arguments: Sequence[Argument]) -> list[Any]:
        """Run the script by its digest; a server that does not know it (a restart, a flush) gets its text once."""
        tail = (len(keys), *keys, *arguments)
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    answer = await self._client.execute_command("EVALSHA", self._sha, *tail)  # type: ignore[no-untyped-call]
                except faults.NoScriptError:
                    answer = await self._client.execute_command("EVAL", self._script, *tail)  # type: ignore[no-untyped-call]
        except (TimeoutError, OSError, faults.RedisError) as error:
            self._raise(error)
        return list(answer)

    async def run_many(self, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[list[Any]]:
        """Run the script once per call in one round trip; each call is atomic, the batch is not."""
        await self.command("SCRIPT", "LOAD", self._script)
        batch = [("EVALSHA", self._sha, len(keys), *keys, *arguments) for keys, arguments in calls]
        return await self.commands(batch)

    def _raise(self, error: Exception) -> NoReturn:
        text = str(error)
        if isinstance(error, faults.AuthenticationError | faults.NoPermissionError):
            raise Fatal(f"redis at {self._where} refuses our credentials: {text}; mend the URL or the user") from error
        if isinstance(error, TimeoutError | OSError | faults.ConnectionError | faults.TimeoutError):
            raise Retryable(DEPENDENCY, f"redis at {self._where} is away: {text or type(error).__name__}") from error
        passing = (faults.OutOfMemoryError, faults.ReadOnlyError, faults.TryAgainError, faults.ClusterDownError)
        if isinstance(error, passing) or text.startswith(_PASSING):
            raise Retryable(DEPENDENCY, f"redis at {self._where} cannot write now: {text}") from error
        raise Fatal(f"redis at {self._where} answered {text!r}: its keys are not as decision.lua left them") from error
