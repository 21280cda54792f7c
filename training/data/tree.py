"""Writing a tree in Kaputt's layouts: files first, whole or not at all, then the tables that name them.

A view is a row, as in the original. What the original lacks is in extra columns, which other readers ignore: the views
of one capture share `capture_group`; `query_depth` names a 16-bit PNG in a folder of its own; `damage_boxes` says where
this view shows the damage; `facts` is a JSON object for slices; `weight` is how many captures this one stands for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.decode import decode
from schemas.words import Severity
from training.data.form import Box, Label

Layout = Literal["A", "B"]
Row = dict[str, Any]
MARGIN: Final = 0.04  # of the picture's sides, around the item in its crop
_QUALITY: Final = 92  # of crops, which are compressed a second time
_ITEM: Final = 1  # in a mask; everything else is 0
_QUERY: Final = (
    ("capture_id", "string"), ("item_identifier", "string"), ("item_material", "string"), ("defect", "bool"),
    ("major_defect", "bool"), ("defect_types", "string"), ("query_image", "string"), ("query_crop", "string"),
    ("query_mask", "string"), ("capture_group", "string"), ("camera_id", "string"), ("query_depth", "string"),
    ("damage_boxes", "list"), ("facts", "string"), ("weight", "number"),
)  # fmt: skip
_REFERENCE: Final = (
    ("item_identifier", "string"), ("reference_image", "string"), ("reference_crop", "string"),
    ("reference_mask", "string"), ("capture_group", "string"), ("camera_id", "string"), ("reference_depth", "string"),
)  # fmt: skip
_LABELS: Final = frozenset({"defect", "major_defect", "defect_types"})


@dataclass(frozen=True, slots=True, eq=False)
class TakenView:
    """One view to be written. `item` uint8[h, w] of any size is not 0 where the item is; it becomes mask and crop."""

    picture: bytes  # a whole JPEG, PNG or WebP file
    depth_png: bytes | None = None
    item: NDArray[np.uint8] | None = None
    camera_id: str = "camera"
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One capture to be written."""

    capture_id: str
    views: tuple[TakenView, ...]
    product_id: str | None
    label: Label | None = None
    material: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class TakenReference:
    """One reference to be written."""

    reference_id: str
    product_id: str
    views: tuple[TakenView, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree on disk that grows by one split at a time."""

    root: Path
    split: str
    layout: Layout = "A"

    def put(self, taken: Taken) -> list[Row]:
        """Write a capture's files and return its rows, one a view. Writing it again changes nothing.

        Raises:
            Poison: a view is no picture that the line would take.
        """
        label = taken.label
        rows = []
        for number, view in enumerate(taken.views):
            name = f"{taken.capture_id}-{number}"
            row: Row = {
                "capture_id": name,
                "capture_group": taken.capture_id,
                "item_identifier": taken.product_id,
                "item_material": taken.material,
                "camera_id": view.camera_id,
                "damage_boxes": [edge for box in view.boxes for edge in box],
                "facts": json.dumps(dict(taken.facts), sort_keys=True),
                "weight": taken.weight,
                **self._files("query", name, view),
            }
            if label is not None:
                row["defect"] = label.damaged
                row["major_defect"] = None if label.severity is Severity.UNKNOWN else label.severity is Severity.MAJOR
                row["defect_types"] = ",".join(sorted(label.kinds)) or None
            rows.append(row)
        return rows

    def put_reference(self, taken: TakenReference) -> list[Row]:
        """Write a reference's files and return its rows, one a view.

        Raises:
            Poison: a view is no picture that the line would take.
        """
        return [
            {
                "item_identifier": taken.product_id,
                "capture_group": taken.reference_id,
                "camera_id": view.camera_id,
                **self._files("reference", f"{taken.reference_id}-{number}", view),
            }
            for number, view in enumerate(taken.views)
        ]

    def table(self, role: Literal["query", "reference"]) -> Path:
        """Return where a table belongs."""
        folder = self.root / "datasets" if self.layout == "A" else self.root
        return folder / f"{role}-{self.split}.parquet"

    def close(self, queries: Sequence[Row], references: Sequence[Row]) -> None:
        """Write the tables: the tree is complete once they are there. Without any label there are no label columns."""
        labelled = any("defect" in row for row in queries)
        _write_table(self.table("reference"), _REFERENCE, references)
        columns = _QUERY if labelled else tuple(column for column in _QUERY if column[0] not in _LABELS)
        _write_table(self.table("query"), columns, queries)

    def _files(self, role: str, name: str, view: TakenView) -> Row:
        """Write picture, crop, mask and depth; return the columns that name them."""
        pixels, (width, height) = decode(view.picture, long_side=1 << 15)
        row: Row = {f"{role}_image": self._write(role, "image", f"{name}{_suffix(view.picture)}", view.picture)}
        left, top, right, bottom = 0, 0, width, height
        if view.item is not None:
            marked = (view.item > 0).astype(np.uint8) * np.uint8(255)
            item = np.asarray(cv2.resize(marked, (width, height), interpolation=cv2.INTER_LINEAR)) > 127  # noqa: PLR2004 - half
            mask = item.astype(np.uint8) * np.uint8(_ITEM)
            row[f"{role}_mask"] = self._write(role, "mask", f"{name}.png", _encoded(".png", mask))
            if item.any():
                rows, columns = np.flatnonzero(item.any(axis=1)), np.flatnonzero(item.any(axis=0))
                x, y = round(width * MARGIN), round(height * MARGIN)
                left, right = max(0, int(columns[0]) - x), min(width, int(columns[-1]) + 1 + x)
                top, bottom = max(0, int(rows[0]) - y), min(height, int(rows[-1]) + 1 + y)
        crop = cv2.cvtColor(pixels[top:bottom, left:right], cv2.COLOR_RGB2BGR)
        row[f"{role}_crop"] = self._write(role, "crop", f"{name}.jpg", _encoded(".jpg", crop))
        if view.depth_png is not None:
            row[f"{role}_depth"] = self._write(role, "depth", f"{name}.png", view.depth_png)
        return row

    def _write(self, role: str, what: str, name: str, data: bytes) -> str:
        path = f"data/{self.split}/{role}-data/{what}/{name}"
        place = self.root / f"{role}-{what}" / path if self.layout == "A" else self.root / path
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            unfinished = place.with_suffix(f".{os.getpid()}.part")
            unfinished.write_bytes(data)
            unfinished.replace(place)
        return path


def _suffix(picture: bytes) -> str:
    """Return the suffix of a file that `decode` took."""
    return ".png" if picture[:4] == b"\x89PNG" else ".webp" if picture[8:12] == b"WEBP" else ".jpg"


def _encoded(suffix: str, pixels: NDArray[Any]) -> bytes:
    ok, data = cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else [])
    if not ok:
        raise RuntimeError(f"OpenCV refused to encode a {suffix}")
    return bytes(data.tobytes())


def _write_table(place: Path, columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"string": pa.string(), "bool": pa.bool_(), "list": pa.list_(pa.float32()), "number": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns])
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}.part")
    parquet.write_table(pa.Table.from_pylist(list(rows), schema), unfinished)
    unfinished.replace(place)
