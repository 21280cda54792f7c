"""Finds what the parts logged about one capture, and about the workers around it.

Lines are our own as JSON or text, supervisord's, and the watchdog's. What is not a line of one of these is left alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cli.history.timeline import Mark, Moment, Source
from schemas.codec import NO_DOCUMENT

Place = tuple[str, int, int]  # topic, partition, offset
MARGIN_MS: Final = 8_000  # around a capture: longer than a dead worker's partitions wait
MOST: Final = 60  # lines about workers; those that name the capture are all told
_VALUE_CHARS: Final = 300
_WORKERS: Final = re.compile(
    rb"asked to stop|breaker (opened|closed)|cannot work|partitions (assigned|revoked)|stopp(ed|ing)|starting|"
    rb"waiting to start|deliveries given up|a part does not answer|restarting a part|\b(spawned|exited|killing)\b"
)
_SUPERVISOR: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) \w+ (.*)")
_TEXT: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?) +\[(\w+) *\] (.*)")
_PAIR: Final = re.compile(r"""(?:^| )(\w+)=(\{[^}]*\}|\[[^\]]*\]|'[^']*'|"[^"]*"|\S+)""")
_UNTOLD: Final = frozenset({"event", "timestamp", "level", "worker", "exception"})
_UNTOLD_OF_IT: Final = _UNTOLD | {"topic", "partition", "offset", "capture_id"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose lines are wanted: texts that name the capture, its records' places, and when it was about (Unix ms)."""

    texts: frozenset[str]
    places: frozenset[Place]
    from_ms: float
    to_ms: float


@dataclass(frozen=True, slots=True)
class Line:
    """One log line. `at_ms` is Unix time by the machine's clock."""

    at_ms: float
    event: str
    values: Mapping[str, object]


def log_moments(folder: Path, wanted: Wanted) -> tuple[list[Moment], int]:
    """Return the moments that logs tell, in order of time, and how many lines about workers were left out."""
    about: list[Moment] = []
    around: list[Moment] = []
    for path in sorted([*folder.glob("*.log"), *folder.glob("*.log.[0-9]")]):
        part = path.name.partition(".log")[0]
        for raw, line in _lines(path, wanted):
            names = any(text.encode() in raw for text in wanted.texts) or _is_at(line, wanted.places)
            near = wanted.from_ms - MARGIN_MS <= line.at_ms <= wanted.to_ms + MARGIN_MS
            if names:
                about.append(Moment(line.at_ms, Source.LOG, _words(line, _UNTOLD_OF_IT), part, _mark(line)))
            elif near and _WORKERS.search(raw) and _concerns(line, wanted.places):
                around.append(Moment(line.at_ms, Source.LOG, _words(line, _UNTOLD), part))
    around.sort(key=lambda one: one.at_ms)
    return sorted([*about, *around[:MOST]], key=lambda one: one.at_ms), max(0, len(around) - MOST)


def _lines(path: Path, wanted: Wanted) -> Iterator[tuple[bytes, Line]]:
    """Yield the lines of a file that may matter; a file that is rotated away meanwhile just ends."""
    needles = [text.encode() for text in wanted.texts] + [str(offset).encode() for _, _, offset in wanted.places]
    try:
        with path.open("rb") as file:
            for raw in file:
                if any(needle in raw for needle in needles) or _WORKERS.search(raw):
                    line = parse(raw.decode("utf-8", "replace"))
                    if line is not None:
                        yield raw, line
    except OSError:
        return


def parse(text: str) -> Line | None:
    """Read a log line, None for what is not one of ours."""
    if text.startswith("{"):
        try:
            values = msgspec.json.decode(text, type=dict[str, object])
        except NO_DOCUMENT:
            return None
        at_ms = _unix_ms(str(values.get("timestamp", "")))
        return None if at_ms is None else Line(at_ms, str(values.get("event", "")), values)
    if found := _SUPERVISOR.match(text):
        at_ms = _unix_ms(f"{found[1]}.{found[2]}")
        return None if at_ms is None else Line(at_ms, found[3], {})
    if found := _TEXT.match(text):
        at_ms = _unix_ms(found[1])
        pairs = {name: _value(value) for name, value in _PAIR.findall(found[3])}
        first = _PAIR.search(found[3])
        event = found[3][: first.start()] if first else found[3]
        return None if at_ms is None else Line(at_ms, event.strip(), {**pairs, "level": found[2]})
    return None


def _unix_ms(text: str) -> float | None:
    """Read a time; one without a zone is the machine's local time, as supervisord writes it."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.astimezone(UTC)).timestamp() * 1000
    except (ValueError, OverflowError):  # no time, or one at an end of the calendar
        return None


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # {[]}; the last two: endless nesting
        return text


def _is_at(line: Line, places: frozenset[Place]) -> bool:
    """Say whether a line is about one of these records: by its offset, or among those given up."""
    for topic, partition, offset in places:
        if line.values.get("topic") != topic or line.values.get("partition") != partition:
            continue
        if line.values.get("offset") == offset:
            return True
        cancelled, parked = line.values.get("cancelled"), line.values.get("parked")
        if isinstance(cancelled, list) and offset in cancelled:
            return True
        if isinstance(parked, list) and parked and parked[0] <= offset <= parked[-1]:
            return True
    return False


def _concerns(line: Line, places: frozenset[Place]) -> bool:
    """Say whether a line about a worker may matter: one on other partitions or records does not."""
    partitions = line.values.get("partitions")
    if isinstance(partitions, dict):
        return any(str(partition) in str(partitions.get(topic, "")).split() for topic, partition, _ in places)
    return "offset" not in line.values and line.event != "deliveries given up"


def _words(line: Line, untold: frozenset[str]) -> str:
    told = {name: value for name, value in line.values.items() if name not in untold and value not in (None, "None")}
    values = " ".join(f"{name}={value}" for name, value in told.items())
    exception = str(line.values.get("exception", "")).strip().rpartition("\n")[2]
    return " ".join(part for part in (line.event, values, exception) if part)[:_VALUE_CHARS]


def _mark(line: Line) -> Mark:
    return Mark.WRONG if line.values.get("level") in {"error", "critical"} else Mark.PLAIN
