"""The users of a store, made on the server as the table says. Whoever calls this must be allowed to change users."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from deploy.store_access import Store, users, words
from schemas.faults import Fatal, Retryable
from settings.credentials import store_arguments, where


def apply(url: str, store: Store, secrets: Mapping[str, str]) -> bool:
    """Make every user of a store, and return whether the server keeps them over a restart.

    Rights that the table does not have are taken away. A user that is in `secrets` has that password from now on and
    no other one; the password of any other user stays as it is.

    Raises:
        Retryable: `redis`, when the store is away.
        Fatal: this user may not change users.
    """
    try:
        with redis.Redis.from_url(url, **store_arguments(url), socket_timeout=5, socket_connect_timeout=5) as client:
            for user in users(store):
                secret = secrets.get(user)
                password = [] if secret is None else ["resetpass", f"#{hashlib.sha256(secret.encode()).hexdigest()}"]
                client.execute_command("ACL", "SETUSER", user, *password, *words(store, user))
            return _saved(client)
    except (AuthenticationError, NoPermissionError) as error:
        raise Fatal(f"redis at {where(url)}: {error}. Log in as one who may change users") from error
    except (RedisError, OSError) as error:
        raise Retryable("redis", f"redis at {where(url)}: {error}") from error


def _saved(client: redis.Redis) -> bool:
    """Write the users to the server's ACL file, if it has one."""
    try:
        client.execute_command("ACL", "SAVE")  # type: ignore[no-untyped-call]
    except ResponseError:
        return False
    return True
