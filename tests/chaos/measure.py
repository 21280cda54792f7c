"""What a round measured: how long the line took to recover from each fault, and what its workers held meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import psutil

from cli.checker.reading import Reading
from schemas.words import Outcome
from tests.chaos.stage import WORKERS, Stage

LOOKED_AT_MS: Final = 90_000  # after a fault, at most
DEADLINE_MS: Final = 3_000
SAMPLE_EVERY_S: Final = 2.0
MIB: Final = 1024 * 1024


class Happened(msgspec.Struct, frozen=True):
    """A fault as it was, and what it cost. Times are the broker's, ms."""

    number: int
    what: str
    from_ms: int
    to_ms: int
    recovery_s: float = 0.0  # from its beginning until captures were answered in time again
    undetermined: int = 0  # captures that came in meanwhile and got no decision
    expected: float = 0.0  # as many would, had every silent partition done nothing until it answered again


class Sample(msgspec.Struct, frozen=True):
    """What one process of a worker held at one time."""

    worker: str
    pid: int
    at_s: float  # since the process began
    rss_mib: float
    files: int  # descriptors


class Answer(msgspec.Struct, frozen=True):
    """One capture as the timeline shows it."""

    at_ms: int
    waited_s: float
    outcome: str
    partition: int


def answers(reading: Reading) -> list[Answer]:
    """Return every capture with a decision on the topic, by arrival; resends count as their first delivery."""
    found = []
    for capture_id, decision in reading.decided().items():
        deliveries = reading.captures.get(capture_id, ())
        if deliveries:
            first = min(deliveries, key=lambda one: one.append_ms)
            waited_s = decision.decided_at.timestamp() - first.append_ms / 1000
            found.append(Answer(first.append_ms, waited_s, decision.outcome.value, first.partition))
    return sorted(found, key=lambda one: one.at_ms)


def costs(happened: Sequence[Happened], found: Sequence[Answer]) -> list[Happened]:
    """Say of each fault how long its trace was, up to the next fault that came by itself.

    Recovery ends with the last capture that came in meanwhile and was undetermined or answered late. The expected
    number is, over the partitions, their rate times the silence beyond a capture's deadline.
    """
    costed = []
    for place, one in enumerate(happened):
        later = [other.from_ms for other in happened[place + 1 :] if other.from_ms > one.to_ms]
        end_ms = min([*later, one.to_ms + LOOKED_AT_MS])
        meanwhile = [each for each in found if one.from_ms - DEADLINE_MS <= each.at_ms < end_ms]
        late = [each for each in meanwhile if each.outcome != Outcome.DECIDED]
        last_ms = max((each.at_ms for each in late), default=one.from_ms)
        costed.append(
            msgspec.structs.replace(
                one,
                recovery_s=max(0.0, (last_ms - one.from_ms) / 1000),
                undetermined=len(late),
                expected=_expected(one, meanwhile, end_ms),
            )
        )
    return costed


def _expected(one: Happened, meanwhile: Sequence[Answer], end_ms: int) -> float:
    """Return how many captures arrive while their partition is silent for longer than their deadline."""
    span_s = max(1.0, (end_ms - one.from_ms + DEADLINE_MS) / 1000)
    by_partition: dict[int, list[Answer]] = defaultdict(list)
    for each in meanwhile:
        by_partition[each.partition].append(each)
    expected = 0.0
    for group in by_partition.values():
        moments = sorted(each.at_ms + each.waited_s * 1000 for each in group)
        edges = [one.from_ms, *(moment for moment in moments if moment > one.from_ms)]
        silence_ms = max((later - earlier for earlier, later in pairwise(edges)), default=0.0)
        expected += len(group) / span_s * max(0.0, silence_ms - DEADLINE_MS) / 1000
    return expected


async def keep_sampling(stage: Stage, samples: list[Sample]) -> None:
    """Note again and again what every worker holds, until cancelled."""
    while True:
        for name in WORKERS:
            process = await asyncio.to_thread(stage.process, name)
            if process is not None:
                with contextlib.suppress(psutil.Error):
                    held = process.memory_info().rss / MIB
                    age_s = time.time() - process.create_time()
                    samples.append(Sample(name, process.pid, age_s, held, process.num_fds()))
        await asyncio.sleep(SAMPLE_EVERY_S)


class Growth(msgspec.Struct, frozen=True):
    """How one process changed between its first and its last quarter; medians, start-up left out."""

    worker: str
    minutes: float
    rss_from_mib: float
    rss_to_mib: float
    files_from: float
    files_to: float


def growth(samples: Sequence[Sample], *, after_s: float = 30.0, at_least_s: float = 60.0) -> list[Growth]:
    """Return the growth of every process that was watched long enough, the longest-lived of each worker only."""
    by_process: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for one in samples:
        if one.at_s >= after_s:
            by_process[one.worker, one.pid].append(one)
    longest: dict[str, Growth] = {}
    for (worker, _), seen in by_process.items():
        lived_s = seen[-1].at_s - seen[0].at_s
        if lived_s < at_least_s or lived_s / 60 <= longest.get(worker, _NONE).minutes:
            continue
        quarter = max(1, len(seen) // 4)
        first, last = seen[:quarter], seen[-quarter:]
        longest[worker] = Growth(
            worker,
            lived_s / 60,
            _median([one.rss_mib for one in first]),
            _median([one.rss_mib for one in last]),
            _median([one.files for one in first]),
            _median([one.files for one in last]),
        )
    return [longest[name] for name in sorted(longest)]


_NONE: Final = Growth("", 0.0, 0.0, 0.0, 0.0, 0.0)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile by the nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
