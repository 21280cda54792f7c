"""One network at a time, from the booth's pictures or from a data set: what `sideline train` does without a backbone.

The recipe (`training.recipe`) makes all that is shipped together. These are for whoever replaces one part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import structlog

from evidence.triton import CLASSIFIER, EMBEDDING
from training.album import Album, Order, album, fingerprint
from training.course import draw
from training.data.form import DataSet
from training.data.read import open_data_set
from training.data.split import split_by_product
from training.export import export
from training.learn import Budget, Head, learn
from training.measure import view_figures
from training.reading import album_of

CACHE: Final = Path(".sideline/cache/training")
ORDER: Final = (300, 2000)  # products and captures of the booth
SHARES: Final = {"train": 0.85, "test": 0.15}  # of a data set that does not say what is for testing
STEPS: Final = 1500
SLOWEST_STEP_S: Final = 3.0
PLACE: Final[dict[Head, tuple[int, str]]] = {"classifier": (0, CLASSIFIER), "embedding": (1, EMBEDDING)}

_log = structlog.get_logger(__name__)


def train(head: Head, *, data: Path | None, out: Path, seed: int, steps: int = STEPS) -> dict[str, float]:
    """Train one network and write it into a model repository, with its card and the course of its losses.

    What is measured is measured on products that it did not learn from: those that a data set names for testing, else a
    share of its products.

    Args:
        head: which network.
        data: folder or manifest of a data set; None for the booth.
        out: the repository.
        seed: of pictures, first weights and batches.
        steps: of learning.

    Raises:
        Fatal: the data set cannot be read or holds nothing to learn this from.
    """
    place, name = PLACE[head]
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="sideline-training-") as scratch:
        lessons, exam, source = _albums(data, seed, Path(scratch))
        budget = Budget(steps=steps, limit_s=SLOWEST_STEP_S * steps)
        key = hashlib.sha256(f"{source} {head} {seed} {steps}".encode()).hexdigest()[:16]
        CACHE.mkdir(parents=True, exist_ok=True)
        checkpoint = CACHE / f"lesson-{key}.pt"
        lesson = learn(lessons, budget, seed=seed, heads=(head,), checkpoint=checkpoint)
        network = lesson.pair.served()[place]
        difference = export(network, name, repository=out, profiles=None, probes=np.array(exam.pixels[:16]))
        figures = view_figures(exam, out) if head == "classifier" else {}
    checkpoint.unlink(missing_ok=True)
    draw(lesson.course, out / f"{name}-learning.png")
    card = {
        "made_by": f"sideline train {head} --seed {seed} --steps {steps}",
        "data": source,
        "views": len(lessons),
        "steps": lesson.steps,
        "seconds": round(lesson.seconds, 1),
        "onnx_difference": difference,
        "figures": figures,
        "course": [asdict(point) for point in lesson.course],
    }
    path = out / f"{name}-card.json"
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")
    unfinished.replace(path)
    return figures


def _albums(data: Path | None, seed: int, scratch: Path) -> tuple[Album, Album, str]:
    """Return what to learn from, what to measure on, and a name for the first that changes with its content."""
    if data is None:
        order = Order(seed, "train", *ORDER, twins=True, depth=1.0)
        lessons = album(order, cache=CACHE)
        exam = album(Order(seed, "test", 40, 300, damage_rate=0.3), cache=CACHE)
        return lessons, exam, f"booth {fingerprint(order)}"
    whole = open_data_set(data)
    for note in whole.notes:
        _log.info("data", note=note)
    parts = _parts(whole, seed)
    lessons, exam = (album_of(part, scratch / name) for name, part in parts.items())
    digest = hashlib.sha256()
    for sample in whole.samples:
        for image in sample.images:
            status = image.path.stat()
            digest.update(f"{image.path} {status.st_size} {status.st_mtime_ns} {sample.label}".encode())
    return lessons, exam, f"{whole.name} {digest.hexdigest()[:16]}"


def _parts(whole: DataSet, seed: int) -> dict[str, DataSet]:
    """Split by what the data set says, else by product."""
    splits = {sample.split for sample in whole.samples}
    if {"train", "test"} <= splits:
        return {
            name: DataSet(
                whole.name,
                whole.root,
                tuple(sample for sample in whole.samples if sample.split == name),
                tuple(each for each in whole.references if each.split in {name, None}),
            )
            for name in ("train", "test")
        }
    return split_by_product(whole, SHARES, seed)
