"""ARMBench's image defects: pictures of what a robot holds, a note beside each, and two lists of ids.

A picture is a sample of its own, as its note is about that picture. The id stands for the pick, so it is kept as the
product: all pictures of a pick then stay in one split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from schemas.words import DamageKind, Severity
from training.data.findings import Matter, Notebook
from training.data.form import DataSet, Image, Label, Sample
from training.data.shelf import Outside, Shelf
from training.data.words import word

LISTS: Final = {"train": "train.csv", "test": "test.csv"}
_LARGEST_NOTE: Final = 1 << 20  # bytes; a polygon has a few hundred points
_HURT: Final = {
    "open_box": (DamageKind.ACTUATION, Severity.UNKNOWN),
    "partial_box": (DamageKind.ACTUATION, Severity.MINOR),
    "crush_box": (DamageKind.DEFORMATION, Severity.UNKNOWN),
    "empty_bag": (DamageKind.MISSING_UNIT, Severity.MAJOR),
    "torn_bag": (DamageKind.PENETRATION, Severity.UNKNOWN),
    "book_jacket": (DamageKind.DECONSTRUCTION, Severity.UNKNOWN),
    "open_book": (DamageKind.ACTUATION, Severity.UNKNOWN),
    "open_book_jacket": (DamageKind.DECONSTRUCTION, Severity.UNKNOWN),
}
MAPPING: Final[Mapping[str, Label | None]] = {
    **{sub: Label(damaged=True, kinds=frozenset({kind}), severity=severity) for sub, (kind, severity) in _HURT.items()},
    "nominal": Label(damaged=False),
    "multi_pick": None,  # two whole units: a fault of the pick, and no damage
}


def is_armbench(folder: Path) -> bool:
    """Tell whether a folder looks like it: a list of ids, and a folder `data` with a folder for each."""
    return (folder / "data").is_dir() and any((folder / name).is_file() for name in LISTS.values())


def read_armbench(folder: Path, notebook: Notebook) -> DataSet:
    """Read it.

    Raises:
        Fatal: the lists cannot be read.
    """
    shelf = Shelf(folder)
    split_of = _lists(folder, shelf)
    samples = []
    for path in shelf.pictures():
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != "data":  # noqa: PLR2004 - data/<id>/<picture>
            continue
        pick, name = parts[1], parts[2]
        if (split := split_of.get(pick)) is None:
            notebook.note(Matter.NOT_IN_LIST, pick)
        stem = path.rpartition(".")[0]
        said, label = _note(shelf, f"{stem}.json", notebook)
        facts = {"sublabel": said} if said else {}
        samples.append(
            Sample(name.rpartition(".")[0], (Image(shelf.root / path),), label, f"pick-{pick}", split, facts)
        )
    seen = {sample.product_id for sample in samples}
    for pick in split_of:
        if f"pick-{pick}" not in seen:
            notebook.note(Matter.MISSING_FILE, f"data/{pick}/")
    return DataSet(folder.resolve().name, folder, tuple(samples))


def _lists(folder: Path, shelf: Shelf) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        try:
            file = shelf.find(name)
            lines = file.read_text(encoding="utf-8-sig").splitlines() if file is not None else []
        except (OSError, UnicodeDecodeError, Outside) as error:
            raise Fatal(f"{folder / name} cannot be read: {error}") from error
        for line in lines:
            if pick := line.strip().strip('",'):
                split_of.setdefault(pick, split)
    return split_of


def _note(shelf: Shelf, path: str, notebook: Notebook) -> tuple[str, Label | None]:
    """Return a picture's sublabel as its note has it, and what that means here."""
    try:
        file = shelf.find(path)
        raw = file.read_bytes() if file is not None and file.stat().st_size <= _LARGEST_NOTE else b""
        note: Any = msgspec.json.decode(raw)
        said = [word(part) for part in _listed(note.get("sublabel")) or _listed(note.get("label"))]
    except (OSError, Outside, AttributeError, *NO_DOCUMENT):
        notebook.note(Matter.BROKEN_NOTE, path)
        return "", None
    labels = [MAPPING[part] for part in said if part in MAPPING]
    if len(labels) < len(said):
        notebook.note(Matter.OTHER_WORD, f"{','.join(said)} at {path}")
    hurt = [label for label in labels if label is not None and label.damaged]
    if len(hurt) > 1:  # several at once: all kinds, and nobody said how bad it is in all
        kinds = frozenset[DamageKind]().union(*(label.kinds for label in hurt))
        return ",".join(said), Label(damaged=True, kinds=kinds, severity=Severity.UNKNOWN)
    return ",".join(said), hurt[0] if hurt else labels[0] if labels else None


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [] if value is None or value == "" else [value]
