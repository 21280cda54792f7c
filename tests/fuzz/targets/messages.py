"""What Kafka values hold: every message, and what is made of it without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Final, TypeVar

import msgspec

from budget.config import BudgetConfig
from budget.restore import Plan
from cli.checker.reading import read as read_tape
from cli.tape import Tape
from cli.wording import record_json
from schemas.codec import decode, encode
from schemas.faults import Poison
from schemas.messages import Decision, Disposition, Message, Sidelined
from schemas.register import MESSAGES
from settings.sites import Site, SiteBook
from streams.delivery import Delivery
from streams.documents import GOLDEN
from streams.topic_tail import _tail
from tests.fuzz.mutators import HOSTILE, json_values
from tests.fuzz.target import Target
from workers.epcis import SiteNames, of_disposition, of_sidelined

M = TypeVar("M", bound=Message)
_NAMES: Final = SiteNames("fra1", SiteBook(sites={"fra1": Site(zone="Europe/Berlin")}))
_WORDS: Final = tuple(text.encode() for text in HOSTILE if len(text) < 64)


@cache
def golden() -> Sequence[bytes]:
    """Return the golden messages of every kind."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*/*.json"))]


def readable(kind: type[M], raw: bytes) -> M | None:
    """Read a message as a worker does; None for a dead letter."""
    try:
        return decode(kind, raw)
    except Poison:
        return None


def _of_every_kind(raw: bytes) -> None:
    """Any bytes are a message or Poison, and a message that was read is written and read again as the same."""
    for kind in MESSAGES:
        message = readable(kind, raw)
        if message is not None and decode(kind, encode(message)) != message:
            raise AssertionError(f"a {kind.__name__} is another one after it was written and read again")


def _told_to_partners(raw: bytes) -> None:
    """What can be read becomes an EPCIS event or Poison."""
    sidelined, disposition = readable(Sidelined, raw), readable(Disposition, raw)
    with suppress(Poison):
        if sidelined is not None:
            encode(of_sidelined(sidelined, _NAMES))
    with suppress(Poison):
        if disposition is not None:
            encode(of_disposition(disposition, disposition.unit_id or "unit", _NAMES))


def _restored(raw: bytes) -> None:
    """Whatever lies on the topics, a plan of restoration comes out."""
    plan = Plan(BudgetConfig(), sidelined=[raw], dispositions=[raw])
    for outcome in plan.outcomes([raw]):
        decode(Decision, outcome.raw)
        if outcome.sidelined:
            decode(Sidelined, outcome.sidelined)
    list(plan.answers())


def _read_back(raw: bytes) -> None:
    """The checker, `sideline tail --json` and the search for the last seq read any record."""
    one = (Delivery("sideline.fra1.captures.v1", 0, 1, raw[:9], raw, (("ce_id", raw[:9]),), 1_800_000_000_000),)
    read_tape(Tape(captures=one, decisions=one, sidelined=one, dispositions=one, dead=one))
    msgspec.json.decode(record_json(one[0]))
    _tail(SimpleNamespace(value=raw))


def _target(name: str, check: Callable[[bytes], None], inputs: int) -> Target:
    return Target(f"messages.{name}", check, golden, words=_WORDS, mutate=json_values, inputs=inputs)


TARGETS: Final = (
    _target("kinds", _of_every_kind, 10_000),
    _target("partners", _told_to_partners, 10_000),
    _target("restore", _restored, 8_000),
    _target("read_back", _read_back, 4_000),
)
