"""Pictures named by a manifest or lying in a folder: a row each, whether or not the file can be read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.album import MANIFEST, SUFFIXES, Photo
from schemas.faults import Fatal


@dataclass(frozen=True, slots=True)
class Listing:
    """Pictures in order. `name` of each is how its rows name it: as the manifest does, or from the folder on."""

    photos: tuple[Photo, ...]
    expects_codes: bool = False  # a manifest says which codes there are


def list_pictures(source: Path) -> Listing:
    """List the pictures of a manifest (CSV with a column `path`, from its own folder) or below a folder.

    A manifest names what is listed, files that are missing included. In a folder, `manifest.csv` is the list where it
    is there; else every JPEG, PNG and WebP below it is listed, in the order of their names. A picture lists itself.

    Raises:
        Fatal: there is neither, or nothing in it.
    """
    if source.is_dir():
        if (source / MANIFEST).is_file():
            return _of_manifest(source / MANIFEST)
        found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in SUFFIXES and not path.is_dir()]
        if not found:
            raise Fatal(f"{source} holds no pictures (looked for {', '.join(sorted(SUFFIXES))}, in subfolders too)")
        return Listing(tuple(Photo(path=path, name=str(path.relative_to(source))) for path in found))
    if source.suffix.lower() in SUFFIXES and source.is_file():
        return Listing((Photo(path=source, name=source.name),))
    if not source.is_file():
        raise Fatal(f"there is no {source}: name a folder of pictures, or a manifest (CSV with a column path)")
    return _of_manifest(source)


def _of_manifest(file: Path) -> Listing:
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or ()
            if "path" not in columns:
                raise Fatal(f"{file} has no column `path`; it has {', '.join(columns)[:200] or 'none'}")
            photos = tuple(
                Photo(
                    path=file.parent / row["path"],
                    name=row["path"],
                    label=row.get("label") or "",
                    expected_text=row.get("expected_text"),
                )
                for row in reader
                if row["path"]
            )
    except (OSError, csv.Error) as error:
        raise Fatal(f"{file} cannot be read: {error}") from error
    if not photos:
        raise Fatal(f"{file} lists no pictures")
    return Listing(photos, expects_codes="expected_text" in columns)


def write_rows(out: Path, heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file whole: under another name first, so that nobody reads half of one.

    Raises:
        Fatal: it cannot be written.
    """
    unfinished = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(heading)
            writer.writerows(rows)
        unfinished.replace(out)
    except OSError as error:
        raise Fatal(f"{out} cannot be written: {error.strerror or error}") from error
