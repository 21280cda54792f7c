"""What data sets hold that strangers or older builds wrote: manifests, Parquet tables, notes, lists, kept rows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from schemas.faults import Fatal
from tests.fuzz.mutators import HOSTILE, json_values
from tests.fuzz.scratch import scratch
from tests.fuzz.target import Target
from training.data.armbench import read_armbench
from training.data.claim import ORDER, Journal, known_order
from training.data.findings import Notebook
from training.data.kaputt import read_kaputt
from training.data.manifest import read_manifest
from training.evaluation.rows import read as read_rows

_WORDS: Final = tuple(text.encode() for text in HOSTILE if len(text) < 64)
_COLUMNS: Final = ("path", "label", "damaged", "product_id", "kinds", "severity", "split", "depth", "reference")
_ROW: Final = {
    "capture_id": "c1", "query_image": "a.jpg", "item_identifier": "p1", "item_material": "paper", "defect": True,
    "major_defect": False, "defect_types": "spillage,missing_unit", "facts": '{"decoy": "crack"}', "weight": 2.0,
    "damage_boxes": [0.25, 0.5, 0.125, 0.25], "camera_id": "cam", "capture_group": "g1",
}  # fmt: skip


@cache
def _tree() -> Path:
    """Make a folder of files that tables may name; none is opened by the readers."""
    root = scratch() / "tree"
    (root / "data" / "A1").mkdir(parents=True)
    (root / "datasets").mkdir()
    for name in ("a.jpg", "b.png", "data/A1/A1_0.jpg"):
        (root / name).write_bytes(b"not opened")
    (root / "train.csv").write_text("A1\n")
    return root


def _manifest(raw: bytes) -> None:
    """Any table is a data set or a refusal; nothing outside its folder is in it."""
    file = _tree() / "manifest.csv"
    file.write_bytes(raw)
    with suppress(Fatal):
        data = read_manifest(file, Notebook())
        for sample in data.samples:
            for image in sample.images:
                if not image.path.resolve().is_relative_to(_tree().resolve()):
                    raise AssertionError(f"{image.path} lies outside")


def _kaputt(raw: bytes) -> None:
    """Any bytes are a table or a refusal."""
    (_tree() / "datasets" / "query-train.parquet").write_bytes(raw)
    with suppress(Fatal):
        read_kaputt(_tree(), Notebook())


def _kaputt_cells(raw: bytes) -> None:
    """Any values in a table's cells are a data set or a refusal: the input is a list of rows as JSON."""
    try:
        rows = [row for row in json.loads(raw) if isinstance(row, dict)]
        table = pa.Table.from_pylist(rows)
        file = io.BytesIO()
        parquet.write_table(table, file)
    except (ValueError, RecursionError, AttributeError, TypeError, OverflowError, pa.ArrowException):
        return  # no table can hold that
    _kaputt(file.getvalue())


def _note(raw: bytes) -> None:
    """Any note beside a picture is read or noted as broken."""
    (_tree() / "data" / "A1" / "A1_0.json").write_bytes(raw)
    read_armbench(_tree(), Notebook())


def _list(raw: bytes) -> None:
    """Any list of ids is read or refused."""
    (_tree() / "test.csv").write_bytes(raw)
    with suppress(Fatal):
        read_armbench(_tree(), Notebook())


def _order(raw: bytes) -> None:
    """The order of an export that was begun, and its journal, are read or refused."""
    folder = scratch() / "export"
    folder.mkdir(exist_ok=True)
    (folder / ORDER).write_bytes(raw)
    with suppress(Fatal):
        known_order(folder)


def _journal(raw: bytes) -> None:
    """The journal of an export that was interrupted is read; lines that were cut count for nothing."""
    folder = scratch() / "journal"
    Journal(folder)
    file = next(folder.rglob("rows.jsonl"))
    file.write_bytes(raw)
    Journal(folder).rows()


def _rows(raw: bytes) -> None:
    """Rows of an evaluation are read or refused."""
    file = scratch() / "rows.jsonl"
    file.write_bytes(raw)
    with suppress(Fatal):
        read_rows(file)


@cache
def _manifests() -> Sequence[bytes]:
    header = ",".join(_COLUMNS)
    rows = "a.jpg,damaged,yes,p1,spillage,major,train,,\nb.png,intact,no,p1,,none,test,,a.jpg\n../x.jpg,,,,,,,,"
    return [
        f"{header}\n{rows}\n".encode(),
        f"{header}\n{rows}\n".replace(",", ";").encode("utf-16"),
        b"\xef\xbb\xbfpath\tclass\r\na.jpg\tspillage\r\n",
        f'{header},"a ""fact"""\n"a.jpg",,,,,,,,,"x\ny"\n'.encode("cp1252"),
    ]


@cache
def _tables() -> Sequence[bytes]:
    made = []
    for how in ({}, {"compression": "none"}, {"compression": "gzip"}, {"use_dictionary": False, "version": "1.0"}):
        file = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist([_ROW, {**_ROW, "capture_id": "c2"}]), file, **how)
        made.append(file.getvalue())
    return made


def _documents(*values: Any) -> Callable[[], Sequence[bytes]]:  # noqa: ANN401 - JSON
    rendered = [json.dumps(value).encode() for value in values]
    return lambda: rendered


_ABOUT: Final = {
    "source": "booth", "models": {"a": "0"}, "fusion": "f", "prior": -7, "products": 2, "references": 6,
    "limits": {"patches": {}, "vectors": {}},
}  # fmt: skip
_ORDER: Final = {
    "site": "fra1", "since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z", "layout": "booth", "seed": 1,
    "since_said": "7d", "until_said": "now",
}  # fmt: skip
_LINE: Final = json.dumps({"role": "query", "split": "train", "name": "c1", "rows": [{"capture_id": "c1"}]}).encode()
TARGETS: Final = (
    Target("datasets.manifest", _manifest, _manifests, tuple(f"{name},".encode() for name in _COLUMNS), inputs=3_000),
    Target("datasets.parquet", _kaputt, _tables, (b"PAR1", b"query_image", b"facts"), inputs=1_500),
    Target(
        "datasets.cells", _kaputt_cells, _documents([_ROW], [_ROW, {"query_image": 1}]), _WORDS, json_values, inputs=800
    ),
    Target(
        "datasets.note",
        _note,
        _documents({"sublabel": ["open_box"]}, {"label": "nominal"}, {"sublabel": "torn bag"}),
        _WORDS,
        json_values,
        inputs=3_000,
    ),
    Target("datasets.list", _list, lambda: [b"A1\r\nA2\r\n", b'"A1",\n'], (b"A1", b"\xef\xbb\xbf"), inputs=2_000),
    Target("datasets.order", _order, _documents(_ORDER), _WORDS, json_values, inputs=3_000),
    Target("datasets.journal", _journal, lambda: [_LINE + b"\n", _LINE + b"\n" + _LINE[:40]], _WORDS, inputs=3_000),
    Target("datasets.rows", _rows, _documents(_ABOUT), _WORDS, json_values, inputs=3_000),
)
