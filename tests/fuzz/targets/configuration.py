"""What operators write: settings, the file of sites, budgets, and the calibration that models ship with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

import msgspec

from budget.config import BudgetConfig, LineBudget
from evidence.calibration import DEFAULT_PATH, Calibration
from evidence.fusion import MAX_SCORE, fuse, words
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from schemas.messages import Decision, Evidence, Identity
from settings.line import Settings
from settings.sites import site_book
from streams.documents import GOLDEN
from tests.fuzz.mutators import HOSTILE, json_values
from tests.fuzz.scratch import scratch
from tests.fuzz.target import Target
from workers.epcis import SiteNames

_WORDS: Final = tuple(text.encode() for text in HOSTILE if len(text) < 64)
_PREFIX: Final = "SIDELINE_"


@contextmanager
def _environment(said: dict[str, str]) -> Iterator[None]:
    """Put variables into the environment, and take them out again."""
    before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    for name in before:
        del os.environ[name]
    os.environ.update(said)
    try:
        yield
    finally:
        for name in said:
            os.environ.pop(name, None)
        os.environ.update(before)


def _settings(raw: bytes) -> None:
    """Any values of our variables are settings or a refusal: a line `name=value` each."""
    said = {}
    for line in raw.replace(b"\0", b"").decode("utf-8", "surrogateescape").splitlines():
        name, _, value = line.partition("=")
        if name.isidentifier() and name.isascii():
            said[_PREFIX + name.upper()] = value
    with _environment(said), suppress(Fatal):
        Settings()


def _sites(raw: bytes) -> None:
    """Any file of sites is a book or a refusal, and so are the names of each site in it."""
    file = scratch() / "sites.toml"
    file.write_bytes(raw)
    with suppress(Fatal):
        book = site_book(file)
        for site in book.sites:
            SiteNames(site, book)


def _budget(raw: bytes) -> None:
    """Any budget as JSON is refused by its types, or by the arithmetic, or holds."""
    with suppress(Fatal, *NO_DOCUMENT):
        config = msgspec.json.decode(raw, type=BudgetConfig)
        config.check()
        if msgspec.json.decode(msgspec.json.encode(config), type=BudgetConfig) != config:
            raise AssertionError(f"{config} is another one once it was stored")


@cache
def _evidence() -> Sequence[tuple[Evidence, Identity]]:
    """Return the evidence of the golden decisions."""
    read = [msgspec.json.decode(path.read_bytes(), type=Decision) for path in sorted((GOLDEN / "decision").glob("*"))]
    return [(one.evidence, one.identity or Identity()) for one in read if one.evidence is not None]


def _calibration(raw: bytes) -> None:
    """Any file is a calibration or a refusal, and any calibration that is taken gives a score and its story."""
    file = scratch() / "fusion.json"
    file.write_bytes(raw)
    try:
        calibration = Calibration.load(file)
    except Fatal:
        return
    for evidence, identity in _evidence():
        if abs(fuse(evidence, identity, calibration)) > MAX_SCORE:
            raise AssertionError("a score beyond its bound")
        words(evidence, identity, calibration)
    calibration.save(file)
    if Calibration.load(file) != calibration:
        raise AssertionError("a calibration is another one once it was saved")


@cache
def _budgets() -> Sequence[bytes]:
    lines = {"line-1": LineBudget(alpha_ppm=100, burst_tokens=9, captures_per_s=1.5)}
    made = (BudgetConfig(), BudgetConfig(lines=lines, override_threshold=0, override_until_ms=1_800_000_000_000))
    return [msgspec.json.encode(each) for each in made]


def _calibrations() -> Sequence[bytes]:
    whole = Calibration.load(DEFAULT_PATH)
    return [msgspec.json.encode(msgspec.structs.replace(whole, negatives=whole.negatives[:20], measured=[]))]


_SETTINGS: Final = (
    b"kafka_bootstrap=a:1,b:2\nwindow=32\nscan_wait_s=0.4\nimage_roots=/a,/b\ns3_buckets=x",
    b"health_port=0\nlog_format=text\npicture_memory_mib=1024\nimages_keep_days=1e3\nsites_file=/x",
)
_BOOK: Final = b"""base = "urn:sideline:"
[sites.fra1]
zone = "Europe/Berlin"
location = "4012345000009"
review = "https://example.com/review"
stations = { "line-1/st-1" = "urn:x:1" }
ids = { lpn = "LPN[0-9]{8}", asin = "" }
"""
_TOML: Final = (
    *(b"[sites.", b"zone = ", b"location = ", b"review = ", b"stations = ", b"ids = ", b'"""', b"'''", b"\\u0000"),
    *(
        b"Europe/Berlin",
        b"../../etc/localtime",
        b"localtime",
        b"1979-05-27T07:32:00Z",
        b"0x1",
        b"inf",
        b"nan",
        b"[" * 60,
    ),
)
TARGETS: Final = (
    Target(
        "configuration.settings",
        _settings,
        lambda: _SETTINGS,
        [f"{name}=".encode() for name in Settings.model_fields],
        most_bytes=2048,
        inputs=400,
    ),
    Target("configuration.sites", _sites, lambda: [_BOOK, b""], _TOML, inputs=3_000),
    Target("configuration.budget", _budget, _budgets, _WORDS, json_values, inputs=5_000),
    Target("configuration.calibration", _calibration, _calibrations, _WORDS, json_values, inputs=2_000),
)
