"""Pictures to learn from: the booth's captures and references as the models will see them, with their truth beside.

Pictures take the road of the line: JPEG, `evidence.decode`, `evidence.frame`. Rendering is most of a recipe's time, so
albums are kept in a cache folder under a name that changes with the booth's own source text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

import booth
import evidence.decode
import evidence.frame
from booth.catalogue import Split
from booth.world import REFERENCES_PER_PRODUCT, Exposure, Truth, World
from evidence.decode import decode
from evidence.discrepancy import SIDE as CELLS
from evidence.frame import SIDE, frame
from schemas.words import KINDS, Severity

_NO_PAINTERS: Final = {"ahead", "associate", "sheet", "station", "wire"}  # of the booth's modules
_CHUNK: Final = 64  # captures or references per job: seconds of work, megabytes of answer


@dataclass(frozen=True, slots=True)
class Order:
    """Which pictures: a world, so many products, so many captures.

    `twins` takes every capture twice, intact and damaged, alike to the last grain of noise but for the damage: what
    tells them apart is damage and cannot be artwork. Otherwise `damage_rate` of the captures are damaged.
    """

    seed: int
    split: Split
    products: int
    captures: int
    damage_rate: float = 0.5
    twins: bool = False

    def worlds(self) -> list[World]:
        """Return the world the pictures come from, or the two of twins: intact, damaged."""
        rates = (0.0, 1.0) if self.twins else (self.damage_rate,)
        return [World(self.seed, products=self.products, damage_rate=rate, split=self.split) for rate in rates]


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """N views, one row each. Damage that a view cannot show does not count as damage in it."""

    pixels: NDArray[np.uint8]  # uint8[N, 160, 160, 3], RGB
    damaged: NDArray[np.bool_]  # bool[N]
    kinds: NDArray[np.bool_]  # bool[N, 7], order of schemas.words.KINDS
    major: NDArray[np.bool_]  # bool[N]
    cells: NDArray[np.float32]  # float32[N, 10, 10]: share of each cell inside a damage box
    product: NDArray[np.int32]  # int32[N]: number in its world
    shot: NDArray[np.int32]  # int32[N]: the same for all views of one capture, or of one reference
    reference: NDArray[np.bool_]  # bool[N]: a pristine reference rather than a capture

    def __len__(self) -> int:
        return len(self.damaged)


def album(order: Order, *, cache: Path | None, processes: int = 2) -> Album:
    """Return the pictures of an order: references first, then captures; from the cache where they are in it."""
    kept = None if cache is None else cache / f"album-{_fingerprint(order)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return Album(**{field.name: file[field.name] for field in fields(Album)})
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_calm) as pool:
        parts = list(pool.map(_render, *zip(*_jobs(order), strict=True)))
    made = Album(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Album)}
    )
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        with unfinished.open("wb") as stream:
            np.savez(stream, **{field.name: getattr(made, field.name) for field in fields(Album)})
        unfinished.replace(kept)
    return made


def seen(jpeg: bytes) -> NDArray[np.uint8]:
    """Return uint8[160, 160, 3] as the line's models get it."""
    rgb, _ = decode(jpeg, long_side=2 * SIDE)
    return frame(rgb)


def coverage(boxes: Sequence[tuple[float, float, float, float]]) -> NDArray[np.float32]:
    """Return float32[10, 10]: the share of each cell that lies inside one of the boxes (fractions of the view)."""
    fine = np.zeros((CELLS * 8, CELLS * 8), np.float32)
    for x, y, width, height in boxes:
        left, top = (int(edge * CELLS * 8) for edge in (x, y))
        right, bottom = (int(np.ceil(edge * CELLS * 8)) for edge in (x + width, y + height))
        fine[top:bottom, left:right] = 1
    return np.asarray(fine.reshape(CELLS, 8, CELLS, 8).mean(axis=(1, 3)), np.float32)


def _jobs(order: Order) -> Iterator[tuple[Order, bool, range]]:
    references = order.products * REFERENCES_PER_PRODUCT
    for is_reference, count in ((True, references), (False, order.captures)):
        for start in range(0, count, _CHUNK):
            yield order, is_reference, range(start, min(start + _CHUNK, count))


def _calm() -> None:
    """Keep OpenCV to one thread: the pool is the parallelism."""
    cv2.setNumThreads(1)


def _render(order: Order, is_reference: bool, places: range) -> Album:
    worlds = order.worlds()
    rows: list[tuple[NDArray[np.uint8], Truth | None, Exposure, int, int]] = []
    for place in places:
        if is_reference:
            number, copy = divmod(place, REFERENCES_PER_PRODUCT)
            rows += [
                (seen(view.jpeg), None, Exposure(view, ()), number, place) for view in worlds[0].reference(number, copy)
            ]
        else:
            takes = [world.expose(place) for world in worlds]
            for views in zip(*(exposures for _, _, exposures in takes), strict=True):  # twins lie side by side
                for take, ((number, truth, _), view) in enumerate(zip(takes, views, strict=True)):
                    rows.append((seen(view.picture.jpeg), truth, view, number, place * len(worlds) + take))
    hurt = [
        truth if truth is not None and truth.damaged and exposure.boxes else None for _, truth, exposure, *_ in rows
    ]
    return Album(
        pixels=np.stack([pixels for pixels, *_ in rows]),
        damaged=np.array([truth is not None for truth in hurt]),
        kinds=np.array([[truth is not None and kind in truth.kinds for kind in KINDS] for truth in hurt]),
        major=np.array([truth is not None and truth.severity is Severity.MAJOR for truth in hurt]),
        cells=np.stack([coverage(exposure.boxes) for _, _, exposure, *_ in rows]),
        product=np.array([number for *_, number, _ in rows], np.int32),
        shot=np.array([place for *_, place in rows], np.int32),
        reference=np.full(len(rows), is_reference),
    )


def _fingerprint(order: Order) -> str:
    """Return a name for an order's pictures that changes when the code that makes them does."""
    ours = (evidence.decode.__file__, evidence.frame.__file__, __file__)
    painters = (path for path in Path(booth.__path__[0]).glob("*.py") if path.stem not in _NO_PAINTERS)
    sources = [*sorted(painters), *map(Path, ours)]
    digest = hashlib.sha256(repr(order).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
