"""Tables that people wrote: comma-separated text in whatever encoding and with whatever separator it has."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from schemas.faults import Fatal
from training.data.findings import Matter, Notebook

LARGEST_BYTES: Final = 1 << 30  # a manifest of 100,000 rows has 10 MB; what is larger is no manifest
_SEPARATORS: Final = ",;\t"


class Table:
    """The rows of a file, read one by one; columns are found by any of their names, whatever their case."""

    def __init__(self, file: Path, notebook: Notebook) -> None:
        self._file = file
        self._notebook = notebook
        self._text = _text(file, notebook)
        first = self._text.readline()
        separator = max(_SEPARATORS, key=first.count) if first else ","
        self._text.seek(0)
        self._rows = csv.reader(self._text, delimiter=separator)
        self.columns: tuple[str, ...] = tuple(cell.strip().casefold() for cell in self._next() or ())

    def place(self, names: Sequence[str]) -> int | None:
        """Return the number of the first column that has one of the names, in the order of the names."""
        return next((self.columns.index(name) for name in names if name in self.columns), None)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank with its number (the heading is row 1), filled up to the heading's length.

        Raises:
            Fatal: the text is no table.
        """
        number = 1
        width = len(self.columns)
        while (cells := self._next()) is not None:
            number += 1
            if len(cells) != width:
                if len(cells) > width and any(cells[width:]):
                    self._notebook.note(Matter.RAGGED_ROW, f"row {number} of {self._file.name}")
                cells = (cells + [""] * width)[:width]
            if any(cells):
                yield number, cells

    def _next(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise Fatal(
                f"{self._file}, line {self._rows.line_num}: {error}. Is a quotation mark left open there?"
            ) from error


def _text(file: Path, notebook: Notebook) -> io.StringIO:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise Fatal(f"{file} has more than {LARGEST_BYTES >> 30} GiB: that is no manifest")
        raw = file.read_bytes()
    except OSError as error:
        raise Fatal(f"{file} cannot be read: {error.strerror}") from error
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        encodings = ["utf-16"]
    elif b"\0" in raw[:4096]:
        raise Fatal(f"{file} is no text: it holds zero bytes. Save the table as CSV, in UTF-8")
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "utf-8-sig":
            notebook.note(Matter.ODD_ENCODING, f"{file.name}: {encoding}")
        return io.StringIO(text, newline="")
    raise Fatal(f"{file} is in no encoding that could be guessed. Save it as UTF-8")
