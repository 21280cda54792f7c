"""Parts side by side in flat arrays, as the kernels want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.mesh import Part
from booth.raster import BUMP, FIELDS, HARM, INNER, PRINT, SMOOTH, TWO_SIDED, Table, face_table, vertex_normals
from booth.shading import answers

Number = TypeVar("Number", np.uint8, np.float32)

_TOO_FINE: Final = 1.8  # print pixels per picture pixel from which the print is shrunk first


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All parts of one layer. Shapes: n vertices, m faces, p parts."""

    points: NDArray[np.float32]  # float32[n, 3]
    normals: NDArray[np.float32]  # float32[n, 3]
    uv: NDArray[np.float32]  # float32[n, 2]
    hurt: NDArray[np.float32]  # float32[n]
    faces: NDArray[np.int32]  # int32[m, 3]
    part_of: NDArray[np.int32]  # int32[m]
    meta: NDArray[np.int64]  # int64[p, FIELDS]
    stuff: NDArray[np.float64]  # float64[p, 6], see `booth.shading.answers`
    table: Table  # the faces as the camera sees them
    prints: NDArray[np.uint8]
    harms: NDArray[np.uint8]
    reliefs: NDArray[np.float32]


def pack(
    parts: Sequence[Part], eye: NDArray[np.float64], axes: NDArray[np.float64], focal_px: float, side: int
) -> Packed:
    """Lay the parts side by side, and their faces into the camera's picture of `side` pixels."""
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    points = np.ascontiguousarray(np.concatenate([part.points for part in parts]), np.float32)
    uv = np.ascontiguousarray(np.concatenate([part.uv for part in parts]), np.float32)
    faces = np.ascontiguousarray(
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]), np.int32
    )
    part_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.faces) for part in parts])
    hurt = np.zeros(len(points), np.float32)
    meta = np.full((len(parts), FIELDS), -1, np.int64)
    for number, part in enumerate(parts):
        if part.harm is not None:
            hurt[starts[number] : starts[number + 1]] = part.harm
        meta[number, TWO_SIDED], meta[number, SMOOTH] = part.two_sided, part.smooth
    table = face_table(points, faces, part_of, uv, meta, eye, axes, focal_px, side)
    shrink = _fineness(parts, table, faces, part_of, uv)
    prints, harms, reliefs = _Shelf(np.uint8), _Shelf(np.uint8), _Shelf(np.float32)
    for number, part in enumerate(parts):
        meta[number, PRINT : PRINT + 4] = prints.put(_shrunk(part.print, shrink[number]))
        if part.inner is not None:
            meta[number, INNER : INNER + 4] = prints.put(_shrunk(part.inner, shrink[number]))
        if part.harm_print is not None:
            meta[number, HARM : HARM + 3] = harms.put(part.harm_print)[:3]
        if part.bump is not None:
            meta[number, BUMP : BUMP + 3] = reliefs.put(part.bump)[:3]
    return Packed(
        points=points,
        normals=vertex_normals(points, faces),
        uv=uv,
        hurt=hurt,
        faces=faces,
        part_of=part_of,
        meta=meta,
        stuff=answers([part.stuff for part in parts]),
        table=table,
        prints=prints.flat(),
        harms=harms.flat(),
        reliefs=reliefs.flat(),
    )


class _Shelf(Generic[Number]):
    """Arrays one after the other; the same array is kept once."""

    def __init__(self, dtype: type[Number]) -> None:
        self._dtype: type[Number] = dtype
        self._rows: list[NDArray[Number]] = []
        self._places: dict[int, tuple[int, int, int, int]] = {}
        self._used = 0

    def put(self, array: NDArray[Number]) -> tuple[int, int, int, int]:
        """Keep an array and return where it begins, its height, width and channels."""
        place = self._places.get(id(array))
        if place is None:
            channels = array.shape[2] if array.ndim == 3 else 1
            place = self._places[id(array)] = (self._used, array.shape[0], array.shape[1], channels)
            self._rows.append(array)
            self._used += array.size
        return place

    def flat(self) -> NDArray[Number]:
        """Return everything kept, in one writable row of at least one number."""
        if not self._rows:
            return np.zeros(1, self._dtype)
        return np.concatenate([row.reshape(-1) for row in self._rows], dtype=self._dtype)


def _fineness(
    parts: Sequence[Part],
    table: Table,
    faces: NDArray[np.int32],
    part_of: NDArray[np.int32],
    uv: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return float64[p]: how many pixels of its print, along one side, each part shows in a pixel of the picture."""
    corner = uv[faces]
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    on_print = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    seen = table[:, 15] != 0
    shown = np.bincount(part_of[seen], table[seen, 25], len(parts))
    used = np.bincount(part_of[seen], on_print[seen], len(parts))
    texels = np.array([part.print.shape[0] * part.print.shape[1] for part in parts])
    ratio: NDArray[np.float64] = np.sqrt(used * texels / np.maximum(shown, 1e-6))
    return ratio


def _shrunk(print_: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    if ratio < _TOO_FINE:
        return print_
    height, width = (max(2, round(length / ratio)) for length in print_.shape[:2])
    if height >= print_.shape[0] or width >= print_.shape[1]:
        return print_
    return np.asarray(cv2.resize(print_, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
