"""How many codes of a folder of photographs are read, how many wrongly, and in how many times the library's own time.

    python -m bench.codes_photos FOLDER [--quick | --budget-ms 60] [--show]

FOLDER holds a `manifest.csv` with the columns `path` and `expected_text` (empty where a photograph holds no code). The
effort is that of `sideline read-codes`; `--quick` is the line's. Everything happens in this process: for folders that
are trusted.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
from rich.console import Console

from evidence.code_reader import LONG_SIDE, QUICK, THOROUGH, Effort, read_codes
from evidence.codes import Code
from evidence.decode import decode
from schemas.faults import Poison
from training.photographs.code_card import CodeCard, words


def main() -> None:
    """Read every photograph and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget-ms", type=float, help="CPU time after which no further look begins")
    parser.add_argument(
        "--quick", action="store_true", help="strong looks only where a picture is patterned like a code"
    )
    parser.add_argument("--show", action="store_true", help="list what was read wrongly or not at all")
    options = parser.parse_args()
    effort = QUICK if options.quick else THOROUGH
    if options.budget_ms is not None:
        effort = Effort(budget_s=options.budget_ms / 1000, whole=effort.whole)
    cv2.setNumThreads(1)
    say = Console(width=160).print
    card = CodeCard()
    with (options.folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        raw = (options.folder / row["path"]).read_bytes()
        try:
            rgb, _ = decode(raw, long_side=LONG_SIDE)
        except Poison as error:
            say(row["path"], "refused:", error, markup=False)
            card.count(row["expected_text"], [])
            continue
        codes = read_codes(rgb, view=0, effort=effort)
        card.count(row["expected_text"], codes)
        card.time(raw, effort)
        right = [code for code in codes if words(code.text) == words(row["expected_text"])]
        if options.show and (len(right) < len(codes) or (row["expected_text"] and not right)):
            say(row["path"], repr(row["expected_text"][:40]), [_shown(code) for code in codes], markup=False)
    say(effort)
    for line in card.lines():
        say(line)


def _shown(code: Code) -> str:
    return f"{code.symbology} {words(code.text)[:40]!r}{'' if code.confirmed else ' unconfirmed'}"


if __name__ == "__main__":
    main()
