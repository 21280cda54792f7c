"""How many codes of a folder of photographs are read, how many wrongly, and how long it takes.

    python -m bench.codes_photos FOLDER [--thorough | --budget-ms 60]

FOLDER holds a `manifest.csv` with the columns `path` and `expected_text` (empty where a photograph holds no code).
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

import cv2
from rich.console import Console

from evidence.code_reader import LONG_SIDE, QUICK, THOROUGH, Effort, read_codes
from evidence.codes import Code
from evidence.decode import decode
from schemas.faults import Poison


def main() -> None:
    """Read every photograph once and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget-ms", type=float, help="the default is the line's own effort")
    parser.add_argument("--thorough", action="store_true", help="strong looks over the whole picture as well")
    parser.add_argument("--show", action="store_true", help="list what was read wrongly or not at all")
    options = parser.parse_args()
    effort = THOROUGH if options.thorough else QUICK
    if options.budget_ms is not None:
        effort = Effort(budget_s=options.budget_ms / 1000, whole=effort.whole)
    cv2.setNumThreads(1)
    say = Console(width=160).print
    right = unconfirmed = wrong = wrong_unconfirmed = labelled = total = 0
    times_ms = []
    with (options.folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        try:
            rgb, _ = decode((options.folder / row["path"]).read_bytes(), long_side=LONG_SIDE)
        except Poison as error:
            say(row["path"], "refused:", error, markup=False)
            continue
        started = time.thread_time()
        codes = read_codes(rgb, view=0, effort=effort)
        times_ms.append((time.thread_time() - started) * 1000)
        expected = _words(row["expected_text"])
        labelled += expected != ""
        total += 1
        true = [code for code in codes if _words(code.text) == expected]
        false = [code for code in codes if code not in true]
        right += any(code.confirmed for code in true)
        unconfirmed += bool(true) and not any(code.confirmed for code in true)
        wrong += any(code.confirmed for code in false)
        wrong_unconfirmed += any(not code.confirmed for code in false)
        if options.show and (false or (expected and not true)):
            say(row["path"], repr(expected[:40]), [_shown(code) for code in codes], markup=False)
    say(f"{total} photographs, {labelled} with a text; {effort}")
    say(f"read and confirmed {right}, read but unconfirmed {unconfirmed}")
    say(f"pictures with a wrong text: confirmed {wrong}, unconfirmed {wrong_unconfirmed}")
    say(
        f"CPU ms a picture: mean {statistics.fmean(times_ms):.1f}, median {statistics.median(times_ms):.1f}, "
        f"p95 {statistics.quantiles(times_ms, n=20)[-1]:.1f}, max {max(times_ms):.1f}"
    )


def _words(text: str) -> str:
    return " ".join(text.split())


def _shown(code: Code) -> str:
    return f"{code.symbology} {_words(code.text)[:40]!r}{'' if code.confirmed else ' unconfirmed'}"


if __name__ == "__main__":
    main()
