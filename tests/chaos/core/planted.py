"""Mistakes on purpose: each breaks the real code in one way, and the checker has to find it.

`plant` changes the classes of this very process. A simulation takes the mistake out again; `tests.chaos.planted_worker`
runs a worker with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterator
from typing import Any, Final, Self
from unittest.mock import patch

from budget import link
from budget.keys import SiteKeys
from budget.records import Record
from budget.store import DecisionStore
from schemas.codec import decode
from schemas.messages import Capture, Decision
from schemas.words import Divert
from streams.ledger import Entry, Ledger
from streams.topics import Entity
from streams.window import Window
from workers.answers import Arrival
from workers.inspector import Inspector


class Bug(enum.StrEnum):
    """What can be planted, and how it loses, doubles or invents something."""

    ACK_ON_COMPLETION = "ack-on-completion"  # out of order: a slow head is committed past, and lost with its process
    EMIT_BEFORE_RECORD = "emit-before-record"  # a death between the two: decided a second time, another value
    DEBIT_AGAIN = "debit-again"  # a capture that is delivered again pays again; the topics stay perfect
    ACK_BEFORE_DELIVERY = "ack-before-delivery"  # emissions under way die with the process, their offsets committed
    ADMIT_REVOKED = "admit-revoked"  # a partition that is given up is worked on and acknowledged past what was dropped
    DECIDE_AGAIN = "decide-again"  # no look, and a store that keeps no outcome from being decided again


LINGER_S: Final = 2.0  # how long ACK_BEFORE_DELIVERY keeps an emission; a commit follows within 0.5 s
_KEEP_RECORD: Final = (
    '  write("HSET", OUTCOME, unpack(record))\n  write("PEXPIRE", OUTCOME, digits(config.horizon_ms))\n'
)
_IS_STORED: Final = "  if exists[OUTCOME] then\n    if stored[1] ~= digest"
_RETURN_STORED: Final = '    return {"stored", stored[1], stored[2], stored[3] or ""}\n'
_DEBIT: Final = """\
    if redis.call("HGET", OUTCOME, "divert") == "damage" then
      redis.call("HINCRBY", BUDGET, "balance", -TOKEN)
      redis.call("HINCRBY", BUDGET, "pending", TOKEN)
    end
"""
_sound_answer: Final = Inspector._answer
_sound_send: Final = Inspector._send
_under_way: Final[set[asyncio.Task[None]]] = set()


_SCRIPTS: Final = {  # a passage of decision.lua, and what takes its place
    Bug.EMIT_BEFORE_RECORD: (_KEEP_RECORD, f'  if outcome == "rejected" then\n{_KEEP_RECORD}  end\n'),
    Bug.DEBIT_AGAIN: (_RETURN_STORED, _DEBIT + _RETURN_STORED),
    Bug.DECIDE_AGAIN: (_IS_STORED, _IS_STORED.replace("then", 'and outcome == "rejected" then', 1)),
}


@contextlib.contextmanager
def plant(bug: Bug, *, linger_s: float = LINGER_S) -> Iterator[None]:
    """Plant a mistake for as long as the context lasts. A store has it if it is made meanwhile."""
    methods: dict[Bug, tuple[type, str, object]] = {
        Bug.ACK_ON_COMPLETION: (Ledger, "finish", _finish_at_once),
        Bug.EMIT_BEFORE_RECORD: (Inspector, "_answer", _answer_then_record),
        Bug.DEBIT_AGAIN: (DecisionStore, "look", no_look),
        Bug.ACK_BEFORE_DELIVERY: (Inspector, "_send", _send_later(linger_s)),
        Bug.ADMIT_REVOKED: (Window, "__init__", _forgetful(Window.__init__)),
        Bug.DECIDE_AGAIN: (DecisionStore, "look", no_look),
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(*methods[bug]))
        if bug in _SCRIPTS:
            script = _script(*_SCRIPTS[bug])
            stack.enter_context(patch.object(link, "script_text", lambda: script))
        yield


def _script(right: str, wrong: str) -> str:
    """Return decision.lua with one passage changed.

    Raises:
        ValueError: the passage is not there once; decision.lua has moved on and the mistake has to follow.
    """
    text = link.script_text()
    if text.count(right) != 1:
        raise ValueError(f"decision.lua holds {text.count(right)} times: {right}")
    return text.replace(right, wrong)


def _finish_at_once(ledger: Ledger[Any], entry: Entry[Any]) -> list[Any]:
    """Release an entry when it is finished, whatever is before it."""
    if entry.finished:
        return []
    entry.finished = True
    ledger._unfinished -= 1
    ledger._entries.remove(entry)
    return [entry.token]


async def _answer_then_record(inspector: Inspector, arrival: Arrival, record: Record) -> None:
    """Send first, and only then put on record what was sent."""
    await _sound_answer(inspector, arrival, record)
    if not record.created:
        return
    decision = decode(Decision, record.decision)
    fields: list[str | bytes] = ["digest", record.digest, "decision", record.decision]
    if decision.divert is not Divert.NONE:
        fields += ["sidelined", record.sidelined or b"", "divert", decision.divert.value]
        fields += ["unit", decision.unit_id, "token", "open"]
    await inspector._store._link.command("HSET", SiteKeys(decision.site).outcome(decision.capture_id), *fields)


async def no_look(store: DecisionStore, site: str, capture_id: str) -> Record | None:
    """Never find anything."""
    return None


def _send_later(linger_s: float) -> Any:  # noqa: ANN401 - takes the place of a method
    """Return a `_send` that returns at once, and sends later."""

    async def later(inspector: Inspector, capture: Capture, kind: str, entity: Entity, value: bytes, at: str) -> None:
        await asyncio.sleep(linger_s)
        await _sound_send(inspector, capture, kind, entity, value, at)

    async def send(inspector: Inspector, capture: Capture, kind: str, entity: Entity, value: bytes, at: str) -> None:
        task = asyncio.create_task(later(inspector, capture, kind, entity, value, at))
        _under_way.add(task)
        task.add_done_callback(_forget)

    return send


def _forget(task: asyncio.Task[None]) -> None:
    """Take no note of how a sending ended: that is the mistake."""
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()


class _Empty(set[tuple[str, int]]):
    """A set that nothing enters."""

    def __ior__(self, other: object) -> Self:  # type: ignore[override]
        """Take nothing in."""
        return self


def _forgetful(make: Any) -> Any:  # noqa: ANN401 - takes the place of __init__
    """Return an `__init__` of a window that does not remember what it gave up."""

    def init(window: Window, **parts: Any) -> None:  # noqa: ANN401 - as the real one
        make(window, **parts)
        window._given_up = _Empty()

    return init
