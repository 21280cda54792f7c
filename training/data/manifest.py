"""A folder of pictures and a table that says what they are.

Only `path` is needed, from the table's own folder. Everything else is taken where it is there; see docs/datasets.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from schemas.faults import Fatal
from schemas.words import Severity
from training.data.findings import Matter, Notebook
from training.data.form import DataSet, Image, Label, Pristine, Sample
from training.data.shelf import Outside, Shelf
from training.data.tables import Table
from training.data.words import SPLITS, damaged_word, kinds_of, label_of, severity_of, word, yes_or_no

MANIFEST: Final = "manifest.csv"
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path"),
    "label": ("label", "class"),
    "damaged": ("damaged", "defect"),
    "product": ("product_id", "product", "item_identifier"),
    "kinds": ("kinds", "kind", "defect_types"),
    "severity": ("severity",),
    "split": ("split",),
    "depth": ("depth",),
    "mask": ("mask", "item_mask"),
    "reference": ("reference",),
    "capture": ("capture_id",),
    "camera": ("camera_id", "camera"),
}
_FACTLESS: Final = frozenset({"licence", "license"})  # long, the same in every row, and no slice
_REFERENCE_SPLITS: Final = frozenset({"reference", "references", "gallery"})
_LONGEST_FACT: Final = 200


@dataclass(slots=True)
class _Row:
    """What one row says, its files looked up."""

    where: str
    key: str  # the capture
    image: Image
    label: Label | None
    product_id: str | None
    split: str | None
    is_reference: bool
    reference: Path | None  # the picture of one that belongs to the row's product
    facts: dict[str, str] = field(default_factory=dict)


def read_manifest(file: Path, notebook: Notebook) -> DataSet:
    """Read a manifest. Rows with the same `capture_id` are views of one capture, in the order of the table.

    Raises:
        Fatal: no table, or one without paths.
    """
    shelf = Shelf(file.parent)
    table = Table(file, notebook)
    places = {column: table.place(names) for column, names in _NAMES.items()}
    if places["path"] is None:
        have = ", ".join(name for name in table.columns if name) or "none"
        raise Fatal(f"{file} has no column `path`; it has {have[:300]}. Name the column that holds the pictures' files")
    taken = {place for place in places.values() if place is not None}
    loose = [
        (place, sys.intern(name))
        for place, name in enumerate(table.columns)
        if place not in taken and name and name not in _FACTLESS
    ]
    reader = _Reader(shelf, places, loose, notebook)
    rows = [row for number, cells in table if (row := reader.row(number, cells)) is not None]
    _name_products(rows, notebook, by_label=places["product"] is None)
    listed = {str(row.image.path) for row in rows}
    for path in shelf.pictures():
        if str(shelf.root / path) not in listed and path not in reader.others:
            notebook.note(Matter.UNLISTED, path)
    samples, references = _gather(rows, notebook)
    return DataSet(name=file.parent.resolve().name, root=file.parent, samples=samples, references=references)


@dataclass(slots=True)
class _Reader:
    shelf: Shelf
    places: Mapping[str, int | None]
    loose: list[tuple[int, str]]  # columns that become facts
    notebook: Notebook
    others: set[str] = field(default_factory=set)  # depth and mask files: listed, though no pictures

    def row(self, number: int, cells: list[str]) -> _Row | None:
        """Read a row; None where its picture is not to be had."""
        where = f"row {number}"
        named = self._cell(cells, "path")
        if not named:
            self.notebook.note(Matter.NO_PATH, where)
            return None
        path = self._file(named, where)
        if path is None:
            return None
        said = self._cell(cells, "label")
        damaged = yes_or_no(self._cell(cells, "damaged"), where, self.notebook)
        if damaged is None:
            damaged = damaged_word(said)
        kinds = kinds_of(self._cell(cells, "kinds"), where, self.notebook)
        if damaged and not kinds:
            kinds = kinds_of(said, where, Notebook())  # a kind in place of the label; `damaged` itself is none
        severity = severity_of(self._cell(cells, "severity"), where, self.notebook)
        split = sys.intern(self._cell(cells, "split"))
        facts = {name: sys.intern(cells[place][:_LONGEST_FACT]) for place, name in self.loose if cells[place]}
        if said and damaged_word(said) is None:
            facts["label"] = sys.intern(said[:_LONGEST_FACT])
        reference = self._reference(cells, where)
        product = self._cell(cells, "product") or (reference.name if isinstance(reference, Path) else "")
        is_reference = word(split) in _REFERENCE_SPLITS or reference is True
        return _Row(
            where=where,
            key=self._cell(cells, "capture") or named,
            image=Image(
                path=path,
                depth=self._other(cells, "depth", where),
                item_mask=self._other(cells, "mask", where),
                camera_id=sys.intern(self._cell(cells, "camera") or "camera"),
            ),
            label=label_of(damaged, kinds, severity, where, self.notebook),
            product_id=sys.intern(product) or None,
            split=None if is_reference or not split else SPLITS.get(word(split), split),
            is_reference=is_reference,
            reference=reference if isinstance(reference, Path) else None,
            facts=facts,
        )

    def _reference(self, cells: list[str], where: str) -> Path | bool | None:
        """Read the column `reference`: whether the row is one, or the file of the one that belongs to it."""
        said = self._cell(cells, "reference")
        if said and "." in said and (found := self._other(cells, "reference", where)) is not None:
            return found
        return yes_or_no(said, where, self.notebook) if said else None

    def _cell(self, cells: list[str], column: str) -> str:
        place = self.places[column]
        return "" if place is None else cells[place].strip()

    def _other(self, cells: list[str], column: str, where: str) -> Path | None:
        named = self._cell(cells, column)
        if not named:
            return None
        self.others.add(named)
        return self._file(named, where, Matter.MISSING_LAYER)

    def _file(self, named: str, where: str, missing: Matter = Matter.MISSING_FILE) -> Path | None:
        try:
            found = self.shelf.find(named)
        except Outside:
            self.notebook.note(Matter.REFUSED_PATH, f"{named} at {where}")
            return None
        if found is None:
            self.notebook.note(missing, f"{named} at {where}")
        return found


def _name_products(rows: list[_Row], notebook: Notebook, *, by_label: bool) -> None:
    """Where some rows are references and none names a product, labels that say nothing of damage name it."""
    naming = by_label and any(row.is_reference for row in rows)
    for row in rows:
        if (said := row.facts.get("label")) is None:
            continue
        if naming and row.product_id is None:
            row.product_id = said
        elif row.label is None:
            notebook.note(Matter.OTHER_WORD, said)


def _gather(rows: list[_Row], notebook: Notebook) -> tuple[tuple[Sample, ...], tuple[Pristine, ...]]:
    """Put the views of each capture together."""
    samples: dict[str, Sample] = {}
    references: dict[str, Pristine] = {}
    for row in rows:
        if row.is_reference:
            _refer(references, row, notebook)
            continue
        if row.reference is not None and row.product_id is not None:
            shown = str(row.reference)
            references.setdefault(shown, Pristine(shown, row.product_id, (Image(row.reference),), row.split))
        known = samples.get(row.key)
        if known is None:
            samples[row.key] = Sample(row.key, (row.image,), row.label, row.product_id, row.split, row.facts)
            continue
        twice = any(row.image.path == image.path for image in known.images)
        if twice:
            notebook.note(Matter.REPEATED_ROW, f"{row.key} at {row.where}")
        if (known.label, known.product_id, known.split) != (row.label, row.product_id, row.split):
            notebook.note(Matter.TRUTHS_DIFFER, f"{row.key} at {row.where}")
        if not twice:
            samples[row.key] = replace(known, images=(*known.images, row.image))
    return tuple(samples.values()), tuple(references.values())


def _refer(references: dict[str, Pristine], row: _Row, notebook: Notebook) -> None:
    if row.product_id is None:
        notebook.note(Matter.NO_PRODUCT, row.where)
        return
    if row.label is not None and (row.label.damaged or row.label.severity is not Severity.NONE):
        notebook.note(Matter.TRUTHS_DIFFER, f"{row.where} is a reference and damaged")
        return
    known = references.get(row.key)
    if known is None:
        references[row.key] = Pristine(row.key, row.product_id, (row.image,), row.split)
    elif known.product_id != row.product_id:
        notebook.note(Matter.TRUTHS_DIFFER, f"{row.key} at {row.where}")
    else:
        references[row.key] = replace(known, images=(*known.images, row.image))
