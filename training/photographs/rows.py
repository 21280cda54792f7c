"""Rows to fit on: one a view, with what its capture's label says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.faults import Fatal
from schemas.words import KINDS, Severity
from training.data.form import DataSet, Label, Sample
from training.photographs.head import LEAST, Bools, Floats, Groups

TEST: Final = "test"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N views with their truth; views of one capture share a number, views that no fold may part share a group."""

    features: Floats  # float64[N, D]
    damaged: Bools  # bool[N]
    kinds: Bools  # bool[N, 7]
    kinds_known: Bools  # bool[N]
    major: Bools  # bool[N]
    severity_known: Bools  # bool[N]: damaged, and somebody said how badly
    captures: Groups  # int64[N], 0 .. C-1
    groups: Groups  # int64[N]
    paths: tuple[Path, ...]  # of one view of each capture

    def __len__(self) -> int:
        return len(self.damaged)


def enough(samples: Sequence[Sample], features: Mapping[Path, NDArray[np.float32]]) -> bool:
    """Tell whether `gather` would find ten captures of either class."""
    labels = [
        sample.label.damaged
        for sample in samples
        if sample.label is not None and any(image.path in features for image in sample.images)
    ]
    return min(sum(labels), len(labels) - sum(labels)) >= LEAST


def gather(samples: Sequence[Sample], features: Mapping[Path, NDArray[np.float32]]) -> Rows:
    """Join labelled captures with their features; views that could not be read are left out.

    A damaged capture whose data set drew boxes counts as intact in the views that have none.

    Raises:
        Fatal: fewer than ten captures of a class.
    """
    used = [
        (sample, sample.label, [image for image in sample.images if image.path in features])
        for sample in samples
        if sample.label is not None
    ]
    used = [each for each in used if each[2]]
    damaged = sum(label.damaged for _, label, _ in used)
    if min(damaged, len(used) - damaged) < LEAST:
        raise Fatal(
            f"{damaged} damaged and {len(used) - damaged} intact captures with readable pictures; "
            f"{LEAST} of each are the least that can be learnt from and measured on"
        )
    numbers: dict[str, int] = {}
    views: list[tuple[Path, Label, bool, int, int]] = []
    for capture, (sample, label, images) in enumerate(used):
        group = numbers.setdefault(sample.product_id or f"capture {sample.capture_id}", len(numbers))
        boxed = any(image.boxes for image in images)
        views += [(i.path, label, label.damaged and (not boxed or bool(i.boxes)), capture, group) for i in images]
    return Rows(
        features=np.stack([features[path] for path, *_ in views]).astype(np.float64),
        damaged=np.array([shown for _, _, shown, *_ in views]),
        kinds=np.array([[shown and kind in label.kinds for kind in KINDS] for _, label, shown, *_ in views]),
        kinds_known=np.array([bool(label.kinds) or not label.damaged for _, label, *_ in views]),
        major=np.array([label.severity is Severity.MAJOR for _, label, *_ in views]),
        severity_known=np.array(
            [shown and label.severity in {Severity.MAJOR, Severity.MINOR} for _, label, shown, *_ in views]
        ),
        captures=np.array([capture for *_, capture, _ in views], np.int64),
        groups=np.array([group for *_, group in views], np.int64),
        paths=tuple(images[0].path for _, _, images in used),
    )


def parted(data: DataSet) -> tuple[list[Sample], list[Sample]]:
    """Return the captures to learn from, and those that the data set keeps for measuring (its split `test`)."""
    learn = [sample for sample in data.samples if sample.split != TEST]
    return learn, [sample for sample in data.samples if sample.split == TEST]
