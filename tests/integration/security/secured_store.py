"""A Redis as a site should run one: the table's users in an ACL file, and nobody else but the test's own keeper."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import redis

from deploy.store_access import Store, line, users
from tests.integration.security.certificates import certificate

WITHIN_S = 15.0
KEEPER = "keeper"


class SecuredStore:
    """One redis-server on loopback, by TCP, by TLS and by a socket."""

    def __init__(self, folder: Path, store: Store, known: Mapping[str, str] | None = None) -> None:
        """Keep its files in `folder`; users have the passwords that are `known`, others new ones."""
        self.folder = folder
        self.store = store
        known = known or {}
        self.secrets = {user: known.get(user, secrets.token_urlsafe(12)) for user in (KEEPER, *users(store))}
        self.port, self.tls_port = _free_port(), _free_port()
        self.socket = folder / "redis.sock"
        self.authority = folder / "authority.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str) -> str:
        """Return the store's URL with a user's password in it."""
        return f"redis://{user}:{self.secrets[user]}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until its keeper can log in."""
        rules = [line(self.store, user, secret=self.secrets[user]) for user in users(self.store)]
        rules += ["user default off", f"user {KEEPER} on >{self.secrets[KEEPER]} ~* &* +@all"]
        (self.folder / "users.acl").write_text("\n".join(rules) + "\n")
        key, authority = certificate(self.folder)
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing; install it with: apt-get install redis-server"
        options = {
            "port": self.port,
            "tls-port": self.tls_port,
            "tls-cert-file": authority,
            "tls-key-file": key,
            "tls-auth-clients": "no",
            "unixsocket": self.socket,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "aclfile": self.folder / "users.acl",
            "save": "",
            "loglevel": "warning",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self.folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen([program, *words], stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + WITHIN_S
        while True:
            with contextlib.suppress(redis.RedisError), self.keeper() as keeper:
                keeper.ping()
                return
            assert time.monotonic() < until, (self.folder / "redis.log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def keeper(self) -> Iterator[redis.Redis]:
        """Return a client that may do everything."""
        with self.client(KEEPER) as client:
            yield client

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[redis.Redis]:
        """Return a plain client of a user."""
        client = redis.Redis.from_url(self.url(user), socket_timeout=5, decode_responses=True)
        try:
            yield client
        finally:
            client.close()

    def refused(self) -> list[str]:
        """Return what the server refused since it was last asked, and forget it."""
        with self.keeper() as keeper:
            log = keeper.acl_log(100)
            keeper.acl_log_reset()
        return [f"{one['username']}: {one['reason']} {one['object']}" for one in log]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
