"""The connection to the gallery's Redis, and the names of all its keys."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.faults import Fatal, Retryable
from settings.credentials import store_arguments

FEED_LENGTH: Final = 100_000  # events of about 100 bytes; a follower that missed more loads everything anew

PRODUCTS: Final = "gallery:products"
REFERENCES: Final = "gallery:references:"
PATCHES: Final = "gallery:patches:"
PRINTS: Final = "gallery:prints:"
FACTS: Final = "gallery:facts"
VERSIONS: Final = "gallery:versions"
FEED: Final = "gallery:feed"
EPOCH: Final = "gallery:epoch"
OF: Final = "gallery:of:"
TURN: Final = "gallery:turn:"
SEEN: Final = "gallery:seen:"
HELD: Final = "gallery:held:"
MOVING: Final = "gallery:moving"
COMPARED: Final = "gallery:compared"
NEAREST: Final = "gallery:nearest"


class GalleryLink:
    """One client of the gallery's Redis. Wrap every exchange in `as_faults`."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Connect on first use; `timeout_s` bounds each exchange with Redis."""
        # Any: the client's types cover both protocols and both decodings at once, ours is protocol 2 and bytes.
        self.redis: Any = redis.asyncio.Redis.from_url(
            url,
            **store_arguments(url),
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Once more, at once: a pooled connection may be older than a restart. Every operation here can be repeated.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )

    def script(self, name: str) -> Any:  # noqa: ANN401 - the client's own type
        """Return the Lua script of that name, ready to be called with `keys` and `args`."""
        return self.redis.register_script((Path(__file__).parent / f"{name}.lua").read_text())

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()


def patch_key(model_version: str, reference_id: str) -> str:
    """Return the key of a reference's patch maps."""
    return f"{PATCHES}{model_version}:{reference_id}"


def new_epoch() -> str:
    """Return a name for a store that has none."""
    return secrets.token_hex(8)


@contextlib.contextmanager
def as_faults() -> Iterator[None]:
    """Turn the client's errors into the one that says: wait for the gallery."""
    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        raise Fatal(
            f"the gallery store refuses our credentials: {error}; who may do what: sideline acls show"
        ) from error
    except (RedisError, OSError, TimeoutError) as error:
        raise Retryable("gallery", f"gallery store: {type(error).__name__}: {error}") from error
