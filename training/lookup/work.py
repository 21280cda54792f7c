"""Enrolment and search in processes of their own: a hostile picture can end one of them, never the command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.decode import decode
from schemas.faults import Poison, Reason
from schemas.words import MAX_VIEW_BYTES
from training.backbone import Backbone, OwnEmbedding
from training.lookup.answer import Answer, answer
from training.lookup.gallery import Packshot
from training.lookup.search import Comparison, glance
from training.lookup.shelf import Embedder, Enrolled, enrol
from training.lookup.shortlist import KEPT, Shortlist
from training.photographs.anatomy import Normalise

PICTURE_SIDE: Final = 1024  # pixels a photograph is decoded to, at least; more is not looked at


Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Model:
    """Which model embeds."""

    path: Path
    backbone: bool
    normalise: Normalise | None = None

    def open(self) -> Embedder:
        """Open it in this process. Raises Fatal."""
        return Backbone.open(self.path, normalise=self.normalise) if self.backbone else OwnEmbedding(self.path)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why there is nothing to say about a picture."""

    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Processes that enrol references and look photographs up."""

    model: Model
    processes: int

    def enrol(self, shots: Sequence[Packshot]) -> Iterator[Enrolled | Unreadable]:
        """Yield each reference, in order."""
        return self._each(_enrol, shots, ())

    def find(self, photographs: Sequence[Path], shelf: Sequence[Enrolled]) -> Iterator[Answer | Unreadable]:
        """Yield an answer for each photograph, in order."""
        return self._each(_find, photographs, shelf)

    def _each(
        self, task: Callable[[Given], Found | Unreadable], given: Sequence[Given], shelf: Sequence[Enrolled]
    ) -> Iterator[Found | Unreadable]:
        """Run a task on each of many; where processes die, the one that was due runs alone, to see whether it kills."""
        done = 0
        while done < len(given):
            try:
                with self._pool(self.processes, shelf) as pool:
                    for found in pool.map(task, given[done:]):
                        yield found
                        done += 1
            except BrokenProcessPool:
                yield self._alone(task, given[done], shelf)
                done += 1

    def _alone(
        self, task: Callable[[Given], Found | Unreadable], one: Given, shelf: Sequence[Enrolled]
    ) -> Found | Unreadable:
        try:
            with self._pool(1, shelf) as pool:
                return pool.submit(task, one).result()
        except BrokenProcessPool:
            return Unreadable("it ended the process that opened it")

    def _pool(self, processes: int, shelf: Sequence[Enrolled]) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(self.model, tuple(shelf))
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Desk:
    """What a process works with."""

    embedder: Embedder
    shelf: tuple[Enrolled, ...]
    shortlist: Shortlist | None
    products: int


_desk: list[_Desk] = []


def _begin(model: Model, shelf: tuple[Enrolled, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends its processes, each in the middle of nothing
    cv2.setNumThreads(1)
    shortlist = Shortlist([each.cells for each in shelf]) if len(shelf) > KEPT else None
    _desk[:] = [_Desk(model.open(), shelf, shortlist, len({each.product_id for each in shelf}))]


def _open(path: Path) -> NDArray[np.uint8]:
    """Return a picture upright. Raises Poison or OSError."""
    if path.stat().st_size > MAX_VIEW_BYTES:
        raise Poison(Reason.NOT_AN_IMAGE, f"larger than {MAX_VIEW_BYTES} bytes")
    return decode(path.read_bytes(), long_side=PICTURE_SIDE)[0]


def _enrol(shot: Packshot) -> Enrolled | Unreadable:
    try:
        return enrol(shot.product_id, _open(shot.path), _desk[0].embedder)
    except (Poison, OSError, MemoryError) as error:
        return Unreadable(str(error) or type(error).__name__)


def _find(path: Path) -> Answer | Unreadable:
    desk = _desk[0]
    try:
        rgb = _open(path)
    except (Poison, OSError, MemoryError) as error:
        return Unreadable(str(error) or type(error).__name__)
    look = glance(rgb, desk.embedder)
    places = None if desk.shortlist is None else desk.shortlist.best(look.maps)
    return answer(Comparison(look, desk.shelf, desk.embedder).rank(places), products=desk.products)
