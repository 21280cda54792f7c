"""Pictures to learn from: the booth's captures and references as the models will see them, with their truth beside.

Pictures take the road of the line: JPEG and PNG, `evidence.picture_work`. Rendering is most of a recipe's time, so
albums are kept in a cache folder under a name that changes with the booth's own source text, and one that was cut short
goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

import booth
import evidence.decode
import evidence.depth
import evidence.frame
from booth.catalogue import Split
from booth.world import REFERENCES_PER_PRODUCT, Exposure, Picture, SiteStyle, Truth, World
from evidence.frame import CHANNELS, SIDE
from evidence.picture_work import Done, Job, pixels_of, work
from evidence.triton import CELLS
from schemas.faults import Poison, Reason
from schemas.words import KINDS, Severity

_NO_PAINTERS: Final = {"ahead", "associate", "sheet", "station", "turns", "wire"}  # of the booth's modules
_CHUNK: Final = 32  # captures or references per job: seconds of work, tens of megabytes of pictures
_DONE: Final = "done"


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
    site_style: SiteStyle = "mixed"
    depth: float = 0.5  # share of captures with depth

    def worlds(self) -> list[World]:
        """Return the world the pictures come from, or the two of twins: intact, damaged."""
        rates = (0.0, 1.0) if self.twins else (self.damage_rate,)
        return [
            World(
                self.seed,
                products=self.products,
                damage_rate=rate,
                split=self.split,
                site_style=self.site_style,
                depth=self.depth,
            )
            for rate in rates
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """N views, one row each. Damage that a view cannot show does not count as damage in it."""

    pixels: NDArray[np.uint8]  # uint8[N, 224, 224, 5], on disk: rows are read when they are asked for
    damaged: NDArray[np.bool_]  # bool[N]
    kinds: NDArray[np.bool_]  # bool[N, 7], order of schemas.words.KINDS
    major: NDArray[np.bool_]  # bool[N]
    cells: NDArray[np.float32]  # float32[N, 14, 14]: share of each cell that is damage
    product: NDArray[np.int32]  # int32[N]: number in its world
    shot: NDArray[np.int32]  # int32[N]: the same for all views of one capture, or of one reference
    reference: NDArray[np.bool_]  # bool[N]: a pristine reference rather than a capture

    def __len__(self) -> int:
        return len(self.damaged)

    def targets(self, rows: NDArray[np.int64]) -> Targets:
        """Return what these rows show, int64[B]."""
        return Targets(self.damaged[rows], self.kinds[rows], self.major[rows], self.cells[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the B views of a batch show, as in `Album`."""

    damaged: NDArray[np.bool_]  # bool[B]
    kinds: NDArray[np.bool_]  # bool[B, 7]
    major: NDArray[np.bool_]  # bool[B]
    cells: NDArray[np.float32]  # float32[B, 14, 14]


def album(
    order: Order, *, cache: Path | None, processes: int = 2, say: Callable[[int, int], None] = lambda _done, _all: None
) -> Album:
    """Return the pictures of an order: references first, then captures; from the cache where they are in it.

    Args:
        order: what to render.
        cache: folder of albums; None renders into memory.
        processes: that render side by side.
        say: told how many of how many chunks are there, after each.
    """
    if cache is None:
        with TemporaryDirectory() as folder:
            made = _made(order, Path(folder), processes, say)
            return Album(**{each.name: np.array(getattr(made, each.name)) for each in fields(Album)})
    return _made(order, cache / f"album-{fingerprint(order)}", processes, say)


def seen(picture: Picture) -> NDArray[np.uint8]:
    """Return uint8[224, 224, 5] as the line's models get it.

    Raises:
        Poison: the booth made a picture that the line refuses.
    """
    done = work(Job(0, picture.jpeg, None, picture.depth_png))
    if not isinstance(done, Done) or done.depth_fault:
        raise Poison(Reason.NOT_AN_IMAGE, f"the booth's own picture is refused: {done}")
    return pixels_of(done)


