"""The users of the two stores on a real Redis: each does its worker's work, and nothing else."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import pytest
import redis

from budget.store import DecisionStore
from deploy.store_access import FAMILIES, Store, users
from schemas.faults import Fatal, Retryable
from streams.acls import Role
from tests.integration.security.conftest import SITE, Hands
from tests.integration.security.secured_store import SecuredStore

# Each command of the table with arguments that its syntax takes; KEY stands for a key.
SYNTAX: Final = {
    "del": "KEY",
    "exists": "KEY",
    "get": "KEY",
    "hdel": "KEY f",
    "hexists": "KEY f",
    "hget": "KEY f",
    "hgetall": "KEY",
    "hincrby": "KEY f 1",
    "hkeys": "KEY",
    "hlen": "KEY",
    "hmget": "KEY f",
    "hscan": "KEY 0",
    "hset": "KEY f v",
    "hsetnx": "KEY f v",
    "incr": "KEY",
    "mget": "KEY",
    "persist": "KEY",
    "pexpire": "KEY 9",
    "sadd": "KEY m",
    "set": "KEY v",
    "sismember": "KEY m",
    "smembers": "KEY",
    "srem": "KEY m",
    "type": "KEY",
    "xadd": "KEY * f v",
    "xrange": "KEY - +",
    "xread": "STREAMS KEY 0",
    "xrevrange": "KEY + -",
    "zadd": "KEY 1 m",
    "zcard": "KEY",
    "zrange": "KEY 0 -1",
    "zrangebyscore": "KEY 0 1",
    "zrem": "KEY m",
    "zremrangebyrank": "KEY 0 -1",
    "zscore": "KEY m",
}
KEYLESS: Final = {"ping", "multi", "exec", "discard"}
NEVER: Final = (
    "acl list", "acl setuser x on", "bgrewriteaof", "bgsave", "client list", "client kill id 1", "config get *",
    "config set dir /", "copy a b", "dump {east}:outcome:x", "eval_ro x 0", "expire {east}:open 1",
    "failover", "fcall f 0", "flushall", "flushdb", "function load x", "info", "keys *", "lastsave", "latency doctor",
    "memory doctor", "migrate h 1 k 0 9", "module list", "monitor", "move {east}:open 1", "psync a 1", "publish c m",
    "randomkey", "rename {east}:open x", "replicaof no one", "restore k 0 v", "role", "save", "scan 0", "script flush",
    "script kill", "select 1", "shutdown", "slowlog get", "sort {east}:open", "subscribe c", "swapdb 0 1", "sync",
    "unlink {east}:outcome:x", "wait 0 0", "getdel {east}:last:x", "append {east}:last:x v", "del {east}:outcome:x",
)  # fmt: skip


@pytest.fixture(params=list(Store))
def secured(request: pytest.FixtureRequest) -> SecuredStore:
    """Either store."""
    store: SecuredStore = request.getfixturevalue(str(request.param.value))
    return store


class TestNothingElse:
    """What the server itself answers for every user, command and kind of key."""

    def test_the_whole_table(self, secured: SecuredStore) -> None:
        """Each user may run exactly the table's commands on exactly the table's keys, and on no other key."""
        families = FAMILIES[secured.store]
        keys = {"anything": "anything"}
        for name, family in families.items():
            keys[name] = family.pattern.replace("{*}", f"{{{SITE}}}").replace("*", "x")
        asked = list(product(users(secured.store), keys, SYNTAX))
        with secured.keeper() as keeper, keeper.pipeline(transaction=False) as pipe:
            for user, name, command in asked:
                words = [keys[name] if word == "KEY" else word for word in SYNTAX[command].split()]
                pipe.execute_command("ACL", "DRYRUN", user, command, *words)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        allowed = {one for one, answer in zip(asked, answers, strict=True) if answer in {"OK", True}}
        wanted = set()
        for user, access in users(secured.store).items():
            for name in (*access.reads, *access.writes):
                commands = families[name].reads + (families[name].writes if name in access.writes else ())
                wanted |= {(user, name, command) for command in commands}
        assert wanted == allowed

    def test_nothing_of_the_server(self, secured: SecuredStore) -> None:
        """No user flushes, lists, copies, configures, watches or stops anything; tried for real."""
        for user in users(secured.store):
            got = []
            with secured.client(user) as client:
                for words in NEVER:
                    try:
                        client.execute_command(*words.split())  # type: ignore[no-untyped-call]
                    except redis.exceptions.NoPermissionError:
                        continue
                    except redis.RedisError as error:
                        got.append(f"{words}: {error}")
                    else:
                        got.append(words)
            assert [] == got
        secured.refused()

    def test_every_command_of_the_table_is_tried(self) -> None:
        """A command that the table gains must be tried above."""
        every = [family for families in FAMILIES.values() for family in families.values()]
        assert set(SYNTAX) == {command for family in every for command in (*family.reads, *family.writes)}

    @pytest.mark.parametrize(
        ("role", "script"),
        [
            (Role.INSPECTOR, "return redis.call('HSET', KEYS[1], 'alpha_ppm', '999999')"),
            (Role.SETTLER, "return redis.call('HSET', KEYS[1], 'json', '{}')"),
            (Role.INSPECTOR, "return redis.call('DEL', KEYS[1])"),
            (Role.INSPECTOR, "return redis.call('FLUSHALL')"),
            (Role.INSPECTOR, "return redis.call('GET', 'anything')"),
            (Role.OPERATOR, "return redis.call('CONFIG', 'SET', 'dir', '/')"),
        ],
    )
    def test_a_script_can_do_no_more(self, decisions: SecuredStore, role: Role, script: str) -> None:
        """Who may call scripts on a site's configuration still cannot change it by a script of their own."""
        refused = "can't access at least one of the keys|not allowed from script|can't run this command"
        with (
            decisions.client(role.principal()) as client,
            pytest.raises(redis.exceptions.ResponseError, match=refused),
        ):
            client.eval(script, 1, f"{{{SITE}}}:config")
        decisions.refused()

    @pytest.mark.parametrize("role", [Role.TRACKER, Role.HERALD, Role.CURATOR])
    def test_who_calls_no_script_has_none(self, decisions: SecuredStore, role: Role) -> None:
        """Not even one that touches nothing."""
        with decisions.client(role.principal()) as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.eval("return 1", 0)
        decisions.refused()


