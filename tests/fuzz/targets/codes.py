"""Texts that strangers printed or typed: barcodes, ids, claims, URIs, times, changes of a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from budget.config import BudgetConfig
from cli.history.logs import _concerns, _is_at, _words, parse
from cli.moments import moment
from cli.site import changed
from evidence.claims import Claim
from evidence.codes import MAX_CODE, elements, normalise
from evidence.ids import IdForms
from evidence.uris import FilePlace, locate
from schemas.faults import Fatal, Poison
from tests.fuzz.target import Target

_FORMS: Final = IdForms()
_NOW: Final = datetime(2026, 11, 25, tzinfo=UTC)
_SYMBOLOGIES: Final = ("", "EAN13", "UPCE", "ITF14", "QRCode", "EAN-8")


def text_of(raw: bytes) -> str:
    """Return bytes as text, with surrogates where they are no UTF-8."""
    return raw.decode("utf-8", "surrogateescape")


def _code(raw: bytes) -> None:
    """Any text of any symbology has one form, which is its own form, or none."""
    symbology = _SYMBOLOGIES[raw[0] % len(_SYMBOLOGIES)] if raw else ""
    text = text_of(raw[1:])
    code = normalise(text, symbology)
    if code is not None and (not 1 <= len(code) <= MAX_CODE or normalise(code) != code):
        raise AssertionError(f"{text!r} of {symbology!r} has the form {code!r}, and that has {normalise(code)!r}")
    elements(text)


def _id(raw: bytes) -> None:
    """Any text is an id of some kind, or none; what it says of a unit has an answer."""
    unit, _, text = text_of(raw).partition("\n")
    found = _FORMS.read(text)
    if found is not None and found.uri is not None and not found.uri.isascii():
        raise AssertionError(f"{found.uri!r} is no URI")
    _FORMS.whose(text, unit_id=unit)


def _pattern(raw: bytes) -> None:
    """Any expression of a site is taken or refused in words, and reads in linear time."""
    with suppress(Fatal):
        forms = IdForms({"lpn": text_of(raw)})
        forms.read("LPN-" + "A0" * 100)


def _claim(raw: bytes) -> None:
    """Any claim is read, and a claim that was read is written as one line of printable ASCII that reads as the same."""
    claim = Claim.read(text_of(raw))
    if claim.product_id is None and Claim.read(str(claim)) != Claim.read(str(Claim.read(str(claim)))):
        raise AssertionError(f"{claim} changes each time it is written")


def _uri(raw: bytes) -> None:
    """Any URI leads to a plain place or is refused."""
    text = text_of(raw)
    try:
        place = locate(text)
    except Poison as poison:
        if not str(poison).isascii() or not str(poison).isprintable():
            raise AssertionError(f"{poison!r} cannot stand in a log line") from poison
        return
    steps = place.path.parts[1:] if isinstance(place, FilePlace) else place.key.split("/")
    if any(step in {"", ".", ".."} or "/" in step or "\\" in step or not step.isprintable() for step in steps):
        raise AssertionError(f"{text!r} leads to {place}")


def _change(raw: bytes) -> None:
    """Any --set is a configuration or a refusal, and what is taken can be checked."""
    with suppress(Fatal):
        changed(BudgetConfig(), text_of(raw).splitlines()).check()


def _log_line(raw: bytes) -> None:
    """Any line of a log is one of ours, or none."""
    line = parse(raw.decode("utf-8", "replace"))
    if line is not None:
        _is_at(line, frozenset({("sideline.fra1.captures.v1", 0, 7)}))
        _concerns(line, frozenset({("sideline.fra1.captures.v1", 0, 7)}))
        _words(line, frozenset())


def _moment(raw: bytes) -> None:
    """Any time as people type them is a time in UTC or a refusal."""
    with suppress(Fatal):
        if moment(text_of(raw), _NOW).utcoffset() != UTC.utcoffset(None):
            raise AssertionError(f"{raw!r} is no time in UTC")


def _target(
    name: str, check: Callable[[bytes], None], seeds: Sequence[str], words: Sequence[str] = (), inputs: int = 10_000
) -> Target:
    rendered = [seed.encode() for seed in seeds]
    return Target(
        f"codes.{name}", check, lambda: rendered, [word.encode() for word in words], most_bytes=1024, inputs=inputs
    )


_CODES: Final = (
    *("9506000134352", "]C10109506000134352", "(01)09506000134352(10)ABC(17)251231", "04904005", "b00abc1234"),
    *("https://id.gs1.org/01/09506000134352/10/ABC?17=251231", "010950600013435210ABC\x1d21X", "950-6000-13435-2"),
    *("00106141411234567897", "\uff19\uff15\uff10\uff16", "(8020)REF", "(3103)000189(3922)0299", "X001ABCDEF"),
)
_PARTS: Final = (
    *("]C1", "]d2", "]Q3", "]E0", "(01)", "(00)", "(02)", "(21)", "(17)", "(310", "(8020)", "01", "00", "\x1d"),
    *("https://", "/01/", "/21/", "?17=", "id.gs1.org", "%2F", "\u202e", "\ufdfa", "\u00df", "\ufb03", "\u0130"),
)
_LOG_LINES: Final = (
    '{"event":"x","timestamp":"2026-11-25T10:00:00Z","topic":"sideline.fra1.captures.v1","partition":0,"parked":[1,9]}',
    "2026-11-25 10:00:00,123 INFO exited: inspector-1 (exit status 75; not expected)",
    "2026-11-25 10:00:00 [warning  ] a part does not answer  detail='[Errno 111]' part=p-2 offset=7 t={'a': 1}",
)
_LOG_WORDS: Final = (
    "partition=0",
    "topic=",
    "cancelled=[",
    "offset=",
    "'",
    '"',
    "{",
    "0001-01-01 00:00:00",
    "+23:59",
    "(" * 99,
)
TARGETS: Final = (
    _target("normalise", _code, [f"\0{code}" for code in _CODES] + [f"\x02{_CODES[3]}"], _PARTS),
    _target("ids", _id, [f"LPN-000001\n{code}" for code in _CODES], _PARTS),
    _target(
        "patterns",
        _pattern,
        ["LPN-?[0-9A-Z]{6,24}", "(a|b)*c", "[^x]{1,9}"],
        ["(?i)", "{1,1000}", "\\pL", "[[:alpha:]]", "(?P<x>", "\\C", ".*", "|", "\\1", "(?="],
        inputs=4_000,
    ),
    _target(
        "claims",
        _claim,
        ["scan:P-1", "scan:?X0042", "image~:P-2", "scan!:?LPN-7", "none:", "later:x"],
        ["scan", "barcode", "image", "~", "!", "?", ":"],
    ),
    _target(
        "uris",
        _uri,
        ["file:///srv/a.jpg", "s3://bucket-1/a/b%20c.png", "file://localhost/x", "http://169.254.169.254/x"],
        [
            "file://",
            "s3://",
            "localhost",
            "%2e",
            "%2f",
            "%5c",
            "%00",
            "..",
            "/./",
            "@",
            "?",
            "#",
            "%c0%ae",
            "%e2%80%ae",
        ],
    ),
    _target(
        "changes",
        _change,
        [
            "alpha_ppm=5000",
            "lines.line-1.alpha_ppm=100\nlines.line-1.burst_tokens=3",
            "override_threshold=none",
            "captures_per_s=1e3",
            "lines.line-1=",
        ],
        [
            *BudgetConfig.__struct_fields__,
            "lines.",
            "=none",
            "1e309",
            "nan",
            "inf",
            "-1",
            "9223372036854775808",
            "=",
            "\n",
        ],
        inputs=4_000,
    ),
    _target("log_lines", _log_line, _LOG_LINES, _LOG_WORDS, inputs=4_000),
    _target(
        "moments",
        _moment,
        ["2026-11-20", "2026-11-20T10:15:00+01:00", "90m", "36h", "7d", "0001-01-01T00:00+23:59"],
        ["9999-12-31", "T23:59:59", "+23:59", "-23:59", "999999d", "W53", "\u0661"],
    ),
)
