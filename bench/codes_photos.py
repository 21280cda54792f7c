"""How many codes of a folder of photographs are read, how many wrongly, and in how many times the library's own time.

    python -m bench.codes_photos FOLDER [--quick | --budget-ms 60] [--show]
    python -m bench.codes_photos FOLDER --looks    what each look takes, against what the reader's budget counts it as

FOLDER holds a `manifest.csv` with the columns `path` and `expected_text` (empty where a photograph holds no code). The
effort is that of `sideline read-codes`; `--quick` is the line's. Everything happens in this process: for folders that
are trusted.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from evidence.code_reader import _LOOKS, LONG_SIDE, QUICK, THOROUGH, Effort, _readings, read_codes
from evidence.codes import Code
from evidence.decode import decode
from evidence.patterns import Grey, Patch, code_patches
from schemas.faults import Poison
from training.photographs.code_card import CodeCard, words


def main() -> None:
    """Read every photograph and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget-ms", type=float, help="as of `sideline read-codes`")
    parser.add_argument(
        "--quick", action="store_true", help="strong looks only where a picture is patterned like a code"
    )
    parser.add_argument("--looks", action="store_true", help="time every look at every picture and its patches instead")
    parser.add_argument("--show", action="store_true", help="list what was read wrongly or not at all")
    options = parser.parse_args()
    effort = QUICK if options.quick else THOROUGH
    if options.budget_ms is not None:
        effort = Effort(budget_s=options.budget_ms / 1000, whole=effort.whole)
    cv2.setNumThreads(1)
    say = Console(width=160).print
    card, greys = CodeCard(), []
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
        if options.looks:
            greys.append(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
            continue
        codes = read_codes(rgb, view=0, effort=effort)
        card.count(row["expected_text"], codes)
        card.time(raw, effort)
        right = [code for code in codes if words(code.text) == words(row["expected_text"])]
        if options.show and (len(right) < len(codes) or (row["expected_text"] and not right)):
            say(row["path"], repr(row["expected_text"][:40]), [_shown(code) for code in codes], markup=False)
    if options.looks:
        for line in _looks(greys):
            say(line)
        return
    say(effort)
    for line in card.lines():
        say(line)


def _looks(greys: Sequence[Grey]) -> list[str]:
    """Time all looks at pictures, uint8[H, W], and where they are patterned, and set it against what is counted."""
    patches = [(grey, patch) for grey in greys for patch in (Patch.whole(grey), *code_patches(grey))]
    lines = []
    for number, look in enumerate(_LOOKS):
        shares = []
        for grey, patch in patches:
            began = time.thread_time()
            list(_readings(look, patch, grey))
            shares.append((time.thread_time() - began) / look.takes_s(patch))
        low, middle, high = (statistics.quantiles(shares, n=20)[at] for at in (0, 9, 18))
        lines.append(
            f"look {number}: {look.pixel_ns:.0f} ns a pixel counted; taken / counted {middle:.2f} in the middle, "
            f"{low:.2f} to {high:.2f} for nine in ten, {max(shares):.1f} at most"
        )
    return lines


def _shown(code: Code) -> str:
    return f"{code.symbology} {words(code.text)[:40]!r}{'' if code.confirmed else ' unconfirmed'}"


if __name__ == "__main__":
    main()