def coverage(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32[14, 14]: the share of each cell that is damage, for uint8[h, w], 255 all damage."""
    shares = cv2.resize(mask, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(shares, np.float32) / np.float32(255)


def fingerprint(order: Order) -> str:
    """Return a name for an order's pictures that changes when the code that makes them does."""
    ours = (evidence.decode.__file__, evidence.depth.__file__, evidence.frame.__file__, __file__)
    painters = (path for path in Path(booth.__path__[0]).rglob("*.py") if path.stem not in _NO_PAINTERS)
    sources = [*sorted(painters), *map(Path, ours)]
    digest = hashlib.sha256(repr(order).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _made(order: Order, folder: Path, processes: int, say: Callable[[int, int], None]) -> Album:
    """Render what the folder does not hold yet."""
    if not (folder / _DONE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        jobs = list(_jobs(order))
        missing = [(number, *job) for number, job in enumerate(jobs) if not _part(folder, number).exists()]
        say(len(jobs) - len(missing), len(jobs))
        context = get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_calm) as pool:
            futures = [pool.submit(_render, folder, *job) for job in missing]
            try:
                for done, future in enumerate(futures, len(jobs) - len(missing) + 1):
                    future.result()
                    say(done, len(jobs))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        _join(folder, len(jobs))
    with np.load(folder / "truth.npz") as truth:
        return Album(
            pixels=np.load(folder / "pixels.npy", mmap_mode="r"),
            **{each.name: truth[each.name] for each in fields(Album) if each.name != "pixels"},
        )


def _join(folder: Path, parts: int) -> None:
    """Make one file of pictures and one of truth out of the parts, then let go of these."""
    loaded = [np.load(_part(folder, number)) for number in range(parts)]
    truth = {
        each.name: np.concatenate([part[each.name] for part in loaded])
        for each in fields(Album)
        if each.name != "pixels"
    }
    np.savez(folder / "truth.npz", allow_pickle=False, **truth)
    shape = (len(truth["damaged"]), SIDE, SIDE, CHANNELS)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    row = 0
    for part in loaded:
        rows = part["pixels"]
        pixels[row : row + len(rows)] = rows
        row += len(rows)
        part.close()
    pixels.flush()
    (folder / _DONE).touch()
    shutil.rmtree(folder / "parts")


def _part(folder: Path, number: int) -> Path:
    return folder / "parts" / f"{number:05d}.npz"


def _jobs(order: Order) -> Iterator[tuple[Order, bool, Sequence[int]]]:
    """Cut the order into chunks; captures by product, so that a process paints each product's artwork once."""
    references = order.products * REFERENCES_PER_PRODUCT
    world = order.worlds()[0]
    captures = sorted(range(order.captures), key=lambda index: world.plan(index).number)
    for is_reference, places in ((True, range(references)), (False, captures)):
        for start in range(0, len(places), _CHUNK):
            yield order, is_reference, places[start : start + _CHUNK]


def _calm() -> None:
    """Keep OpenCV to one thread: the pool is the parallelism."""
    cv2.setNumThreads(1)


def _render(folder: Path, number: int, order: Order, is_reference: bool, places: Sequence[int]) -> None:
    worlds = order.worlds()
    rows: list[tuple[NDArray[np.uint8], Truth | None, Exposure | None, int, int]] = []
    for place in places:
        if is_reference:
            product, copy = divmod(place, REFERENCES_PER_PRODUCT)
            rows += [(seen(view), None, None, product, place) for view in worlds[0].reference(product, copy)]
        else:
            takes = [world.expose(place) for world in worlds]
            for views in zip(*(exposures for _, _, exposures in takes), strict=True):  # twins lie side by side
                for take, ((product, truth, _), view) in enumerate(zip(takes, views, strict=True)):
                    rows.append((seen(view.picture), truth, view, product, place * len(worlds) + take))
    hurt = [
        truth if truth is not None and view is not None and truth.damaged and view.boxes else None
        for _, truth, view, *_ in rows
    ]
    empty = np.zeros((CELLS, CELLS), np.float32)
    part = Album(
        pixels=np.stack([pixels for pixels, *_ in rows]),
        damaged=np.array([truth is not None for truth in hurt]),
        kinds=np.array([[truth is not None and kind in truth.kinds for kind in KINDS] for truth in hurt]),
        major=np.array([truth is not None and truth.severity is Severity.MAJOR for truth in hurt]),
        cells=np.stack([empty if view is None else coverage(view.mask) for _, _, view, *_ in rows]),
        product=np.array([product for *_, product, _ in rows], np.int32),
        shot=np.array([place for *_, place in rows], np.int32),
        reference=np.full(len(rows), is_reference),
    )
    path = _part(folder, number)
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    with unfinished.open("wb") as stream:
        arrays = {each.name: getattr(part, each.name) for each in fields(Album)}
        np.savez(stream, allow_pickle=False, **arrays)
    unfinished.replace(path)
