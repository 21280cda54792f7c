"""What stores hold: scans, references and products as Redis gives them back, and requests on their way there."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np

from budget.records import Request
from evidence import prints
from evidence.frame import SIDE
from evidence.scans import ScanBoard, Sighting
from gallery.entry import VECTOR_SIZE, Reference
from gallery.store import _product, _reference
from schemas.faults import Poison
from schemas.words import Outcome
from streams.documents import GOLDEN
from tests.fuzz.mutators import HOSTILE, json_values
from tests.fuzz.target import Target

_WORDS: Final = tuple(text.encode() for text in HOSTILE if len(text) < 64)
_BOARD: Final = ScanBoard("redis://127.0.0.1:1/0", window_s=30.0)  # connects to nothing until it is asked


def _held(raw: bytes) -> None:
    """Any reference or product in the gallery's store is a change, or logged and left out."""
    for read in (_reference, _product):
        read(raw[:8], raw)


def _prints(raw: bytes) -> None:
    """Any prints are refused, or a capture can be laid over them, or nothing can be told; each likeness is a share."""
    try:
        found = prints.unpack(raw)
    except (msgspec.DecodeError, ValueError):
        return
    likeness = prints.Overlay(_capture()[None], {"P": found}).likeness("P")
    if likeness is not None and not -1 <= likeness <= 1:
        raise AssertionError(f"laid over: {likeness}")


@cache
def _capture() -> prints.Squares:
    """Draw uint8[224, 224, 3] with some things in it that are found again."""
    rng, square = np.random.default_rng(3), np.full((SIDE, SIDE, 3), 230, np.uint8)
    for _ in range(40):
        top, left, high, wide = rng.integers((30, 30, 8, 8), (160, 160, 40, 40))
        square[top : top + high, left : left + wide] = rng.integers(0, 256, 3)
    return square


def _printed() -> Sequence[bytes]:
    one = prints.print_of(_capture())
    return [prints.pack([one]), prints.pack([one, prints.print_of(_capture()[::-1])]), b"\x90"]


def _scans(raw: bytes) -> None:
    """Any scans of a unit are read; one that is none costs only itself."""
    good = msgspec.json.encode(Sighting(scan_id="good", station="s", code="1", symbology="", append_ms=1))
    if "good" not in _BOARD._read([raw, good]):
        raise AssertionError(f"{raw!r} took another scan with it")


def _request(raw: bytes) -> None:
    """Any request for an outcome is one, or refused before the store's script sees it: the input is its fields."""
    try:
        fields = msgspec.json.decode(raw)
        request = msgspec.convert(fields, _Fields)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return
    with suppress(Poison, ValueError):
        Request(**msgspec.structs.asdict(request))


class _Fields(msgspec.Struct, kw_only=True):
    """The fields of a request, by type only."""

    site: str
    line: str
    capture_id: str
    unit_id: str
    digest: str
    append_ms: int
    decide_by_ms: int
    ask: Outcome
    reason: str = ""
    score: int | None = None
    audit_draw_ppm: int = 0
    recheck_draw_ppm: int = 0
    fusion_version: str = ""
    decision_head: bytes = b""
    sidelined_head: bytes = b""


@cache
def _references() -> Sequence[bytes]:
    vectors = np.random.default_rng(1).normal(size=(2, VECTOR_SIZE)).astype(np.float16).tobytes()
    packed = msgspec.msgpack.encode(Reference("p1", b"\1" * 8, vectors, 1_800_000_000_000))
    products = [path.read_bytes() for path in sorted((GOLDEN / "product").glob("*"))]
    return [packed, *products]


def _sightings() -> Sequence[bytes]:
    scan = Sighting(scan_id="s1", station="st-1", code="9506000134352", symbology="EAN13", append_ms=1_800_000_000_000)
    return [msgspec.json.encode(scan)]


def _requests() -> Sequence[bytes]:
    fields: dict[str, Any] = {
        "site": "fra1", "line": "line-1", "capture_id": "01a1f874-3e4d-7c3e-9f41-8d20b6a4e917", "unit_id": "u1",
        "digest": "0" * 64, "append_ms": 1_800_000_000_000, "decide_by_ms": 1_800_000_003_000, "ask": "decided",
        "score": -4_000_000, "fusion_version": "f1", "decision_head": "eyJh",
    }  # fmt: skip
    return [msgspec.json.encode(fields), msgspec.json.encode({**fields, "ask": "undetermined", "reason": "late"})]


TARGETS: Final = (
    Target("stored.gallery", _held, _references, (struct.pack("<e", np.nan), b"\xc4", b"\x94"), inputs=5_000),
    Target("stored.prints", _prints, _printed, (struct.pack("<e", np.nan), b"\x93"), most_bytes=80_000, inputs=150),
    Target("stored.scans", _scans, _sightings, _WORDS, json_values, inputs=5_000),
    Target("stored.requests", _request, _requests, _WORDS, json_values, inputs=5_000),
)
