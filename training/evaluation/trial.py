"""A trial: references onto a shelf, then capture after capture into rows, in as many processes as there are to spare.

A process takes a capture, looks at it and forgets it, so a set may be larger than any memory. Rows go to disk as they
come. A trial that was stopped goes on with the captures that have no row yet.
"""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Final, TypeVar

import cv2

from evidence.calibration import Calibration
from schemas.faults import Fatal
from training.evaluation import rows as rows_
from training.evaluation.examination import Enroller, Examination, Setting
from training.evaluation.models import Pair, digests
from training.evaluation.rows import About, Row, RowsFile
from training.evaluation.shelf import Enrolled, fill
from training.evaluation.source import Pose, Shot, Source

_CHUNK: Final = 8  # captures or references of one job: a second or less
_AHEAD: Final = 3  # jobs for each process
# The processes are the parallelism; threads of the matrix library would only wait for each other.
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Order = TypeVar("Order")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trial is."""

    stage: str  # references or captures
    done: int
    of: int


def run(
    source: Source,
    repository: Path,
    out: Path,
    *,
    processes: int,
    looks_of: int,
    say: Callable[[Progress], None],
    likeness: bool = False,
) -> Path:
    """Examine every capture of a source that has no row yet, and return the file of rows.

    Args:
        source: captures and references.
        repository: the models and their `fusion.json`.
        out: folder for the rows.
        processes: to work in.
        looks_of: so many captures are also looked up among choices of every size.
        say: told of progress.
        likeness: compare each capture with every product, which takes a while: limits are fitted on that.

    Raises:
        Fatal: a model or the calibration is missing, or the rows in `out` were made otherwise.
    """
    shots, poses = source.shots(), source.poses()
    if not shots:
        raise Fatal(f"{source.name} holds no captures")
    calibration = Calibration.load(repository / "fusion.json")
    about = About(
        source=source.name,
        models=digests(repository),
        fusion=calibration.version,
        prior=calibration.prior,
        limits=calibration.limits,
        products=len(source.catalogue()),
        references=len(poses),
    )
    with RowsFile.open(out / rows_.NAME, about) as rows:
        left = [shot for shot in shots if shot.number not in rows.done]
        if left:
            with tempfile.TemporaryDirectory(prefix="sideline-trial-") as shelf:
                setting = Setting(repository.resolve(), Path(shelf), tuple(source.catalogue()), looks_of, likeness)
                with _pool(setting, processes) as pool:
                    fill(Path(shelf), _enrolled(pool, poses, processes, say))
                    done = len(shots) - len(left)
                    say(Progress("captures", done, len(shots)))
                    for row in _each(pool, _rows, left, processes):
                        rows.add(row)
                        done += 1
                        say(Progress("captures", done, len(shots)))
    return out / rows_.NAME


def _enrolled(
    pool: ProcessPoolExecutor, poses: Sequence[Pose], processes: int, say: Callable[[Progress], None]
) -> list[Enrolled]:
    """Embed all references. Those whose pictures cannot be used are missing, as they would be in the gallery."""
    found: list[Enrolled] = []
    for number, each in enumerate(_each(pool, _enrol, poses, processes)):
        if isinstance(each, Enrolled):
            found.append(each)
        say(Progress("references", number + 1, len(poses)))
    return sorted(found, key=lambda each: each.reference_id)  # whichever process was first


def _each(
    pool: ProcessPoolExecutor, work: Callable[[list[Order]], list[Found]], orders: Sequence[Order], processes: int
) -> Iterator[Found]:
    """Yield what comes of all orders, as it comes, a bounded number of jobs ahead."""
    jobs = (list(orders[start : start + _CHUNK]) for start in range(0, len(orders), _CHUNK))
    waiting: set[Future[list[Found]]] = set()
    try:
        while True:
            room = processes * _AHEAD - len(waiting)
            waiting |= {pool.submit(work, job) for job in itertools.islice(jobs, room)}
            if not waiting:
                return
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                yield from future.result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _pool(setting: Setting, processes: int) -> Iterator[ProcessPoolExecutor]:
    """Open the processes; whoever is interrupted does not wait for more than the captures in hand.

    Raises:
        Fatal: a process was killed.
    """
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_enter, initargs=(setting, os.getpid(), stop))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise Fatal(
            "a process of the trial was ended from outside, for want of memory perhaps: rows so far are kept, so call "
            "it again, with fewer --processes"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


class _Desk:
    """What a process has at hand: models from the start, the examination once the shelf is filled."""

    def __init__(self, setting: Setting, stop: Event) -> None:
        self.stop = stop
        self._setting = setting
        self._models = Pair(setting.repository)
        self._examination: Examination | None = None
        self.enroller = Enroller(self._models)

    @property
    def examination(self) -> Examination:
        if self._examination is None:
            self._examination = Examination(self._setting, self._models)
        return self._examination


_desk: list[_Desk] = []  # of a process of the trial: its one desk


def _enter(setting: Setting, parent: int, stop: Event) -> None:
    """Prepare a process: one thread, low priority, Ctrl-C left to the parent, no life after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    # Last of all, without the interpreter's own clearing up: a library complains at length about what it finds there.
    Finalize(None, os._exit, args=(0,), exitpriority=-100)
    _desk.append(_Desk(setting, stop))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _enrol(poses: list[Pose]) -> list[Enrolled | str]:
    return [_desk[0].enroller.enrol(pose) for pose in poses if not _desk[0].stop.is_set()]


def _rows(shots: list[Shot]) -> list[Row]:
    return [_desk[0].examination.row(shot) for shot in shots if not _desk[0].stop.is_set()]
