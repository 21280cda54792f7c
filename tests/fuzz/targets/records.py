"""What replay, labels and the screens read: decisions and verdicts of any build, true or not."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Final

import msgspec
from rich.text import Text

from budget.config import BudgetConfig, LineBudget
from cli.replay.chain import breaks, link_of
from cli.replay.recompute import differences, rescored
from cli.replay.rows import row_of
from cli.screen import Screen, on_one_line
from cli.wording import dead_line, decision_line, disposition_line
from evidence.calibration import DEFAULT_PATH, Calibration
from feedback.labels import Heard, Stop, join, truth_of
from schemas.codec import NO_DOCUMENT, decode, encode
from schemas.faults import Fatal, Poison
from schemas.messages import DeadLetter, Decision, Disposition
from streams.delivery import Delivery
from streams.documents import GOLDEN
from tests.fuzz.mutators import HOSTILE, json_values
from tests.fuzz.target import Target

_WORDS: Final = tuple(text.encode() for text in HOSTILE if len(text) < 64)
_CALIBRATION: Final = Calibration.load(DEFAULT_PATH)
_SCREEN: Final = Screen()
_CONFIG: Final = BudgetConfig(lines={"inbound-2": LineBudget(alpha_ppm=100, burst_tokens=9)})


def _replayed(raw: bytes) -> None:
    """Decisions that can be read are made again, or do not hold together and say so: the input is a list of them."""
    links = []
    with suppress(msgspec.MsgspecError, RecursionError):
        for each in msgspec.json.decode(raw, type=list[msgspec.Raw]):
            with suppress(Poison):
                decision = decode(Decision, bytes(each))
                links.append(link_of(decision))
                _made_again(decision)
    configs = dict.fromkeys({link.config_version for link in links if link is not None}, _CONFIG)
    list(breaks([link for link in links if link is not None], configs))


def _made_again(decision: Decision) -> None:
    for calibration in (None, _CALIBRATION):
        with suppress(Poison, ValueError, Fatal):
            row_of(decision, calibration)
    rescored(decision, _CALIBRATION)
    for found in differences(decision, _CALIBRATION, _CONFIG):
        str(found)


@cache
def _sequences() -> Sequence[bytes]:
    """Render each golden decision with one that follows it."""
    made = []
    for raw in _golden("decision"):
        first = decode(Decision, raw)
        then = msgspec.structs.replace(first, seq=(first.seq or 0) + 1, line_seq=(first.line_seq or 0) + 1)
        made.append(msgspec.json.encode([first, then]))
    return made


def _labelled(raw: bytes) -> None:
    """Two messages, a decision and a verdict on it, become a label or are left out."""
    one, _, two = raw.partition(b"\n")
    try:
        decision, said = decode(Decision, one), decode(Disposition, two)
    except Poison:
        return
    heard = [Heard(said, 1_800_000_000_000), Heard(msgspec.structs.replace(said, disposition_id="again"), 2**52)]
    docket = join(decision.site, [Stop(decision, _CONFIG.verdict_timeout_ms)], heard)
    for stop in docket.stops:
        str(stop.contradicted)
    truth_of(said)


def _shown(raw: bytes) -> None:
    """What a screen shows of any message is printable: no message moves a cursor or renames a window."""
    with suppress(Poison):
        _is_printable(decision_line(decode(Decision, raw)))
    with suppress(Poison):
        _is_printable(disposition_line(decode(Disposition, raw)))
    try:
        letter = msgspec.json.decode(raw, type=DeadLetter)
    except NO_DOCUMENT:
        return
    _is_printable(dead_line(Delivery("t", 0, 0, None, raw, (), 0), letter))


def _is_printable(line: Text) -> None:
    _SCREEN.file = shown = io.StringIO()
    _SCREEN.print(on_one_line(line), soft_wrap=True, highlight=False)
    if not (text := shown.getvalue().removesuffix("\n")).isprintable():
        raise AssertionError(f"{text!r} would be written to a terminal")


def _golden(*kinds: str) -> Sequence[bytes]:
    return [path.read_bytes() for kind in kinds for path in sorted((GOLDEN / kind).glob("*.json"))]


@cache
def _pairs() -> Sequence[bytes]:
    """Render each golden decision, as a stop, with a verdict on its capture, and one on its unit."""
    made = []
    for raw in _golden("decision"):
        decision = decode(Decision, raw)
        for verdict in _golden("disposition"):
            said = decode(Disposition, verdict)
            on_it = msgspec.structs.replace(said, capture_id=decision.capture_id, site=decision.site)
            made.append(encode(decision) + b"\n" + encode(on_it))
    return made


TARGETS: Final = (
    Target("records.replay", _replayed, _sequences, _WORDS, json_values, inputs=2_000),
    Target("records.labels", _labelled, _pairs, _WORDS, inputs=5_000),
    Target(
        "records.screens",
        _shown,
        lambda: _golden("decision", "disposition", "dead_letter"),
        _WORDS,
        json_values,
        inputs=4_000,
    ),
)
