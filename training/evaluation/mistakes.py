"""The worst mistakes as pictures: taken again from their source, with what was pointed at and the reference beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.decode import decode
from schemas.faults import Poison
from schemas.words import MICRO
from training.evaluation.rows import Answer, Row
from training.evaluation.source import RawView, Shot, Source
from training.evaluation.table import Table, Way

SHOWN: Final = 12
_SIDE: Final = 240  # pixels of a picture's long side in the report
_RED: Final = (230, 40, 40)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A capture that was judged worst. `jpeg` shows it with the place drawn, `reference` what it was compared with."""

    row: Row
    answer: Answer
    jpeg: bytes
    reference: bytes | None


def worst_rows(table: Table, way: Way, *, damaged: bool, shown: int = SHOWN) -> list[Row]:
    """Return the damaged captures with the lowest scores, or the intact ones with the highest."""
    wanted = np.flatnonzero((table.damaged == damaged) & table.answered(way))
    scores = table.scores(way)[wanted]
    order = np.argsort(scores if damaged else -scores, kind="stable")[:shown]
    return [table.rows[place] for place in wanted[order]]


def pictured(rows: Sequence[Row], way: Way, source: Source, say: Callable[[int], None]) -> list[Mistake]:
    """Take each capture again and draw on it; those that are no longer there are left out."""
    shots: Mapping[int, Shot] = {shot.number: shot for shot in source.shots()}
    found = []
    for number, row in enumerate(rows):
        answer: Answer | None = getattr(row, way.value)
        shot = shots.get(row.number)
        with suppress(Poison):
            if answer is not None and shot is not None:
                view = shot.take().views[answer.view]
                found.append(Mistake(row, answer, _drawn(view, answer.place), _reference(row, answer, source)))
        say(number + 1)
    return found


def _reference(row: Row, answer: Answer, source: Source) -> bytes | None:
    """Return a view of the product the capture was taken for, else of its own, if there is one."""
    product_id = answer.product_id or row.product_id
    pose = None if product_id is None else source.pose_of(product_id)
    if pose is None:
        return None
    views = pose.take().views
    return _drawn(views[min(answer.view, len(views) - 1)], ())


def _drawn(view: RawView, place: Sequence[int]) -> bytes:
    """Return a view as a small JPEG, with a box where the evidence is."""
    rgb, _ = decode(view.rgb, long_side=2 * _SIDE)
    scale = _SIDE / max(rgb.shape[:2])
    small = np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    if place:
        _box(small, place)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return encoded.tobytes()


def _box(picture: NDArray[np.uint8], place: Sequence[int]) -> None:
    height, width = picture.shape[:2]
    x, y, across, down = (edge / MICRO for edge in place)
    corner = (round(x * width), round(y * height))
    cv2.rectangle(picture, corner, (round((x + across) * width), round((y + down) * height)), _RED, 1, cv2.LINE_AA)
