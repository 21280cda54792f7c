"""What Kafka headers hold: dead letters, their making and their reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from cli.dead.letters import Wanted, letter_of
from schemas.codec import encode, read_dead_letter
from schemas.faults import Poison, Reason
from streams.dead_letters import headers_of
from streams.delivery import Delivery
from streams.legible import LegibleRecords
from streams.topics import DEAD_LETTER_SLACK_BYTES, Entity
from tests.fuzz.target import Target

_FIELDS: Final = (
    *("__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset"),
    *("__connect.errors.connector.name", "__connect.errors.stage", "__connect.errors.exception.class.name"),
    *("__connect.errors.exception.message", "sideline-reason", "sideline-failed-at", "ce_id", "content-type"),
)
_MOST, _LONGEST = 40, 30  # records of a batch, bytes of a name
_END: Final = b"\n"  # between headers; a colon stands between name and value


def headers_in(raw: bytes) -> list[tuple[str, bytes]]:
    """Cut bytes into headers. Names are text: Kafka's client decodes them."""
    pairs = (line.partition(b":") for line in raw.split(_END))
    return [(name.decode(errors="replace"), value) for name, _, value in pairs]


def _read(raw: bytes) -> None:
    """Any headers are a dead letter's or Poison."""
    try:
        letter = read_dead_letter(headers_in(raw))
    except Poison:
        return
    encode(letter)


def _letter(raw: bytes) -> None:
    """A record on a dead topic is a letter whatever it holds, and is meant or not."""
    head, _, value = raw.partition(b"\0")
    headers = tuple(headers_in(head))
    letter = letter_of(Delivery("sideline.fra1.dead.v1", 0, 1, None, value, headers, 1_800_000_000_000))
    wanted = Wanted(name="1", reasons=frozenset({"unreadable"}), entities=frozenset({Entity.CAPTURES}), station="s")
    wanted.holds(letter)
    str((letter.entity, letter.reason, letter.position))


def _made(raw: bytes) -> None:
    """Whatever the message and the fault say, its dead letter's headers can be read, and add little."""
    headers = tuple(headers_in(raw))
    text = raw.decode("utf-8", "surrogateescape")
    fault = Poison(Reason.UNREADABLE, text)
    delivery = Delivery("sideline.fra1.captures.v1", 0, 1, raw, raw, headers, 0)
    made = headers_of(delivery, fault, worker="inspector", failed_at="2026-11-25T00:00:00.000000Z")
    letter = read_dead_letter(made)
    if letter.reason != fault.reason or not letter.message.isprintable():
        raise AssertionError(f"{letter} is not what was written")
    added = sum(len(name.encode()) + len(value) for name, value in made if (name, value) not in headers)
    if added > DEAD_LETTER_SLACK_BYTES:
        raise AssertionError(f"a dead letter adds {added} bytes")


def _batches(raw: bytes) -> None:
    """Any names of headers in a batch: each record is read, once, with its value and the values of its headers."""
    values = [value for _, value in headers_in(raw)][:_MOST]
    names = [line.partition(b":")[0][:_LONGEST] for line in raw.split(_END)][:_MOST]
    records = LegibleRecords(batch_of(names, values))
    found = [each for one in iter(records.next_batch, None) for each in one]
    if values != [each.value for each in found] or values != [value for each in found for _, value in each.headers]:
        raise AssertionError(f"{len(found)} records of {len(values)}, or others")


def batch_of(names: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return a batch as a broker stores it: a record for each value, with one header whose name may be any bytes."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number, value in enumerate(values):
        mark = f"<{number:0{_LONGEST}}>"
        builder.append(number, timestamp=1, key=None, value=value, headers=[(mark, value)])
    raw = bytes(builder.build())
    for number, name in enumerate(names):
        raw = raw.replace(f"<{number:0{_LONGEST}}>".encode(), name.ljust(_LONGEST + 2, b"\xff"))
    return raw


def _seeds() -> Sequence[bytes]:
    delivery = Delivery("sideline.fra1.captures.v1", 3, 77, b"k", b"{}", (("ce_id", b"x"),), 0)
    made = headers_of(delivery, Poison(Reason.TOO_OLD, "an old one"), worker="inspector")
    whole = _END.join(name.encode() + b":" + value for name, value in made)
    return [whole, b"", b"ce_id:x", whole + _END + whole]


def _letters() -> Sequence[bytes]:
    return [_seeds()[0] + b"\0" + b'{"station":"s","capture_id":"c","later":[1]}', b"\0{}"]


_WORDS: Final = (*(f"{name}:".encode() for name in _FIELDS), b"\n", *(reason.value.encode() for reason in Reason))
TARGETS: Final = (
    Target("headers.read", _read, _seeds, words=_WORDS, inputs=10_000),
    Target("headers.batches", _batches, _seeds, words=_WORDS, inputs=2_000),
    Target("headers.letters", _letter, _letters, words=_WORDS, inputs=5_000),
    Target("headers.made", _made, _seeds, words=_WORDS, inputs=8_000),
)
