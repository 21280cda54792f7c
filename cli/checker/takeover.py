"""How long a killed inspector's partitions were silent, read off the topics."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from cli.checker.findings import Finding, Rule
from cli.checker.reading import Reading

SILENT_MS: Final = 1_500  # longer than any partition pauses while its group agrees anew
LOOKED_AT_MS: Final = 60_000  # after the kill


@dataclass(frozen=True, slots=True)
class Takeover:
    """The partitions that fell silent at a kill, and the longest time until one was served again."""

    partitions: int
    longest_ms: float


def takeover(reading: Reading, *, killed_ms: int) -> Takeover:
    """Measure a takeover: per partition of the captures topic, how long no capture that was due got its outcome.

    A partition is due from the kill on, or from its first unanswered capture after it. Only outcomes count, decided or
    not: an undetermined capture was answered too.
    """
    due: dict[int, list[tuple[int, float]]] = defaultdict(list)  # partition -> (append, answered)
    for capture_id, emissions in reading.decisions.items():
        answered_ms = emissions[0].message.decided_at.timestamp() * 1000
        if capture_id in reading.captures and killed_ms < answered_ms < killed_ms + LOOKED_AT_MS:
            capture = min(reading.captures[capture_id], key=lambda one: one.append_ms)
            due[capture.partition].append((capture.append_ms, answered_ms))
    silences = []
    for answers in due.values():
        first_due_ms = max(killed_ms, min(append_ms for append_ms, _ in answers))
        silences.append(min(answered_ms for _, answered_ms in answers) - first_due_ms)
    silent = [silence for silence in silences if silence > SILENT_MS]
    return Takeover(len(silent), max(silences, default=0.0))


def check_takeover(found: Takeover, *, limit_ms: float) -> list[Finding]:
    """A dead inspector's partitions must be served again within the limit."""
    if found.longest_ms <= limit_ms:
        return []
    return [Finding(Rule.TAKEOVER, f"{found.longest_ms / 1000:.1f} s passed, allowed are {limit_ms / 1000:.1f} s")]
