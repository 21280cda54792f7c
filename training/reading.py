"""Albums of data sets on disk: the rows that the booth's pictures give, for whoever trains on their own photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from evidence.frame import CHANNELS, SIDE
from evidence.picture_work import Done, Job, pixels_of, work
from evidence.triton import CELLS
from schemas.faults import Fatal
from schemas.words import KINDS, Severity
from training.album import Album
from training.data.form import DataSet, Image, Label

UNMARKED: Final = -1.0  # share of damage in a cell of a view whose damage nobody marked
_FINE: Final = 8  # a cell's share is counted in 8 x 8 points

_log = structlog.get_logger(__name__)


def album_of(
    data: DataSet, folder: Path, *, processes: int = 2, say: Callable[[int, int], None] = lambda _done, _all: None
) -> Album:
    """Read a data set's labelled samples and its references, one row a view; pixels go to a file in `folder`.

    Pictures that cannot be read are left out with a line in the log. A damaged view without boxes says nothing about
    the place; one of a damaged sample that has boxes on other views only counts as intact.

    Raises:
        Fatal: nothing is left.
    """
    rows = list(_rows(data))
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(rows), SIDE, SIDE, CHANNELS)
    )
    kept = []
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        for row, read in enumerate(pool.map(_pixels, [image for image, *_ in rows], chunksize=16)):
            if isinstance(read, str):
                _log.warning("picture left out", path=str(rows[row][0].path), why=read)
            else:
                pixels[row] = read
                kept.append(row)
            say(row + 1, len(rows))
    if not kept:
        raise Fatal(f"{data.name} has no readable picture with a label: sideline dataset check {data.root}")
    pixels.flush()
    names = {product: number for number, product in enumerate(dict.fromkeys(product for _, _, product, _ in rows))}
    shots = {shot: number for number, shot in enumerate(dict.fromkeys(shot for *_, shot in rows))}
    labels = [rows[row][1] for row in kept]
    marked = {row[3] for row in rows if row[0].boxes}
    hurt = [_hurt(rows[row], marked) for row in kept]
    return Album(
        pixels=np.load(folder / "pixels.npy", mmap_mode="r") if len(kept) == len(rows) else pixels[kept],
        damaged=np.array(hurt),
        kinds=np.array(
            [
                [ill and label is not None and kind in label.kinds for kind in KINDS]
                for ill, label in zip(hurt, labels, strict=True)
            ]
        ),
        major=np.array(
            [
                ill and label is not None and label.severity is Severity.MAJOR
                for ill, label in zip(hurt, labels, strict=True)
            ]
        ),
        cells=np.stack([_cells(rows[row][0], ill) for row, ill in zip(kept, hurt, strict=True)]),
        product=np.array([names[rows[row][2]] for row in kept], np.int32),
        shot=np.array([shots[rows[row][3]] for row in kept], np.int32),
        reference=np.array([label is None for label in labels]),
    )


def _rows(data: DataSet) -> Iterator[tuple[Image, Label | None, str, str]]:
    """Yield image, label (None: a reference), product and shot of every view; a sample without product is its own."""
    for reference in data.references:
        for image in reference.images:
            yield image, None, reference.product_id, f"reference {reference.reference_id}"
    for sample in data.samples:
        if sample.label is not None:
            product = sample.product_id or f"of {sample.capture_id} alone"
            for image in sample.images:
                yield image, sample.label, product, sample.capture_id


def _pixels(image: Image) -> NDArray[np.uint8] | str:
    """Return uint8[224, 224, 5], or why there is none."""
    try:
        raw = image.path.read_bytes()
        depth = None if image.depth is None else image.depth.read_bytes()
    except OSError as error:
        return str(error)
    done = work(Job(0, raw, None, depth))
    return pixels_of(done) if isinstance(done, Done) else done.message


def _hurt(row: tuple[Image, Label | None, str, str], marked: set[str]) -> bool:
    """Tell whether a view shows damage: where another view of the capture is marked, an unmarked one shows none."""
    image, label, _, shot = row
    return label is not None and label.damaged and (bool(image.boxes) or shot not in marked)


def _cells(image: Image, hurt: bool) -> NDArray[np.float32]:
    """Return float32[14, 14]: the share of each cell inside a damage box of the square that the models see."""
    if not hurt:
        return np.zeros((CELLS, CELLS), np.float32)
    if not image.boxes:
        return np.full((CELLS, CELLS), UNMARKED, np.float32)
    return coverage(image.boxes)


def coverage(boxes: Sequence[tuple[float, float, float, float]]) -> NDArray[np.float32]:
    """Return float32[14, 14]: the share of each cell that lies inside one of the boxes (fractions of the view)."""
    side = CELLS * _FINE
    fine = np.zeros((side, side), np.float32)
    for x, y, width, height in boxes:
        left, top = (int(edge * side) for edge in (x, y))
        right, bottom = (int(np.ceil(edge * side)) for edge in (x + width, y + height))
        fine[top:bottom, left:right] = 1
    return np.asarray(fine.reshape(CELLS, _FINE, CELLS, _FINE).mean(axis=(1, 3)), np.float32)
