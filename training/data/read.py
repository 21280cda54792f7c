"""Open a data set, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from schemas.faults import Fatal
from training.data.armbench import is_armbench, read_armbench
from training.data.findings import Notebook
from training.data.folder import read_folder
from training.data.form import DataSet
from training.data.kaputt import read_kaputt, tables
from training.data.manifest import MANIFEST, read_manifest
from training.data.shelf import Outside, Shelf

_READERS: Final[Mapping[str, Callable[[Path, Notebook], DataSet]]] = {
    "kaputt": read_kaputt,
    "kaputt-crops": lambda folder, notebook: read_kaputt(folder, notebook, crops=True),
    "armbench": read_armbench,
    "manifest": lambda path, notebook: read_manifest(path if path.is_file() else _manifest_in(path), notebook),
    "folder": read_folder,
}
KINDS: Final = ("auto", *_READERS)


def open_data_set(path: Path, *, kind: str = "auto") -> DataSet:
    """Read a data set: a folder in any of the known layouts, or a manifest. No picture is opened.

    Pictures that are not there, or that would lie outside the folder, are left out, and the notes say so.

    Raises:
        Fatal: it is none that is known, or none of its pictures is there.
    """
    found = recognise(path) if kind == "auto" else kind
    if found not in _READERS:
        raise Fatal(f"there is no kind of data set {kind!r}; there are {', '.join(KINDS)}")
    if found != "manifest" and not path.is_dir():
        raise Fatal(f"{path} is no folder, as a data set of the kind {found} has to be")
    notebook = Notebook()
    data = _READERS[found](path, notebook)
    findings = notebook.findings()
    notes = tuple(finding.sentence for finding in findings)
    if not data.samples and not data.references:
        above = ". Name the folder above it" if path.name == "datasets" else ""
        raise Fatal(f"{path} holds no picture that could be used: {'; '.join(notes[:3]) or 'an empty table'}{above}")
    return replace(data, notes=notes, findings=findings)


def recognise(path: Path) -> str:
    """Name the kind of data set at a path.

    Raises:
        Fatal: in plain words what was expected.
    """
    if not path.exists():
        raise Fatal(f"there is no {path}")
    if path.is_file():
        if path.suffix.lower() in {".csv", ".tsv", ".txt"}:
            return "manifest"
        raise Fatal(f"{path} is a file and no manifest (.csv): name the folder of the data set")
    if tables(path):
        return "kaputt"
    if (path / MANIFEST).is_file():
        return "manifest"
    if is_armbench(path):
        return "armbench"
    return "folder"


def _manifest_in(folder: Path) -> Path:
    try:
        found = Shelf(folder).find(MANIFEST)
    except Outside:
        raise Fatal(f"{folder / MANIFEST} is a link that leads out of the folder; name the file itself") from None
    if found is None:
        raise Fatal(f"there is no {folder / MANIFEST}")
    return found
