"""A contact sheet of the booth, to judge its looks by eye: a row of everything, damage boxed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import cv2
import numpy as np

from booth.catalogue import Decoy, Material
from booth.lettering import Paint, write
from booth.optics import Box
from booth.world import Exposure, Plan, World
from schemas.words import KINDS, DamageKind

COLUMNS: Final = 8
_SEARCHED: Final = 4000  # captures looked through for a row
Wanted = Callable[[Plan], bool]


def sheet(
    seed: int, *, kind: DamageKind | None = None, material: Material | None = None, depth: bool = False, side: int = 240
) -> Paint:
    """Lay out pictures in rows, uint8[h, w, 3].

    Without `kind` and `material`: references, intact units with their wear, intact units with decoys, every kind of
    damage, every material. With one or both: only such units, intact and damaged. `depth` puts each picture's distances
    below it.
    """
    world = World(seed, damage_rate=0.5, products=160, depth=1.0 if depth else 0.0, site_style="mixed")
    rows: list[Paint] = []
    if kind is None and material is None:
        rows += _strip([_tile(world.reference(n, 0)[0].jpeg, side, "reference", ()) for n in range(COLUMNS)], side)
    used: set[int] = set()
    for wanted, each in _rows(kind, material):
        tiles = []
        products: set[int] = set()
        for index in range(_SEARCHED):
            plan = world.plan(index)
            if index in used or not wanted(plan) or (plan.number in products and material is None):
                continue
            used.add(index)
            products.add(plan.number)
            _, truth, exposures = world.expose(index, views=1)
            what = f"{', '.join(truth.kinds)} {truth.severity}" if truth.damaged else "intact"
            note = f"{truth.facts['form']}: {what}"
            tiles.append(_shown(exposures[0], side, note, depth=depth))
            if len(tiles) == each:
                break
        rows += _strip(tiles, side)
    return np.vstack(rows)


def _rows(kind: DamageKind | None, material: Material | None) -> Iterator[tuple[Wanted, int]]:
    """Yield what belongs in each row, and how many pictures of it."""

    def fits(plan: Plan) -> bool:
        return (material is None or plan.product.material is material) and (kind is None or plan.kinds == (kind,))

    if kind is None and material is None:
        yield lambda plan: not plan.damaged and plan.product.decoy is Decoy.NONE, COLUMNS
        yield lambda plan: not plan.damaged and plan.product.decoy is not Decoy.NONE, COLUMNS
        for each in KINDS:
            yield (lambda plan, each=each: plan.kinds == (each,)), COLUMNS  # type: ignore[misc]
        for made_of in Material:
            yield (lambda plan, made_of=made_of: plan.product.material is made_of), COLUMNS  # type: ignore[misc]
        return
    if kind is None:
        yield lambda plan: fits(plan) and not plan.damaged, COLUMNS
        yield lambda plan: fits(plan) and plan.damaged, 5 * COLUMNS
    else:
        yield fits, 5 * COLUMNS


def _strip(tiles: list[Paint], side: int) -> list[Paint]:
    """Put tiles of one height side by side, in as many lines as they need."""
    if not tiles:
        return []
    blank = np.full((tiles[0].shape[0], side, 3), 40, np.uint8)
    tiles = tiles + [blank] * (-len(tiles) % COLUMNS)
    return [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]


def _shown(exposure: Exposure, side: int, note: str, *, depth: bool) -> Paint:
    tile = _tile(exposure.picture.jpeg, side, note, exposure.boxes)
    if not depth or exposure.picture.depth_png is None:
        return tile
    stored = cv2.imdecode(np.frombuffer(exposure.picture.depth_png, np.uint8), cv2.IMREAD_UNCHANGED)
    distances = np.asarray(stored, np.float32)
    low, high = np.percentile(distances[distances > 0], [1, 99])
    shown = np.clip((high - distances) / max(high - low, 1e-3) * 255, 0, 255).astype(np.uint8)
    coloured = np.asarray(cv2.applyColorMap(shown, cv2.COLORMAP_VIRIDIS), np.uint8)
    coloured[distances == 0] = 0
    return np.vstack([tile, np.asarray(cv2.resize(coloured, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)])


def _tile(jpeg: bytes, side: int, note: str, boxes: tuple[Box, ...]) -> Paint:
    whole = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    tile: Paint = np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    for x, y, width, height in boxes:
        low, high = (int(x * side), int(y * side)), (int((x + width) * side), int((y + height) * side))
        cv2.rectangle(tile, low, high, (80, 220, 255), 1)
    tile[-18:] = (tile[-18:] * 0.45).astype(np.uint8)
    write(tile, note, 6, side - 5, (255, 255, 255), 12, 600)
    return tile
