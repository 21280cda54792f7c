"""The Kaputt data set, in each of the layouts people have it in: tables beside archives, merged, or the sample.

A row is a picture. Trees that the booth writes have the same columns and a few more (`EXTRA`), which put the views of
one capture together again and add depth; trees without them are read as they are.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from schemas.faults import Fatal
from schemas.words import Severity
from training.data.findings import Matter, Notebook
from training.data.form import Box, DataSet, Image, Label, Pristine, Sample
from training.data.shelf import Outside, Shelf
from training.data.words import SPLITS, kinds_of, label_of, yes_or_no

Role = Literal["query", "reference"]
TABLE_FOLDERS: Final = ("datasets", ".", "sample-data")
EXTRA: Final = ("capture_group", "camera_id", "query_depth", "damage_boxes", "facts", "weight")
_TABLE: Final = re.compile(r"(query|reference)-([A-Za-z0-9_]+)\.parquet")
_IN_PATH: Final = re.compile(r"(?:^|/)(train|validation|test)/")
_ROWS: Final = 8192  # at a time
_FEW_BOXES: Final = 64
# Beyond these a table is no list of pictures.
_MOST_ROWS: Final = 20_000_000


def tables(folder: Path) -> dict[tuple[Role, str], Path]:
    """Return the tables of a tree by role and split, in a stable order; empty where it is no Kaputt tree."""
    found: dict[tuple[Role, str], Path] = {}
    for name in TABLE_FOLDERS:
        for file in sorted((folder / name).glob("*.parquet")) if (folder / name).is_dir() else ():
            if match := _TABLE.fullmatch(file.name):
                role: Role = "query" if match[1] == "query" else "reference"
                found.setdefault((role, match[2]), file)
    return found


def read_kaputt(folder: Path, notebook: Notebook, *, crops: bool = False) -> DataSet:
    """Read a tree; with `crops` the pictures are cut to the item, and have neither masks nor depth.

    Raises:
        Fatal: a table cannot be read or lacks the column it needs.
    """
    shelf = Shelf(folder)
    samples: dict[str, Sample] = {}  # by split and id: a capture that is in two splits is two samples
    references: dict[str, Pristine] = {}
    for (role, split), file in tables(folder).items():
        beside = file.parent.relative_to(folder).as_posix()
        for number, row in enumerate(_rows(file, role, shelf)):
            read = _Row(row, role, f"{file.name} row {number + 1}", beside, shelf, notebook)
            image = read.image(crops=crops)
            if image is None:
                continue
            path = str(row.get(f"{role}_image") or "")
            own = (_IN_PATH.search(path) or [None, None])[1] if split not in SPLITS else None
            named = sys.intern(own or SPLITS.get(split, split))
            if role == "query":
                _add(samples, _sample(read, image, named), read, notebook)
            elif (product := read.text("item_identifier")) is None:
                notebook.note(Matter.NO_PRODUCT, read.where)
            else:
                name = read.text("capture_group") or PurePosixPath(path).stem or f"{product}-{number}"
                known = references.get(f"{named}/{name}")
                if known is not None and known.product_id != product:
                    name, known = f"{name}-{number}", None
                images = (*known.images, image) if known is not None else (image,)
                references[f"{named}/{name}"] = Pristine(name, product, images, named)
    return DataSet(folder.resolve().name, folder, tuple(samples.values()), tuple(references.values()))


def _sample(read: _Row, image: Image, split: str) -> Sample:
    facts = {}
    if (material := read.text("item_material")) is not None:
        facts["material"] = material
    with suppress(ValueError, RecursionError):
        loose = json.loads(read.text("facts") or "{}")
        if isinstance(loose, dict):
            facts |= {sys.intern(str(key)): sys.intern(str(value)) for key, value in loose.items()}
    capture = read.text("capture_group") or read.text("capture_id") or image.path.stem
    return Sample(capture, (image,), read.label(), read.text("item_identifier"), split, facts, read.weight())


def _add(samples: dict[str, Sample], fresh: Sample, read: _Row, notebook: Notebook) -> None:
    key = f"{fresh.split}/{fresh.capture_id}"
    known = samples.get(key)
    if known is None:
        samples[key] = fresh
    elif read.text("capture_group") is None:  # ids are said to be unique; two rows are two pictures
        notebook.note(Matter.REPEATED_ID, f"{fresh.capture_id} at {read.where}")
        again = f"{fresh.capture_id}-again-{len(samples)}"
        samples[f"{fresh.split}/{again}"] = replace(fresh, capture_id=again)
    else:
        if (known.label, known.product_id) != (fresh.label, fresh.product_id):
            notebook.note(Matter.TRUTHS_DIFFER, f"{fresh.capture_id} at {read.where}")
        samples[key] = replace(known, images=(*known.images, *fresh.images))


@dataclass(slots=True)
class _Row:
    """One row, its cells read with care."""

    cells: Mapping[str, Any]
    role: Role
    where: str
    beside: str  # the table's folder, from the root
    shelf: Shelf
    notebook: Notebook

    def text(self, column: str) -> str | None:
        """Return a cell as text, None where it is empty or the column is not there."""
        cell = self.cells.get(column)
        if isinstance(cell, bytes):
            cell = cell.decode(errors="replace")
        return sys.intern(str(cell)) if cell is not None and cell == cell and cell != "" else None  # noqa: PLR0124 - NaN

    def label(self) -> Label | None:
        """Return the label; Kaputt 2 has no columns for one."""
        if not {"defect", "defect_types", "major_defect"} & self.cells.keys():
            return None
        defect = yes_or_no(self.cells.get("defect"), self.where, self.notebook)
        major = yes_or_no(self.cells.get("major_defect"), self.where, self.notebook)
        kinds = kinds_of(self.cells.get("defect_types"), self.where, self.notebook)
        graded = None if major is None else Severity.MAJOR if major else Severity.MINOR
        severity = graded if major or defect else None
        return label_of(defect, kinds, severity, self.where, self.notebook)

    def weight(self) -> float:
        """Return how many captures the row's one stands for; 1 where nothing usable is said."""
        cell = self.cells.get("weight")
        if cell is None:
            return 1.0
        if isinstance(cell, int | float) and 0 < cell < math.inf:
            return float(cell)
        self.notebook.note(Matter.ODD_WEIGHT, f"{cell} at {self.where}")
        return 1.0

    def image(self, *, crops: bool) -> Image | None:
        """Look the files of the row up; None where there is no picture."""
        camera, boxes = self.text("camera_id") or "camera", self._boxes()
        whole = None if crops else self._file("image", missed=False)
        if whole is None:
            crop = self._file("crop", missed=False)
            if crop is None:
                wanted = self.text(f"{self.role}_{'crop' if crops else 'image'}")
                self.notebook.note(Matter.MISSING_FILE if wanted else Matter.NO_PATH, f"{wanted} at {self.where}")
                return None
            if not crops:
                self.notebook.note(Matter.CROPS_ONLY, self.where)
            return Image(crop, camera_id=camera)
        return Image(whole, self._file("depth"), self._file("mask"), camera, boxes)

    def _file(self, what: str, *, missed: bool = True) -> Path | None:
        """Find a file in one of the ways in which people lay them out; the root stays the limit."""
        named = self.text(f"{self.role}_{what}")
        if named is None:
            return None
        folder = f"{self.role}-{what}"
        try:
            name = PurePosixPath(named).name
            for path in (named, f"{folder}/{named}", f"{folder}/{name}", f"{self.beside}/{named}"):
                if (found := self.shelf.find(path)) is not None:
                    return found
        except Outside:
            self.notebook.note(Matter.REFUSED_PATH, f"{named} at {self.where}")
            return None
        if missed:
            self.notebook.note(Matter.MISSING_LAYER, f"{named} at {self.where}")
        return None

    def _boxes(self) -> tuple[Box, ...]:
        """Read `damage_boxes`: x, y, width, height, x, ... as fractions; nonsense is dropped."""
        flat = self.cells.get("damage_boxes")
        if not isinstance(flat, list) or len(flat) % 4 or len(flat) > 4 * _FEW_BOXES:
            return ()
        if not all(isinstance(edge, int | float) and 0 <= edge <= 1 for edge in flat):
            return ()
        return tuple((flat[at], flat[at + 1], flat[at + 2], flat[at + 3]) for at in range(0, len(flat), 4))


