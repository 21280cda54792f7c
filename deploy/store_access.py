"""Who may run which commands on which keys of the two stores: the table, and Redis's own words for it.

A worker's user can do what the worker does and nothing else: no other keys, no other commands on its keys, and nothing
that concerns the server (FLUSHALL, KEYS, CONFIG, ACL, SCRIPT FLUSH, ..). Calling a script needs, by Redis's rules, all
rights on every key that is handed to it. So the right to call stands apart from the rights on keys: a script may be
called with a site's configuration, and still not change it for a user that may only read it.
"""

from __future__ import annotations

import enum
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streams.acls import Role


class Store(enum.StrEnum):
    """One of the two Redis servers."""

    DECISIONS = "decisions"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True)
class Family:
    """Keys of one kind, and the commands with which they are read and written."""

    pattern: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What one role may do in one store: families it reads, families it reads and writes, whether it calls scripts."""

    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    calls: bool = False


# decision.lua asks for the type of every key before it uses it.
_DECISIONS: Final[Mapping[str, Family]] = {
    "this store": Family("sideline:store", ("get",), ("set",)),
    "sites": Family("sideline:sites", ("hkeys", "hexists"), ("hsetnx",)),
    "sent again": Family("sideline:resent:*", ("hmget",), ("hincrby", "hset", "pexpire")),
    "store": Family("{*}:store", ("type", "get"), ("set",)),
    "clock": Family("{*}:clock", ("type", "get"), ()),
    "lines": Family("{*}:lines", ("type", "sismember", "smembers"), ("sadd",)),
    "config": Family("{*}:config", ("type", "hget", "hmget"), ("hset",)),
    "configs": Family("{*}:configs", ("type", "hget", "hgetall"), ("hset",)),
    "changes": Family("{*}:changes", ("type", "hgetall"), ("hset",)),
    "budget": Family("{*}:budget", ("type", "exists", "hget", "hmget", "hgetall"), ("hset",)),
    "counts": Family("{*}:counts", ("type", "hmget", "hgetall"), ("hset",)),
    "line budgets": Family("{*}:line_budgets", ("type", "hmget", "hkeys", "hgetall"), ("hset",)),
    "open": Family("{*}:open", ("type", "zscore", "zrange", "zrangebyscore", "zcard"), ("zadd", "zrem")),
    "fusions": Family("{*}:fusions", ("type", "smembers"), ("sadd",)),
    "thresholds": Family("{*}:threshold:*", ("type", "hmget"), ("hset", "pexpire")),
    "scores": Family("{*}:scores:*", ("type", "hmget"), ("hset", "hdel", "pexpire")),
    "outcomes": Family("{*}:outcome:*", ("type", "hmget"), ("hset", "hdel", "pexpire")),
    "units": Family("{*}:unit:*", ("type", "smembers"), ("sadd", "srem")),
    "last": Family("{*}:last:*", ("type", "get"), ("set",)),
    "verdicts": Family("{*}:verdict:*", ("type", "get"), ("set",)),
    "associates": Family("{*}:associates", ("type", "hmget", "hlen", "hgetall"), ("hset",)),
    "scans": Family("{*}:scans:*", ("zrange", "zrangebyscore"), ("zadd", "zremrangebyrank", "pexpire")),
}
_GALLERY: Final[Mapping[str, Family]] = {
    "products": Family("gallery:products", ("hget", "hmget", "hscan"), ("hset",)),
    "references": Family("gallery:references:*", ("hget", "hmget", "hscan", "hlen"), ("hset", "hdel")),
    "patches": Family("gallery:patches:*", ("mget",), ("set", "persist", "del")),
    "prints": Family("gallery:prints:*", ("mget",), ("set", "persist", "del")),
    "facts": Family("gallery:facts", ("hget", "hmget", "hscan"), ("hset", "hdel")),
    "versions": Family("gallery:versions", ("smembers",), ("sadd",)),
    "feed": Family("gallery:feed", ("xread", "xrange", "xrevrange"), ("xadd",)),
    "epoch": Family("gallery:epoch", ("get", "exists"), ("set",)),
    "of": Family("gallery:of:*", ("smembers",), ("sadd", "srem")),
    "turns": Family("gallery:turn:*", ("get",), ("incr",)),
    "seen": Family("gallery:seen:*", ("hget", "hgetall", "hkeys", "hexists"), ("hset", "hdel", "pexpire", "del")),
    "held": Family("gallery:held:*", ("get",), ("set", "del")),
    "moving": Family("gallery:moving", ("smembers",), ("sadd", "srem")),
    "compared": Family("gallery:compared", ("hget",), ("hincrby",)),
    "nearest": Family("gallery:nearest", ("hmget",), ("hset",)),
}
FAMILIES: Final = {Store.DECISIONS: _DECISIONS, Store.GALLERY: _GALLERY}


def _all_but(families: Mapping[str, Family], *read: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is only read, and everything else."""
    return read, tuple(name for name in families if name not in read)


