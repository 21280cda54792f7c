"""One row per picture: what `sideline inspect` prints."""

from __future__ import annotations

from typing import Final

import msgspec

from cli.asking import Answer
from cli.score_card import Reading, reading_of
from cli.story import likely_kinds
from cli.wording import log_odds, verdict_word
from schemas.words import IdentityMethod

FILE_WIDTH: Final = 44
PRODUCT_WIDTH: Final = 46
_METHODS: Final = {
    IdentityMethod.SCAN: "scan",
    IdentityMethod.BARCODE: "code",
    IdentityMethod.IMAGE: "looks",
}
HEADING: Final = (
    f"{'file':<{FILE_WIDTH}}  {'outcome':<12}  {'score':>6} {'from':>6}  {'ms':>5}  {'product':<{PRODUCT_WIDTH}}  kinds"
)
_MARKS: Final = {Reading.RIGHT: "right", Reading.WRONG: "WRONG", Reading.UNREAD: "unread", Reading.NONE: ""}


def row(answer: Answer) -> str:
    """Return a picture's row."""
    file = answer.photo.name
    shown = file if len(file) <= FILE_WIDTH else "..." + file[-FILE_WIDTH + 3 :]
    start = f"{shown:<{FILE_WIDTH}}  {outcome(answer):<12}"
    decision = answer.decision
    if decision is None:
        return f"{start}  {why_not(answer)}"
    kinds = ", ".join(likely_kinds(decision.evidence)) if decision.evidence else decision.reason
    product = f"{product_words(answer)} {_MARKS[reading_of(answer)]}".strip()
    score, threshold = log_odds(decision.score), log_odds(decision.threshold)
    return f"{start}  {score:>6} {threshold:>6}  {answer.ms:5.0f}  {product:<{PRODUCT_WIDTH}}  {kinds}".rstrip()


def outcome(answer: Answer) -> str:
    """Return what became of a picture in a word."""
    if answer.decision is not None:
        return verdict_word(answer.decision)
    return "refused" if answer.refused is not None else "no answer"


def why_not(answer: Answer) -> str:
    """Say why a picture has no decision."""
    return f"{answer.refused.reason}: {answer.refused.message}" if answer.refused is not None else answer.failed


def product_words(answer: Answer) -> str:
    """Say what a picture's unit is thought to be: the product, else the codes that were read."""
    identity = answer.decision.identity if answer.decision is not None else None
    if identity is None:
        return ""
    if identity.product_id is not None:
        conflict = " (disputed)" if identity.conflict else ""
        return f"{_METHODS.get(identity.method, 'somehow')} {identity.product_id}{conflict}"
    read = [claim.partition(":")[2] for claim in identity.claims if claim.startswith("barcode")]
    return f"read {', '.join(text.removeprefix('?') for text in read)}" if read else ""


def row_json(answer: Answer) -> str:
    """Return a picture's row as JSON, with the whole decision."""
    mark = reading_of(answer)
    fields: dict[str, object] = {
        "file": answer.photo.name,
        "capture_id": answer.capture_id,
        "outcome": outcome(answer),
        "ms": round(answer.ms, 1),
        "label": answer.photo.label,
        "expected_text": answer.photo.expected_text,
        "code": mark.value,
        "decision": answer.decision,
    }
    if answer.decision is None:
        fields["why"] = why_not(answer)
    return msgspec.json.encode(fields).decode()
