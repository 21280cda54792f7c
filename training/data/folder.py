"""A folder without a table: sub-folders named damaged and intact are labels, those named train and test are splits."""

from __future__ import annotations

from pathlib import Path

from schemas.faults import Fatal
from training.data.findings import Matter, Notebook
from training.data.form import DataSet, Image, Label, Sample
from training.data.shelf import PICTURES, Shelf
from training.data.words import SPLITS, damaged_word, kinds_of, label_of, word


def read_folder(folder: Path, notebook: Notebook) -> DataSet:
    """Read all pictures below a folder, in the order of their names; of nested folders the innermost word wins.

    Raises:
        Fatal: no pictures.
    """
    shelf = Shelf(folder)
    samples = []
    for path in shelf.pictures():
        label: Label | None = None
        split = None
        above = path.split("/")[:-1]
        for name in above:
            split = SPLITS.get(word(name), split)
            damaged = damaged_word(name)
            if damaged is not None:
                kinds = kinds_of(name, path, Notebook()) if damaged else frozenset()  # `damaged` itself is none
                label = label_of(damaged, kinds, None, path, notebook)
        facts = {"folder": "/".join(above)} if above else {}
        if label is None and above:
            notebook.note(Matter.OTHER_WORD, f"folder {'/'.join(above)}")
        samples.append(Sample(path, (Image(folder / path),), label, None, split, facts))
    if not samples:
        raise Fatal(f"{folder} holds no pictures (looked for {', '.join(sorted(PICTURES))}, in sub-folders too)")
    return DataSet(name=folder.resolve().name, root=folder, samples=tuple(samples))
