"""A folder of pictures and, where there is one, what its manifest says of them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evidence.codes import normalise
from schemas.faults import Fatal

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MANIFEST: Final = "manifest.csv"
_DAMAGED: Final = frozenset({"damaged", "damage", "defect", "defective", "broken"})
_INTACT: Final = frozenset({"intact", "undamaged", "ok", "good", "nominal", "normal", "sellable"})


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture. `expected_text` is what its code says: empty means that it has none, None that nobody knows."""

    path: Path
    name: str
    label: str = ""
    product_id: str = ""
    expected_text: str | None = None

    @property
    def damaged(self) -> bool | None:
        """What the label says about damage; None when it says nothing."""
        word = self.label.strip().lower()
        return True if word in _DAMAGED else False if word in _INTACT else None

    @property
    def code(self) -> str | None:
        """The expected code in the form in which codes are compared; None when none is expected, or none usable."""
        return normalise(self.expected_text) if self.expected_text else None


def open_album(folder: Path, manifest: Path | None = None) -> list[Photo]:
    """List the pictures below a folder in the order of their names, with what the manifest says of them.

    Without `manifest`, `manifest.csv` in the folder is used if there is one. Its columns: path (from the manifest's
    folder), and any of label, product_id and expected_text.

    Raises:
        Fatal: the folder or manifest cannot be read, or there are no pictures.
    """
    if not folder.is_dir():
        raise Fatal(f"{folder} is no folder: sideline inspect takes a folder of pictures")
    file = manifest or folder / MANIFEST
    if manifest is not None and not file.is_file():
        raise Fatal(f"there is no manifest {file}")
    facts = _facts(file) if file.is_file() else {}
    photos = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            said = facts.get(path.resolve(), {})
            photos.append(
                Photo(
                    path=path,
                    name=str(path.relative_to(folder)),
                    label=said.get("label") or "",
                    product_id=said.get("product_id") or "",
                    expected_text=said.get("expected_text"),
                )
            )
    if not photos:
        raise Fatal(f"{folder} holds no pictures (looked for {', '.join(sorted(SUFFIXES))}, in subfolders too)")
    return photos


def _facts(manifest: Path) -> dict[Path, dict[str, str]]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "path" not in (reader.fieldnames or ()):
                raise Fatal(f"{manifest} has no column `path`; it has {', '.join(reader.fieldnames or ()) or 'none'}")
            return {(manifest.parent / row["path"]).resolve(): row for row in reader if row["path"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Fatal(f"{manifest} cannot be read: {error}") from error


def products_of(photos: Sequence[Photo]) -> dict[str, str]:
    """Return a product id for every code that the album expects: the manifest's, else one derived from the code."""
    return {photo.code: photo.product_id or product_id(photo.code) for photo in photos if photo.code is not None}


def product_id(code: str) -> str:
    """Return a product id for a code; its prefix keeps it apart from every product of the real catalogue."""
    plain = code.isascii() and code.replace("-", "").replace(".", "").isalnum()
    return f"inspect-{code}" if plain and len(code) <= 48 else f"inspect-{digest(code.encode())[:16]}"  # noqa: PLR2004


def digest(data: bytes) -> str:
    """Return the SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def auroc(scored: Iterable[tuple[float, bool]]) -> float | None:
    """Return the chance that a damaged picture scores above an intact one, ties counted half; None without both.

    Computed from ranks (Mann-Whitney U).
    """
    pairs = sorted(scored)
    positives = sum(damaged for _, damaged in pairs)
    negatives = len(pairs) - positives
    if not positives or not negatives:
        return None
    ranks = 0.0
    start = 0
    while start < len(pairs):
        end = start
        while end < len(pairs) and pairs[end][0] == pairs[start][0]:
            end += 1
        middle = (start + 1 + end) / 2  # ranks start+1 .. end share their mean
        ranks += middle * sum(damaged for _, damaged in pairs[start:end])
        start = end
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)
