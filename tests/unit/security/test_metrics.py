"""Metrics: what may stand in a label is decided here, never by an event."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
SERVING: Final = ("workers", "streams", "evidence", "gallery", "budget", "feedback", "deploy", "cli")
# Where a label's value may come from: a literal, an enum's value, a registered site or line, or one of these.
REGISTERED: Final = {"site": r"(?:.*\.)?site", "line": r"(?:.*\.)?line"}
NAMED: Final = {
    "self._entity": "a literal of the worker's own",
    "settlement.state": "a Literal of three words",
    "name": "a dependency that a breaker guards",
    "stage": "a literal of whoever measures",
    "part": "one of four literals",
    "getattr(self._versions, part)": "what this process runs, read once at its start",
    "reason": "an enum's value, or a reason of ours for an undetermined capture",
}


def strange(source: str) -> Iterator[str]:
    """Name each label whose value comes from elsewhere."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"):
            continue
        if node.args:
            yield f"line {node.lineno}: a label without its name"
        for keyword in node.keywords:
            if keyword.arg is not None and not _is_closed(keyword.arg, keyword.value):
                yield f"line {node.lineno}: {keyword.arg}={ast.unparse(keyword.value)}"


def _is_closed(label: str, value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=str()):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _is_closed(label, body) and _is_closed(label, orelse)
        case ast.JoinedStr(values=parts):
            return all(
                _is_closed(label, part.value if isinstance(part, ast.FormattedValue) else part) for part in parts
            )
        case ast.Attribute(attr="value"):
            return True
    told = ast.unparse(value)
    return told in NAMED or (label in REGISTERED and re.fullmatch(REGISTERED[label], told) is not None)


class TestLabels:
    """Every `.labels(...)` of what serves."""

    @pytest.mark.parametrize("folder", SERVING)
    def test_take_values_from_closed_sets(self, folder: str) -> None:
        """No id of a capture, unit, product or person, no text of an event."""
        found = {
            f"{path.relative_to(ROOT)} {each}"
            for path in sorted((ROOT / folder).rglob("*.py"))
            for each in strange(path.read_text(encoding="utf-8"))
        }
        assert set() == found

    @pytest.mark.parametrize(
        "call",
        [
            "METRICS.x.labels(unit=capture.unit_id)",
            "METRICS.x.labels(site=capture.station)",
            "METRICS.x.labels(reason=str(error))",
            "METRICS.x.labels(reason=f'{word} {capture.line}')",
            "METRICS.x.labels(scan.code)",
            "METRICS.x.labels(line=capture.line if known else capture.unit_id)",
        ],
    )
    def test_from_an_event_would_be_found(self, call: str) -> None:
        """The search itself."""
        assert list(strange(call))
