"""What a trial keeps of a capture: the truth and the integers the line would have recorded, no pixels, no arrays.

A file of rows begins with a line about how they were made; each further line is a capture. Rows are added as they come,
so an interrupted trial goes on where it stopped, and every figure can be made again without asking a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec

from evidence.identity_limits import IdentityLimits
from evidence.limits import Choice
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from schemas.words import DamageKind, IdentityMethod, Pattern, Severity

NAME: Final = "rows.jsonl"


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rows were made. Rows made otherwise cannot be added to them."""

    source: str  # which captures, in words that tell any two sources apart
    models: dict[str, str]  # name -> SHA-256 of its file
    fusion: str  # version of the calibration
    prior: int  # its log-odds of damage before any evidence, micro
    limits: IdentityLimits  # its limits of identification
    products: int  # in the gallery
    references: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one way of examining a capture answered."""

    score: int  # fused, micro-log-odds
    pattern: Pattern
    discrepancy: int | None = None
    product_id: str | None = None
    method: IdentityMethod = IdentityMethod.NONE
    confidence_ppm: int = 0
    conflict: bool = False
    view: int = 0
    place: tuple[int, ...] = ()


class Likeness(msgspec.Struct, frozen=True, array_like=True):
    """How alike a capture and a product are, in millionths: pooled vectors, patch maps, laid over references.

    `agree` (keypoints) and `laid` are None where the line does not ask.
    """

    pooled: int
    patch: int
    agree: int | None = None
    laid: int | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One capture. Its answers are None where it was refused, and `damaged` where nobody said."""

    number: int  # in its source
    capture_id: str
    pictures: tuple[str, ...] = ()  # SHA-256 of each RGB view
    product_id: str | None = None
    damaged: bool | None = None
    kinds: tuple[DamageKind, ...] = ()
    severity: Severity = Severity.UNKNOWN
    damage_share: float | None = None
    facts: dict[str, str] = {}
    depth: bool = False  # of any view
    codes: int = 0  # read from the pixels
    scanned: str = ""  # right, wrong, or nothing where no scanner spoke
    classifier: int | None = None  # its logit, all views together, micro
    alone: Answer | None = None  # the classifier, as if there were no gallery
    by_code: Answer | None = None  # with a right scan
    by_image: Answer | None = None  # with neither scan nor codes
    arrived: Answer | None = None  # with the scan and the codes that it came with
    blind: Answer | None = None  # as `alone`, depth taken away; only where there is depth
    own: int | None = None  # discrepancy against the references of its own product, whatever identification said
    stranger: int | None = None  # ... of another product
    looks: tuple[Choice, ...] = ()  # by looks, among so many products each
    likeness: dict[str, Likeness] = {}  # to the shortlist and its own product, where that was asked for
    refused: str = ""  # why its pictures cannot be used


class RowsFile:
    """Rows on disk, being added to: `with RowsFile.open(path, about) as rows`."""

    def __init__(self, stream: BinaryIO, done: frozenset[int]) -> None:
        """Take an open file and which captures are in it; see `open`."""
        self._stream = stream
        self._encoder = msgspec.json.Encoder()
        self.done = done

    @classmethod
    def open(cls, path: Path, about: About) -> Self:
        """Begin a file, or go on with one; a last line that was cut short is dropped.

        Raises:
            Fatal: the rows there are of other captures or models.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(about) + b"\n")
        _mend(path)
        there, rows = read(path)
        if there != about:
            raise Fatal(
                f"{path} holds rows of other captures or models ({_difference(there, about)}): give another --out, "
                "or remove it"
            )
        return cls(path.open("ab"), frozenset(row.number for row in rows))

    def add(self, row: Row) -> None:
        """Write a row down."""
        self._stream.write(self._encoder.encode(row) + b"\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._stream.close()


def read(path: Path) -> tuple[About, list[Row]]:
    """Read rows, in the order of their captures.

    Raises:
        Fatal: the file is missing or holds something else.
    """
    try:
        lines = path.read_bytes().splitlines()
        about = msgspec.json.decode(lines[0], type=About)
        decoder = msgspec.json.Decoder(Row)
        rows = [decoder.decode(line) for line in lines[1:]]
    except (OSError, IndexError, *NO_DOCUMENT) as error:
        raise Fatal(f"{path} holds no rows of a trial: {error}. Make them: sideline evaluate --out DIR") from error
    return about, sorted({row.number: row for row in rows}.values(), key=lambda row: row.number)


def usable(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows that have a truth and answers."""
    return (row for row in rows if row.damaged is not None and not row.refused)


def _mend(path: Path) -> None:
    """Drop a last line that has no end: the process that wrote it was stopped."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        with suppress(OSError), path.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)


def _difference(there: About, wanted: About) -> str:
    names = [name for name in About.__struct_fields__ if getattr(there, name) != getattr(wanted, name)]
    name = names[0]
    return f"{name} {getattr(there, name)!r}, now {getattr(wanted, name)!r}"
