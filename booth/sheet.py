"""A contact sheet of the booth, to judge its looks by eye: `python -m booth.sheet --seed 7 --out sheet.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from booth.lettering import Paint, write
from booth.light import SIDE
from booth.picture import Box
from booth.world import World
from schemas.words import KINDS, DamageKind

COLUMNS = 6


def sheet(seed: int, *, side: int = 300) -> Paint:
    """Lay out a row of references, a row of intact units and a row of every damage kind, uint8[h, w, 3]."""
    world = World(seed, damage_rate=0.5)
    tiles = [_tile(world.reference(number, 0)[0].jpeg, side, "reference", ()) for number in range(COLUMNS)]
    wanted: list[DamageKind | None] = [None, None, *KINDS]
    rows: dict[int, list[Paint]] = {place: [] for place in range(len(wanted))}
    for index in range(600):
        _, truth, exposures = world.expose(index, views=1)
        for place, kind in enumerate(wanted):
            if len(rows[place]) < COLUMNS and (truth.kinds == (kind,) if kind else not truth.damaged):
                note = f"{kind} {truth.severity}" if kind else "intact"
                rows[place].append(_tile(exposures[0].picture.jpeg, side, note, exposures[0].boxes))
                break
        if all(len(row) == COLUMNS for row in rows.values()):
            break
    blank = np.full((side, side, 3), 40, np.uint8)
    for row in rows.values():
        tiles += row + [blank] * (COLUMNS - len(row))
    lines = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(lines)


def _tile(jpeg: bytes, side: int, note: str, boxes: tuple[Box, ...]) -> Paint:
    whole = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    tile: Paint = np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    for x, y, width, height in boxes:
        low, high = (int(x * side), int(y * side)), (int((x + width) * side), int((y + height) * side))
        cv2.rectangle(tile, low, high, (80, 220, 255), 1)
    write(tile, note, 6, side - 8, (255, 255, 255), 13, 600)
    return tile


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--tile", type=int, default=SIDE * 5 // 8, help="pixels a side of every picture")
    options = parser.parse_args()
    cv2.imwrite(str(options.out), sheet(options.seed, side=options.tile))


if __name__ == "__main__":
    main()
