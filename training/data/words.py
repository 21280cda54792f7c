"""The words in which data sets tell the truth about a unit, and the one way in which they become a `Label`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from schemas.words import KINDS, DamageKind, Severity
from training.data.findings import Matter, Notebook
from training.data.form import Label

DAMAGED: Final = frozenset({"damaged", "damage", "defect", "defective", "broken"})
INTACT: Final = frozenset({"intact", "undamaged", "ok", "good", "nominal", "normal", "sellable"})
SPLITS: Final = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_YES: Final = frozenset({"true", "yes", "1", "1.0", "y", "t"})
_NO: Final = frozenset({"false", "no", "0", "0.0", "n", "f"})
_NOTHING: Final = frozenset({"", "none", "null", "nan", "na", "n/a", "-", "[]", "no_defect", "<na>"})
_KIND: Final = {str(kind): kind for kind in KINDS}
_INTACT_LABEL: Final = Label(damaged=False)
_SEVERITY: Final = {
    "none": Severity.NONE, "minor": Severity.MINOR, "major": Severity.MAJOR, "unknown": Severity.UNKNOWN
}  # fmt: skip
_BLANKS: Final = re.compile(r"[\s-]+")
_BETWEEN: Final = re.compile(r"[,;|\[\]{}'\"]+")


def word(cell: object) -> str:
    """Return a cell as a word: lower case, no blanks around, blanks and dashes inside as underscores."""
    return "" if cell is None else _word(str(cell))


@lru_cache(4096)  # a table says the same few words a hundred thousand times
def _word(text: str) -> str:
    return _BLANKS.sub("_", text.strip().lower())


def yes_or_no(cell: object, where: str, notebook: Notebook) -> bool | None:
    """Return a truth, None for an empty cell; other words are noted and count as empty."""
    if isinstance(cell, bool):
        return cell
    said = word(cell)
    if said in _YES or said in _NO:
        return said in _YES
    if said not in _NOTHING:
        notebook.note(Matter.UNKNOWN_TRUTH, f"{said} at {where}")
    return None


def damaged_word(cell: object) -> bool | None:
    """Return what a label's word says about damage: a kind says damaged; None when it speaks of something else."""
    said = word(cell)
    return True if said in DAMAGED or said in _KIND else False if said in INTACT else None


def kinds_of(cell: Any, where: str, notebook: Notebook) -> frozenset[DamageKind]:  # noqa: ANN401 - text, list or None
    """Read damage kinds from comma-separated text, a list, or a list written as text."""
    if cell is None:
        return frozenset()
    parts = cell if isinstance(cell, str) else ",".join(map(str, cell)) if hasattr(cell, "__iter__") else str(cell)
    kinds, others = _kinds_in(parts)
    for said in others:
        notebook.note(Matter.UNKNOWN_KIND, f"{said} at {where}")
    return kinds


@lru_cache(4096)
def _kinds_in(text: str) -> tuple[frozenset[DamageKind], tuple[str, ...]]:
    """Return the kinds that are named, and what else is."""
    said = [word(part) for part in _BETWEEN.split(text)]
    said = [part for part in said if part not in _NOTHING]
    return frozenset(_KIND[part] for part in said if part in _KIND), tuple(part for part in said if part not in _KIND)


def severity_of(cell: object, where: str, notebook: Notebook) -> Severity | None:
    """Read a severity, None for an empty cell."""
    said = "" if cell is None else str(cell).strip().lower()
    if said in _SEVERITY:
        return _SEVERITY[said]
    if said not in _NOTHING:
        notebook.note(Matter.UNKNOWN_SEVERITY, f"{said} at {where}")
        return Severity.UNKNOWN
    return None


def label_of(
    damaged: bool | None,
    kinds: frozenset[DamageKind],
    severity: Severity | None,
    where: str,
    notebook: Notebook,
) -> Label | None:
    """Make a label that does not contradict itself, and note where the table did.

    Kinds or a severity without a word on damage speak for damage. The word on damage wins over both.
    """
    bad = severity in {Severity.MINOR, Severity.MAJOR}
    if damaged is None:
        if not kinds and not bad:
            return None
        damaged = True
    if not damaged:
        if kinds:
            notebook.note(Matter.KINDS_ON_INTACT, f"{where}: {', '.join(sorted(kinds))}")
        if bad:
            notebook.note(Matter.SEVERE_INTACT, f"{where}: {severity}")
        return _INTACT_LABEL
    if severity is Severity.NONE:
        notebook.note(Matter.MILD_DAMAGED, where)
        severity = None
    return _damaged(kinds, severity or Severity.UNKNOWN)


@lru_cache(1024)  # one object for all samples that say the same
def _damaged(kinds: frozenset[DamageKind], severity: Severity) -> Label:
    return Label(damaged=True, kinds=kinds, severity=severity)
