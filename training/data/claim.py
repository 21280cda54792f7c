"""Whose folder it is, how far it has come, and what it came to: an export's order, journal and report."""

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from feedback.weights import Estimate
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal

ORDER: Final = "export.json"
REPORT: Final = "report.json"
_UNFINISHED: Final = ".unfinished"

Role = Literal["query", "reference"]


class Order(msgspec.Struct, frozen=True):
    """What was asked for. It is kept beside the tables: another order never mixes with this one."""

    site: str
    since: datetime
    until: datetime
    layout: str
    seed: int
    since_said: str  # as it was typed: `7d` moves on, but the same order again means the same range
    until_said: str


class Told(msgspec.Struct, frozen=True):
    """What became of every divert of the range. `verdicts` counts first ones in time, as `divert verdict`."""

    diverts: int
    verdicts: dict[str, int]
    waiting: int  # no verdict yet, and still time for one
    late: int  # verdicts came after the timeout only
    unjudged: int  # nobody judged in time, nor later
    revised: int
    contradicted: int
    unknown_kinds: int  # verdicts that name a kind of tomorrow; the kind was left out
    no_chance: int  # the record does not say how likely it was to be looked at
    audits_refused: int  # passes that were drawn, for which the station had no capacity
    dispositions_left_out: dict[str, int]
    samples: dict[str, int]  # by split
    references: int
    references_of_samples: int  # left out, because they show the very pictures of a sample
    without_pictures: int  # the sidelined event names no pictures that could be proved
    missing: int
    missing_named: list[str]
    references_missing: int
    references_missing_named: list[str]
    depth_missing: int
    estimate: Estimate


class _Line(msgspec.Struct, frozen=True):
    role: Role
    split: str
    name: str
    rows: list[dict[str, Any]]


class Journal:
    """Rows whose files are on disk, one capture or reference a line; a line that was cut off counts for nothing."""

    def __init__(self, out: Path) -> None:
        """Open the journal of a folder, and read what it holds."""
        self._file = out / _UNFINISHED / "rows.jsonl"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._known: dict[tuple[Role, str], _Line] = {}
        kept = []
        for raw in self._file.read_bytes().splitlines() if self._file.exists() else ():
            try:
                line = msgspec.json.decode(raw, type=_Line)
            except NO_DOCUMENT:
                continue
            self._known[line.role, line.name] = line
            kept.append(raw + b"\n")
        self._file.write_bytes(b"".join(kept))

    def has(self, role: Role, name: str) -> bool:
        """Tell whether a capture or reference is on disk."""
        return (role, name) in self._known

    def add(self, role: Role, split: str, name: str, rows: list[dict[str, Any]]) -> None:
        """Take down one whose files are on disk."""
        line = _Line(role, split, name, rows)
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self._known[role, name] = line

    def rows(self) -> defaultdict[tuple[str, str], list[dict[str, Any]]]:
        """Return all rows by role and split, in an order that does not depend on interruptions."""
        found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for (role, _), line in sorted(self._known.items()):
            found[role, line.split] += line.rows
        return found


def known_order(out: Path) -> Order | None:
    """Return the order of a folder that an export has begun.

    Raises:
        Fatal: it cannot be read.
    """
    try:
        raw = (out / ORDER).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Fatal(f"{out / ORDER} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(raw, type=Order)
    except NO_DOCUMENT as error:
        raise Fatal(f"{out / ORDER} is no order of an export: choose another folder") from error


def claim(out: Path, order: Order) -> Told | None:
    """Write the order down, or see that it is the one that was; return the report of an export that is complete.

    Raises:
        Fatal: the folder is another order's or somebody else's, or cannot be written to.
    """
    known = known_order(out)
    if known is not None and known != order:
        differing = [name for name in Order.__struct_fields__ if getattr(known, name) != getattr(order, name)]
        raise Fatal(f"{out} holds another export ({', '.join(differing)} differs): choose another folder")
    try:
        if known is None:
            out.mkdir(parents=True, exist_ok=True)
            if any(not each.name.startswith(".") for each in out.iterdir()):
                raise Fatal(f"{out} is not empty and was not written by this command: choose another folder")
            _write(out / ORDER, msgspec.json.format(msgspec.json.encode(order)))
        if (out / REPORT).exists():
            return msgspec.json.decode((out / REPORT).read_bytes(), type=Told)
    except (OSError, *NO_DOCUMENT) as error:
        raise Fatal(f"{out} cannot be used: {error}") from error
    return None


def finish(out: Path, told: Told) -> None:
    """Write the report, which says that all is there, and take the journal away."""
    _write(out / REPORT, msgspec.json.format(msgspec.json.encode(told)))
    shutil.rmtree(out / _UNFINISHED, ignore_errors=True)


def _write(file: Path, data: bytes) -> None:
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_bytes(data + b"\n")
    unfinished.replace(file)