def _rows(file: Path, role: Role, shelf: Shelf) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table as Python values, a few thousand in memory at a time.

    Raises:
        Fatal: it cannot be read, or lacks the pictures' column.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise Fatal(f"reading {file.name} needs pyarrow: install the group `lab` (make setup)") from None
    wanted = {
        "capture_id", "item_identifier", "item_material", "defect", "major_defect", "defect_types", *EXTRA,
        *(f"{role}_{what}" for what in ("image", "crop", "mask", "depth")),
    }  # fmt: skip
    try:
        inside = shelf.find(file.relative_to(shelf.root).as_posix())
    except Outside:
        inside = None
    if inside is None:
        raise Fatal(f"{file} is a link that leads out of the data set")
    try:
        with parquet.ParquetFile(inside) as table:
            names = set(table.schema_arrow.names)
            if not names & {f"{role}_image", f"{role}_crop"}:
                raise Fatal(f"{file} has no column `{role}_image`; it has {', '.join(sorted(names))[:300]}")
            if table.metadata.num_rows > _MOST_ROWS:
                raise Fatal(f"{file} claims {table.metadata.num_rows} rows; more than {_MOST_ROWS} are not believed")
            for batch in table.iter_batches(_ROWS, columns=sorted(names & wanted)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise Fatal(f"{file} is no readable Parquet file: {str(error).splitlines()[0][:200]}") from error
