"""One line per event, for people: what `sideline tail` prints and other commands quote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.text import Text

from cli.identity_story import wrong_item_words
from cli.screen import plain_json
from schemas.codec import NO_DOCUMENT
from schemas.messages import DeadLetter, Decision, Disposition, Identity, Sidelined
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome, Severity
from streams.delivery import Delivery

STYLES: Final = {
    "pass": "green",
    "damage": "bold red",
    "identity": "bold magenta",
    "audit": "cyan",
    "withheld": "yellow",
    "undetermined": "bold yellow",
    "rejected": "red",
}
_IDENTITY: Final = {
    IdentityMethod.SCAN: "by scan",
    IdentityMethod.BARCODE: "by the code in the picture",
    IdentityMethod.IMAGE: "by its looks",
}


def verdict_word(decision: Decision) -> str:
    """Return the one word that says what became of a capture: a key of `STYLES`."""
    if decision.outcome != Outcome.DECIDED:
        return decision.outcome.value
    if decision.divert != Divert.NONE:
        return decision.divert.value
    if decision.withheld:
        return "withheld"
    return "pass" if decision.action == Action.PASS else decision.action.value


def log_odds(micro: int | None) -> str:
    """Write micro-log-odds for people."""
    return "none" if micro is None else f"{micro / MICRO:+.2f}"


def tokens(micro: int | None) -> str:
    """Write millionths of a token for people."""
    return "none" if micro is None else f"{micro / MICRO:.2f}"


def moment(when: datetime) -> str:
    """Write a time of day in UTC with milliseconds."""
    return when.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def identity_words(identity: Identity | None) -> str:
    """Say what the unit is thought to be."""
    if identity is None or identity.product_id is None:
        return "not identified"
    how = _IDENTITY.get(identity.method, "somehow")
    sure = f"{identity.confidence_ppm / 10_000:.0f} %"
    return f"{identity.product_id} {how}, {sure}" + (", sources disagree" if identity.conflict else "")


def decision_line(decision: Decision) -> Text:
    """Say a decision in a line."""
    word = verdict_word(decision)
    line = Text(f"{moment(decision.decided_at)}  {_seq(decision.seq)}  ")
    line.append(f"{word:<12}", style=STYLES.get(word, ""))
    if decision.score is not None and decision.threshold is not None:
        sign = "≥" if decision.score >= decision.threshold else "<"
        line.append(f"  score {log_odds(decision.score)} {sign} {log_odds(decision.threshold)}")
    elif decision.reason:
        line.append(f"  {decision.reason}")
    line.append(f"  {identity_words(decision.identity)}  unit {decision.unit_id}  ")
    line.append(decision.capture_id, style="dim")
    return line


def sidelined_line(event: Sidelined) -> Text:
    """Say a divert in a line."""
    line = Text(f"{moment(event.decided_at)}  {_seq(event.seq)}  ")
    line.append(f"{event.divert.value:<12}", style=STYLES.get(event.divert.value, ""))
    if event.kinds:
        line.append(f"  {', '.join(kind.value for kind in event.kinds)}")
    if event.divert is Divert.IDENTITY and (disagreement := wrong_item_words(event.claims)):
        line.append(f"  wrong item? {disagreement}")
    if event.severity not in {Severity.UNKNOWN, Severity.NONE}:
        line.append(f"  {event.severity.value}")
    line.append(f"  {event.product_id or 'not identified'}  unit {event.unit_id}  at {event.line}  ")
    line.append(event.capture_id, style="dim")
    return line


def dead_line(delivery: Delivery, letter: DeadLetter) -> Text:
    """Say a dead letter in a line: why, from where, and what it was."""
    line = Text(f"{moment(letter.failed_at)}  ")
    line.append(f"{letter.reason:<16}", style="bold red")
    line.append(f"  {letter.message}  ")
    size = len(delivery.value or b"")
    line.append(
        f"from {letter.topic}[{letter.partition}]@{letter.offset}, {size} bytes, {letter.connector}", style="dim"
    )
    return line


def disposition_line(disposition: Disposition) -> Text:
    """Say a verdict in a line."""
    subject = disposition.capture_id or f"unit {disposition.unit_id}"
    kinds = f" ({', '.join(kind.value for kind in disposition.kinds)})" if disposition.kinds else ""
    line = Text(f"{moment(disposition.judged_at)}  {disposition.verdict.value}{kinds} by {disposition.associate_id}  ")
    line.append(subject, style="dim")
    return line


def record_json(delivery: Delivery) -> str:
    """Write a whole record as one line of JSON: value as it is where it is JSON, else as text."""
    body = delivery.value or b""
    try:
        value: object = msgspec.json.decode(body)
    except NO_DOCUMENT:
        value = body.decode("utf-8", "backslashreplace")
    record = {
        "topic": delivery.topic,
        "partition": delivery.partition,
        "offset": delivery.offset,
        "append_ms": delivery.append_ms,
        "key": (delivery.key or b"").decode("utf-8", "backslashreplace"),
        "headers": {name: raw.decode("utf-8", "backslashreplace") for name, raw in delivery.headers},
        "value": value,
    }
    return plain_json(msgspec.json.encode(record))


def _seq(seq: int | None) -> str:
    return f"#{seq:<6}" if seq is not None else "       "