_OF_A_DECISION: Final = ("outcomes", "units", "last", "open", "budget", "counts", "line budgets")
_LOOKED_AT: Final = ("this store", "sites", "store", "clock", "lines", "config")
ACCESS: Final[Mapping[Store, Mapping[Role, Access]]] = {
    Store.DECISIONS: {
        Role.INSPECTOR: Access(
            (*_LOOKED_AT, "scans"), (*_OF_A_DECISION, "fusions", "thresholds", "scores"), calls=True
        ),
        Role.SETTLER: Access((*_LOOKED_AT, "fusions"), (*_OF_A_DECISION, "verdicts", "associates"), calls=True),
        Role.TRACKER: Access(("this store", "sites", "lines"), ("scans",)),
        Role.HERALD: Access(("this store", "sites", "lines", "store", "outcomes")),
        Role.CURATOR: Access(("this store",)),
        Role.OPERATOR: Access(*_all_but(_DECISIONS, "clock", "scans"), calls=True),
    },
    Store.GALLERY: {
        Role.INSPECTOR: Access(
            ("products", "references", "patches", "prints", "feed", "epoch"), ("compared", "nearest")
        ),
        Role.CURATOR: Access(*_all_but(_GALLERY, "compared", "nearest"), calls=True),
        Role.OPERATOR: Access(*_all_but(_GALLERY, "compared", "nearest"), calls=True),
    },
}
_ALWAYS: Final = ("ping", "multi", "exec", "discard")
_CALLING: Final = ("time", "script|load")  # what scripts, and loading them, need beside keys
_SERVING: Final = ("dbsize",)  # what `sideline status` asks


def users(store: Store) -> dict[str, Access]:
    """Return the users of a store by name."""
    return {role.principal(): access for role, access in ACCESS[store].items()}


def words(store: Store, user: str) -> list[str]:
    """Return what a user may do as the words of `ACL SETUSER`, after the name; its passwords stay as they are.

    Raises:
        KeyError: the store has no such user.
    """
    access = users(store)[user]
    plain = [*_ALWAYS, *(_CALLING if access.calls else ()), *(_SERVING if user == Role.OPERATOR.principal() else ())]
    return [
        "on",
        "resetkeys",
        "resetchannels",
        "clearselectors",
        "-@all",
        *(f"+{command}" for command in plain),
        *_selectors(FAMILIES[store], access),
    ]


def line(store: Store, user: str, *, secret: str | None) -> str:
    """Return the user's line of an ACL file; without a secret it can log in only once somebody gives it one."""
    password = [] if secret is None else [f"#{hashlib.sha256(secret.encode()).hexdigest()}"]
    return " ".join(["user", user, *password, *words(store, user)])


def _selectors(families: Mapping[str, Family], access: Access) -> Iterator[str]:
    """Yield one bracket for the keys a script may be called with, and one for each set of keys that commands share.

    All keys of one command must stand in one bracket, so the keys are gathered by command first.
    """
    if access.calls:
        yield _selector("~", ("eval", "evalsha"), [families[name].pattern for name in (*access.reads, *access.writes)])
    keys: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in (*access.reads, *access.writes):
        for command in families[name].reads:
            keys["%R~", command].append(families[name].pattern)
    for name in access.writes:
        for command in families[name].writes:
            keys["~", command].append(families[name].pattern)
    commands: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (kind, command), patterns in sorted(keys.items()):
        commands[kind, tuple(sorted(patterns))].append(command)
    for (kind, shared), together in commands.items():
        yield _selector(kind, together, shared)


def _selector(kind: str, commands: Sequence[str], patterns: Sequence[str]) -> str:
    return f"({' '.join([*(f'+{each}' for each in commands), *(f'{kind}{each}' for each in sorted(patterns))])})"
