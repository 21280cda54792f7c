"""What was found once stays mended: the smallest input of each find goes through its target again."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import pytest

from budget.config import BudgetConfig, LineBudget
from cli.replay.chain import Link, breaks
from schemas.words import MICRO, Divert
from tests.fuzz.registry import find
from tests.fuzz.targets.messages import golden

DEEP: Final = b"[" * 2_000
_STOP: Final = next(raw for raw in golden() if b'"decided_at"' in raw and b'"divert": "damage"' in raw)
AT_THE_END_OF_TIME: Final = re.sub(rb'"decided_at": "[^."Z]*', b'"decided_at": "9999-12-31T23:59:59', _STOP)
FINDS: Final = (
    ("messages.restore", AT_THE_END_OF_TIME, "a decision of the year 9999 ended sideline restore"),
    ("messages.read_back", DEEP, "sideline tail --json ended with a RecursionError"),
    ("datasets.note", DEEP, "a note of ARMBench ended the reading of its data set"),
    ("datasets.note", b'{"sublabel":{}}', "so did one that says an object where words are"),
    ("datasets.cells", b'[{"query_image":"a.jpg","facts":"' + DEEP * 50 + b'"}]', "so did facts in a table"),
    ("datasets.journal", b'{"role":"query","split":"\xff"}', "an export could not go on after a broken journal"),
    ("datasets.journal", b'{"later":' + DEEP, "nor after one that nests without end"),
    ("datasets.order", b'{"later":' + DEEP, "an export's order of that kind showed a traceback"),
    ("datasets.rows", b'{"source":"\xff"}', "so did rows of an evaluation that are no text"),
    ("configuration.sites", b"a = " + DEEP, "a file of sites that nests without end was no Fatal"),
    ("codes.normalise", "\0]C\u00df10900117176".encode(), "a code had another form once it was brought into its form"),
    ("configuration.settings", b"window=x", "sideline with a wrong setting showed a traceback"),
    ("configuration.settings", b"redis_password_file=\xff", "so did one with a setting that is no text"),
    ("codes.changes", b"alpha_ppm=\xff", "sideline budget --set with bytes that are no text showed a traceback"),
    ("codes.log_lines", b"0001-01-01 00:00:00,123 INFO x", "a log line of the year 1 ended explain --history"),
    ("codes.log_lines", b"2026-11-25 10:00:00 [w ] a t={[]}", "and a value that cannot be in a set"),
    ("codes.log_lines", b'{"later":' + DEEP, "so did one that nests without end"),
    ("stored.scans", b"", "one broken scan in the store failed every capture of its unit"),
    ("headers.batches", b"\xffname:value", "one header name that is no UTF-8 ended every inspector"),
)


@pytest.mark.parametrize(("name", "raw", "what"), FINDS, ids=[f"{name}-{at}" for at, (name, *_) in enumerate(FINDS)])
def test_finds(name: str, raw: bytes, what: str) -> None:
    """The check of a target raises for whatever is not mended."""
    find(name).check(raw)


@pytest.mark.timeout(20)
def test_a_record_that_claims_billions_of_tokens_is_told_at_once() -> None:
    """Replay tried every number of tokens that may have come back: hours for one forged record."""
    config = BudgetConfig(lines={"line-1": LineBudget(alpha_ppm=100, burst_tokens=9)})
    first = Link(1, "c1", 1, (0, 0), (0, 0), None, None, Divert.NONE, "line-1", (1, 0, 2**53 // MICRO * MICRO))
    assert [2] == [each.seq for each in breaks([first, replace(first, seq=2, own=(2, 5, 0))], {1: config})]
