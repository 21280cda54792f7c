"""`make fuzz`: every decoder of outside bytes under the fuzzer, for as long as you like.

    python -m tests.fuzz.run --seconds 300 [--target NAME ...] [--seed N] [--out DIR]

The time is divided among the targets. Exit 1 if anything was found.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import Result, run, table
from tests.fuzz.registry import everything


def main() -> int:
    """Run a campaign, say how it goes, print its table."""
    parser = argparse.ArgumentParser(description="Fuzz every decoder of outside bytes.")
    parser.add_argument("--seconds", type=int, default=300, help="in all (default 300)")
    parser.add_argument("--target", action="append", help="only targets whose name begins so; may be repeated")
    parser.add_argument("--seed", type=int, help="of the mutations; default: another one each time")
    parser.add_argument("--out", type=Path, default=Path(".sideline/fuzz"), help="where finds and logs go")
    asked = parser.parse_args()
    wanted = asked.target or [""]
    targets = [target for target in everything() if target.name.startswith(tuple(wanted))]
    if not targets:
        parser.error(
            f"no target begins with {' or '.join(wanted)}; there are {', '.join(t.name for t in everything())}"
        )
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(3)) + 1
    jobs = min(len(os.sched_getaffinity(0)), len(targets))
    rounds = -(-len(targets) // jobs)
    each_s = max(1, asked.seconds // rounds)
    _say(f"{len(targets)} targets, {each_s} s each, {jobs} at a time, seed {seed}")
    began = time.monotonic()

    def follow(result: Result) -> None:
        found = "" if result.find is None else f"  {result.find.kind.upper()}"
        took_s = time.monotonic() - began
        _say(f"{took_s:5.0f} s  {result.target:<26} {result.inputs:>10,} inputs, {result.edges:,} edges{found}")

    results = run(targets, asked.out, seconds=each_s, seed=seed, jobs=jobs, said=follow)
    _say(f"\n{table(results)}")
    return int(any(result.find is not None for result in results))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is its job


if __name__ == "__main__":
    sys.exit(main())
