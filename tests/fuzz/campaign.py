"""A campaign: each target in a process of its own, what it found, and the table of it."""

from __future__ import annotations

import enum
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target

ROOT: Final = Path(__file__).resolve().parents[2]
_RUNS: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED: Final = re.compile(r"\bcov: (\d+)")
_START_S: Final = 120  # importing, rendering seeds and ending, on a machine that is busy


class Kind(enum.StrEnum):
    """What a target's process ended with. libFuzzer names the input's file after it."""

    CRASH = "crash"  # an error that the decoder does not declare, or a signal
    HANG = "timeout"  # one input took longer than it may
    MEMORY = "oom"
    BROKEN = "broken"  # the process ended without an input that did it


@dataclass(frozen=True, slots=True)
class Find:
    """What was found. `input` is None where no input did it; `log` holds the traceback."""

    kind: Kind
    input: Path | None
    log: Path
    status: int | None  # of the process, as Popen gives it; None where it had to be killed

    def command(self, target: str) -> str:
        """Return what shows it again."""
        if self.input is None:
            return f"cat {self.log}"
        return f"{sys.executable} -m tests.fuzz.one {target} --input {self.input}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one target. `edges` is what libFuzzer counts as covered in instrumented Python."""

    target: str
    inputs: int
    seconds: float
    edges: int
    find: Find | None = None


def run(
    targets: Sequence[Target],
    out: Path,
    *,
    seconds: int = 0,
    inputs: Callable[[Target], int] = lambda _: -1,
    seed: int = 1,
    jobs: int | None = None,
    said: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Fuzz the targets, as many at once as there are cores, and return what came of each in their order.

    `seconds` is for each target, 0 for no limit; `inputs` says how many it takes at most, -1 for no limit.
    """
    out.mkdir(parents=True, exist_ok=True)

    def one(target: Target) -> Result:
        result = _run(target, out, seconds=seconds, inputs=inputs(target), seed=seed)
        said(result)
        return result

    with ThreadPoolExecutor(jobs or len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(one, targets))


def _run(target: Target, out: Path, *, seconds: int, inputs: int, seed: int) -> Result:
    folder = out / target.name
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    command = [sys.executable, "-m", "tests.fuzz.one", target.name, "--out", str(folder)]
    command += ["--inputs", str(inputs), "--seconds", str(seconds), "--seed", str(seed)]
    before = set(folder.iterdir())
    began = time.monotonic()
    with log.open("wb") as written:
        status = _wait(command, written.fileno(), limit_s=_limit_s(target, seconds, inputs))
    took_s = time.monotonic() - began
    said = log.read_text(errors="replace")
    covered = _COVERED.findall(said)
    return Result(
        target=target.name,
        inputs=int(ran[1]) if (ran := _RUNS.search(said)) else 0,
        seconds=took_s,
        edges=int(covered[-1]) if covered else 0,
        find=None if status == 0 else _find(sorted(set(folder.iterdir()) - before - {log}), log, status),
    )


def _wait(command: Sequence[str], written: int, *, limit_s: float) -> int | None:
    """Return the process's status; None where it had to be killed, because not even its alarm could end it."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with tempfile.TemporaryDirectory(prefix="sideline-fuzz-", dir=memory if memory.is_dir() else None) as scratch:
        # libFuzzer ends a process at once, so nothing that it leaves behind can be its own to remove.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT), "TMPDIR": scratch}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None


def _limit_s(target: Target, seconds: int, inputs: int) -> float:
    """Return after how long a process is stuck, whatever it says."""
    return _START_S + target.timeout_s + (seconds or max(inputs, 0) / 5)


def _find(fresh: Sequence[Path], log: Path, status: int | None) -> Find:
    for kind in (Kind.HANG, Kind.MEMORY, Kind.CRASH):
        for file in fresh:
            if file.name.startswith(f"{kind}-"):
                return Find(kind, file, log, status)
    return Find(Kind.BROKEN, None, log, status)


def table(results: Sequence[Result]) -> str:
    """Return the results as text, with how to see each find again."""
    lines = [f"{'target':<26} {'inputs':>10} {'inputs/s':>9} {'edges':>6} {'crashes':>8} {'hangs':>6}"]
    for one in results:
        kind = None if one.find is None else one.find.kind
        hangs = int(kind is Kind.HANG)
        lines.append(
            f"{one.target:<26} {one.inputs:>10,} {one.inputs / max(one.seconds, 1e-9):>9,.0f} {one.edges:>6,} "
            f"{int(kind is not None) - hangs:>8} {hangs:>6}"
        )
    finds = [one for one in results if one.find is not None]
    hangs = sum(one.find is not None and one.find.kind is Kind.HANG for one in finds)
    total = sum(one.inputs for one in results)
    lines.append(f"{'all ' + str(len(results)):<26} {total:>10,} {'':>9} {'':>6} {len(finds) - hangs:>8} {hangs:>6}")
    lines += [
        f"\n{one.target}: {one.find.kind}, status {one.find.status}\n  {one.find.command(one.target)}"
        for one in finds
        if one.find
    ]
    return "\n".join(lines)
