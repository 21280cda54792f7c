"""The booth's captures as a data set on disk, in Kaputt's layouts A and B.

Rendering is split into jobs of a few captures. A job leaves its rows in a file once its pictures are on disk, so
a run that was cut off goes on where it was; the tables are written last.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, cast

import cv2
import msgspec

import booth
from booth.catalogue import Split
from booth.world import REFERENCES_PER_PRODUCT, SiteStyle, World
from schemas.faults import Fatal, Retryable
from training.data.form import Label
from training.data.tree import Layout, Taken, TakenReference, TakenView, Tree

SPLITS: Final[dict[str, tuple[Split, str]]] = {  # as people may call it -> the booth's split, and Kaputt's word for it
    "train": ("train", "train"),
    "test": ("test", "test"),
    "validation": ("run", "validation"),
    "run": ("run", "validation"),
}
_NO_PAINTERS: Final = {"ahead", "associate", "sheet", "station", "wire"}  # of the booth's modules
_JOB: Final = 16  # captures, or products for references: seconds of work, so that Ctrl-C is heard
_PARTS: Final = ".unfinished"


class Order(msgspec.Struct, frozen=True):
    """What was asked for. It is kept beside the tables: another order never mixes with this one."""

    seed: int
    split: str
    captures: int
    products: int
    layout: str
    damage_rate: float
    site_style: str
    depth: float
    painters: str  # digest of the booth's source text: other code, other pictures


@dataclass(frozen=True, slots=True)
class _Job:
    order: Order
    out: Path
    references: bool
    places: range

    @property
    def rows_file(self) -> Path:
        role = "reference" if self.references else "query"
        return _unfinished(self.out, self.order) / f"{role}-{self.places.start:09d}.json"


def write(
    *,
    seed: int,
    split: str,
    captures: int,
    products: int,
    layout: str,
    damage_rate: float,
    site_style: str,
    depth: float,
    out: Path,
    processes: int,
    say: Callable[[int], None],
) -> None:
    """Write one split of a data set; call it again for another split, with the same folder.

    `split` is train, validation (the booth's split `run`) or test. `depth` is the share of captures that come with
    depth. Rendering takes `processes` beside this one; `say` is told how many captures are new since it was told last.
    Running it again goes on where it was cut off, and does nothing when all is there.

    Raises:
        Fatal: an order that cannot be, a folder that holds another one, or a disk that is full.
    """
    kept, shape = split.strip().lower(), layout.strip().upper()
    if kept not in SPLITS:
        raise Fatal(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    if shape not in {"A", "B"}:
        raise Fatal(f"there is no layout {layout!r} to write; there are A and B")
    if captures < 1 or processes < 1 or not (0 <= damage_rate <= 1 and 0 <= depth <= 1):
        raise Fatal("captures and processes must be at least 1, the damage rate and the share of depth from 0 to 1")
    order = Order(
        seed, SPLITS[kept][1], captures, products, shape, damage_rate, site_style, depth, painters=_painters()
    )
    _world(order)
    file = out / f"booth-{order.split}.json"
    tree = _tree(out, order)
    _claim(file, order, out)
    if tree.table("query").exists():  # it is written last
        say(captures)
    else:
        try:
            _unfinished(out, order).mkdir(parents=True, exist_ok=True)
            _render(order, out, processes, say)
            rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
            for job in _jobs(order, out):
                rows[job.references] += msgspec.json.decode(job.rows_file.read_bytes())
            tree.close(rows[False], rows[True])
        except BrokenProcessPool:
            raise Fatal("a rendering process was killed: out of memory? Run it again, with fewer processes") from None
        except OSError as error:
            raise Fatal(f"{out} cannot be written to: {error.strerror}. Run it again once that is mended") from error
    shutil.rmtree(_unfinished(out, order), ignore_errors=True)
    with suppress(OSError):  # another split may be under way
        (out / _PARTS).rmdir()


def _claim(file: Path, order: Order, out: Path) -> None:
    """Write the order down, or see that it is the one that was written down."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if file.exists():
            known = msgspec.json.decode(file.read_bytes(), type=Order)
            if known != order:
                differing = [name for name in Order.__struct_fields__ if getattr(known, name) != getattr(order, name)]
                said = "the booth itself" if differing == ["painters"] else ", ".join(differing)
                raise Fatal(
                    f"{out} holds the split {order.split} of another order ({said} differs): choose another folder"
                )
            return
        others = [other for other in out.iterdir() if not other.name.startswith(("booth-", "."))]
        if others and not list(out.glob("booth-*.json")):
            raise Fatal(f"{out} is not empty and was not written by this command: choose another folder")
        for other in out.glob("booth-*.json"):
            if msgspec.json.decode(other.read_bytes(), type=Order).layout != order.layout:
                raise Fatal(f"{out} holds the other layout: choose another folder")
        file.write_bytes(msgspec.json.format(msgspec.json.encode(order)) + b"\n")
    except (OSError, msgspec.DecodeError) as error:
        raise Fatal(f"{out} cannot be written to: {error}") from error


def _render(order: Order, out: Path, processes: int, say: Callable[[int], None]) -> None:
    """Do the jobs that have no rows yet."""
    waiting = []
    for job in _jobs(order, out):
        if not job.rows_file.exists():
            waiting.append(job)
        elif not job.references:
            say(len(job.places))
    if not waiting:
        return
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_calm, initargs=(os.getpid(), stop))
    try:
        for done in as_completed([pool.submit(_do, job) for job in waiting]):
            say(done.result())
    finally:
        stop.set()  # jobs that a process has in hand already end at their next capture
        pool.shutdown(wait=True, cancel_futures=True)