class TestTheDoor:
    """Whoever does not prove who they are gets nothing, and no password is ever repeated."""

    @pytest.mark.parametrize("userinfo", ["", "sideline.inspector:guessed@", "default:@", "nobody:guessed@"])
    async def test_it_stays_closed(self, decisions: SecuredStore, userinfo: str) -> None:
        """A worker stops and names the server, not the secret."""
        store = DecisionStore(f"redis://{userinfo}127.0.0.1:{decisions.port}/0", store_id="x")
        try:
            with pytest.raises(Fatal, match=rf":{decisions.port} refuses our credentials") as caught:
                await store.verify()
        finally:
            await store.close()
        assert "guessed" not in str(caught.value)

    async def test_by_a_mounted_password(
        self, decisions: SecuredStore, hands: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The URL need not hold it: user and a file do, over TCP, over the socket, and over TLS with the authority."""
        user = Role.HERALD.principal()
        (tmp_path / "password").write_text(decisions.secrets[user] + "\n")
        monkeypatch.setenv("SIDELINE_REDIS_USERNAME", user)
        monkeypatch.setenv("SIDELINE_REDIS_PASSWORD_FILE", str(tmp_path / "password"))
        monkeypatch.setenv("SIDELINE_REDIS_CA_FILE", str(decisions.authority))
        tls = f"rediss://127.0.0.1:{decisions.tls_port}/0"
        for url in (f"redis://127.0.0.1:{decisions.port}/0", f"unix://{decisions.socket}?db=0", tls):
            store = DecisionStore(url, store_id=hands.store_id)
            await store.verify()
            await store.close()

    async def test_a_server_that_nobody_vouches_for(
        self, decisions: SecuredStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the authority's file the certificate is not believed, and no password is sent."""
        user = Role.HERALD.principal()
        monkeypatch.setenv("SIDELINE_REDIS_USERNAME", user)
        monkeypatch.setenv("SIDELINE_REDIS_PASSWORD", decisions.secrets[user])
        store = DecisionStore(f"rediss://127.0.0.1:{decisions.tls_port}/0", store_id="x")
        try:
            with pytest.raises(Retryable, match="certificate"):
                await store.verify()
        finally:
            await store.close()
