"""Dead letters on a screen. What strangers wrote is shown without doing anything, and without secrets."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import re2
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget.records import Record
from budget.redrives import Resent
from cli.dead.letters import Letter
from schemas.codec import rfc3339
from schemas.messages import Decision
from streams.delivery import Delivery
from telemetry.plain import cut, plain, plain_lines

TEXT_CHARS: Final = 4_000
UNPRINTABLE: Final = 10  # one character in so many that does not print makes it a dump
HEX_BYTES: Final = 512
INDENTED_BYTES: Final = 16 * 1024  # lists nested a thousand deep indent to megabytes
ROW_BYTES: Final = 16
HIDDEN: Final = "(hidden)"
_NAMES: Final = r"[\w.-]*(?:authorization|cookie|credential|password|passwd|secret|signature|token|api[-_]?key)[\w.-]*"
# On re2: whoever may write to a topic chooses the text, and must not choose how long it takes to look through it.
_SECRET_NAME: Final = re2.compile(rf"(?i){_NAMES}")
_SECRET_FIELD: Final = re2.compile(rf'(?i)("{_NAMES}"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}}\]"]+)')
_SECRET_WORD: Final = re2.compile(rf"(?i)({_NAMES}\s*[=:]\s*)[^\s,;&\"']+")
_BEARER: Final = re2.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+")
_USERINFO: Final = re2.compile(r"(\w://)[^/\s\"'@]*@")
_QUERY: Final = re2.compile(r"(\w://[^\s\"'?]*\?)[^\s\"']+")
_INSTEAD: Final = (
    (_USERINFO, rf"\1{HIDDEN}@"),
    (_QUERY, rf"\1{HIDDEN}"),
    (_BEARER, rf"\1 {HIDDEN}"),
    (_SECRET_FIELD, rf'\1"{HIDDEN}"'),
    (_SECRET_WORD, rf"\1{HIDDEN}"),
)


def without_secrets(text: str) -> str:
    """Hide what gives access: passwords and queries in URIs, and values whose name says that they are secret."""
    for pattern, instead in _INSTEAD:
        text = pattern.sub(instead, text)
    return text


def shown_bytes(raw: bytes | None) -> str:
    """Return any bytes for people: JSON indented, other text escaped, anything else as the start of a hex dump."""
    if raw is None:
        return "none"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return hex_dump(raw)
    start = text[:TEXT_CHARS]
    if sum(not char.isprintable() and char not in "\r\n\t" for char in start) * UNPRINTABLE > len(start):
        return hex_dump(raw)
    if len(raw) <= INDENTED_BYTES:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            text = msgspec.json.format(text, indent=2)
    return plain_lines(cut(without_secrets(text), TEXT_CHARS))


def hex_dump(raw: bytes) -> str:
    """Return the first bytes in hex, with what of them is printable ASCII beside it; secrets are overwritten."""
    safe = without_secrets(raw.decode("latin-1")).encode("latin-1")
    rows = []
    for at in range(0, min(len(safe), HEX_BYTES), ROW_BYTES):
        row = safe[at : min(at + ROW_BYTES, HEX_BYTES)]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)  # noqa: PLR2004 - ASCII's printable
        rows.append(f"{at:06x}  {row.hex(' '):<{3 * ROW_BYTES}} {text}")
    left = len(safe) - HEX_BYTES
    return "\n".join([*rows, *([f"... {left:,} bytes more"] if left > 0 else [])])


def shown_header(name: str, raw: bytes) -> str:
    """Return a header in a line."""
    if _SECRET_NAME.fullmatch(name):
        return f"{plain(name)}: {HIDDEN}"
    return f"{plain(name)}: {cut(plain(without_secrets(raw.decode('utf-8', 'backslashreplace'))), TEXT_CHARS)}"


def counted(letters: Sequence[Letter]) -> RenderableType:
    """Return how many letters there are of each kind and reason, and when the newest came; most first."""
    groups: dict[tuple[str, str], list[Letter]] = defaultdict(list)
    for one in letters:
        groups[one.entity.value if one.entity else "?", one.reason].append(one)
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    table.add_column("letters", justify="right")
    for heading in ("entity", "reason", "newest", "its position"):
        table.add_column(heading)
    for (entity, reason), group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        newest = group[-1]
        table.add_row(f"{len(group):,}", entity, Text(plain(reason)), moment(newest.append_ms), newest.position)
    return table


def rows(letters: Sequence[Letter]) -> Iterator[Text]:
    """Yield a line for each letter."""
    for one in letters:
        line = Text(f"{moment(one.append_ms)}  {one.position:<12}  ")
        line.append(f"{plain(one.reason):<16}", style="bold red")
        words = without_secrets(one.said.message) if one.said else "its headers are not those of a dead letter"
        line.append(f"  {cut(plain(words), 100)}")
        line.append(f"  {plain(' '.join(one.ids[:1])) or f'{one.size} bytes'}", style="dim")
        yield line


def shown(
    letter: Letter, delivery: Delivery, *, record: Record | None, decision: Decision | None, resent: Resent | None
) -> RenderableType:
    """Return everything that is known of one letter."""
    where = f"{letter.topic}, partition {letter.partition}, offset {letter.offset}"
    parts = [Text(f"{plain(letter.reason)} since {moment(letter.append_ms)}", style="bold red"), Text(where)]
    if (said := letter.said) is not None:
        parts += [
            Text(cut(plain(without_secrets(said.message)), TEXT_CHARS)),
            Text(f"from {plain(said.topic)}, partition {said.partition}, offset {said.offset}"),
            Text(f"failed at {rfc3339(said.failed_at)} in {plain(said.connector)}, redriven {times(said.redrives)}"),
        ]
    if resent is not None:
        parts.append(Text(f"this letter was sent again {times(resent.times)}, last {moment(resent.at_ms)}"))
    if record is not None and decision is not None:
        parts += [Text("\nits capture's record", style="bold"), *_record_lines(record, decision)]
    parts += [Text("\nkey", style="bold"), Text(shown_bytes(delivery.key)), Text("\nheaders", style="bold")]
    parts += [Text(shown_header(name, raw)) for name, raw in delivery.headers]
    parts += [Text(f"\nvalue ({letter.size:,} bytes)", style="bold"), Text(shown_bytes(delivery.value))]
    return Group(*parts)


def _record_lines(record: Record, decision: Decision) -> Iterator[Text]:
    for before in decision.rejections:
        redriven = (
            "at a time that a restored store forgot" if before.redriven_at is None else rfc3339(before.redriven_at)
        )
        yield Text(f"rejected for {plain(before.reason)} at {rfc3339(before.rejected_at)}, redriven {redriven}")
    yield Text(f"{record.outcome.value} ({plain(record.reason)}) at {record.decided_at}")
    if record.grant:
        yield Text(f"redrive {record.grant} is permitted and not used yet")


def letter_json(letter: Letter) -> dict[str, object]:
    """Return a letter without its value, for tools."""
    said = letter.said
    if said is not None:
        said = msgspec.structs.replace(said, message=without_secrets(said.message))
    return {
        "position": letter.position,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "append_ms": letter.append_ms,
        "bytes": letter.size,
        "entity": letter.entity,
        "reason": letter.reason,
        "station": letter.station,
        "ids": letter.ids,
        "headers": said,
    }


def times(number: int) -> str:
    """Write how often."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def moment(at_ms: int) -> str:
    """Write a Unix time in ms."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