def _jobs(order: Order, out: Path) -> Iterator[_Job]:
    for references, count in ((True, order.products), (False, order.captures)):
        for start in range(0, count, _JOB):
            yield _Job(order, out, references, range(start, min(start + _JOB, count)))


def _do(job: _Job) -> int:
    """Render a job, write its files and then its rows; return how many captures it was."""
    order, tree = job.order, _tree(job.out, job.order)
    world = _world(order)
    rows = []
    for place in job.places:
        if _stop and _stop[0].is_set():
            raise Retryable("booth", "stopped")
        if job.references:
            for copy in range(REFERENCES_PER_PRODUCT):
                rows += tree.put_reference(_reference(world, place, copy))
        else:
            rows += tree.put(_capture(world, order, place))
    unfinished = job.rows_file.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(msgspec.json.encode(rows))
    unfinished.replace(job.rows_file)
    return 0 if job.references else len(job.places)


def _capture(world: World, order: Order, index: int) -> Taken:
    _, truth, exposures = world.expose(index)
    said = truth.reported or truth
    facts = {**truth.facts, "damage_share": f"{truth.damage_share:.4f}"}
    return Taken(
        capture_id=f"{order.split}-{order.seed}-{index:09d}",
        views=tuple(
            TakenView(
                picture=exposure.picture.jpeg,
                depth_png=exposure.picture.depth_png,
                item=exposure.unit,  # what was spilt beside it is left out: a mask must not tell the label
                camera_id=exposure.picture.camera_id,
                boxes=exposure.boxes,
            )
            for exposure in exposures
        ),
        product_id=truth.product_id,
        label=Label(said.damaged, frozenset(said.kinds), said.severity),
        material=facts.pop("material", None),
        facts=facts,
    )


def _reference(world: World, number: int, copy: int) -> TakenReference:
    product_id = world.spec(number).product_id
    return TakenReference(
        reference_id=f"ref-{product_id}-{copy + 1}",
        product_id=product_id,
        views=tuple(
            TakenView(picture.jpeg, picture.depth_png, None, picture.camera_id)
            for picture in world.reference(number, copy)
        ),
    )


def _world(order: Order) -> World:
    """Return the world of an order. Raises Fatal where there is none."""
    split = next(own for own, name in SPLITS.values() if name == order.split)
    try:
        return World(
            order.seed,
            products=order.products,
            damage_rate=order.damage_rate,
            split=split,
            site_style=cast("SiteStyle", order.site_style),  # the world refuses others
            depth=order.depth,
        )
    except ValueError as error:
        raise Fatal(str(error)) from error


def _tree(out: Path, order: Order) -> Tree:
    layout: Layout = "A" if order.layout == "A" else "B"
    return Tree(out, order.split, layout)


def _unfinished(out: Path, order: Order) -> Path:
    return out / _PARTS / order.split


_stop: list[Event] = []  # of the rendering process


def _calm(parent: int, stop: Event) -> None:
    """Keep OpenCV to one thread, the pool is the parallelism; Ctrl-C is the parent's, and no life without it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop.append(stop)
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _painters() -> str:
    digest = hashlib.sha256()
    folder = Path(booth.__path__[0])
    for source in sorted(path for path in folder.rglob("*.py") if path.stem not in _NO_PAINTERS):
        digest.update(source.relative_to(folder).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
