"""What a folder of pictures came to: outcomes, damage against labels, codes against what they should say."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from rich import box
from rich.table import Table

from cli.album import auroc
from cli.asking import Answer
from cli.summary import percentile
from cli.wording import verdict_word
from evidence.claims import MAX_CODE_SHOWN
from schemas.words import IdentityMethod

_CONTROLS: Final = re.compile(r"<[A-Z]{2,3}[1-4]?>")  # how the code reader spells control characters, `<SOH>`


class Reading(enum.StrEnum):
    """How a picture's code came out."""

    RIGHT = "right"
    WRONG = "wrong"  # a reading that counts says something else
    UNREAD = "unread"
    NONE = "none"  # nobody knows what it should say


class ScoreCard(msgspec.Struct, frozen=True, kw_only=True):
    """The totals. Fields about labels or codes are None where the manifest says nothing of them."""

    pictures: int
    answered: int
    outcomes: dict[str, int]
    p50_ms: float
    p99_ms: float
    seconds: float
    damaged: int | None = None
    damaged_flagged: int | None = None
    intact: int | None = None
    intact_flagged: int | None = None
    auroc: float | None = None
    codes: int | None = None
    codes_right: int | None = None
    codes_wrong: int | None = None
    identified: int | None = None  # pictures whose product is the one with the expected code
    without_code: int | None = None
    read_where_none: int | None = None

    def render(self) -> Table:
        """Return the totals as a table."""
        table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        table.add_row("pictures", str(self.pictures), f"{self.answered} with an outcome, in {self.seconds:.0f} s")
        table.add_row("outcomes", "", ", ".join(f"{number} {word}" for word, number in self.outcomes.items()))
        table.add_row("from sending to decision", "", f"p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms")
        if self.damaged is not None:
            table.add_row("labelled damaged", str(self.damaged), f"{self.damaged_flagged} flagged")
            table.add_row("labelled intact", str(self.intact), f"{self.intact_flagged} flagged")
        if self.auroc is not None:
            table.add_row("AUROC", f"{self.auroc:.3f}", "chance that a damaged picture scores above an intact one")
        if self.codes is not None:
            read = f"{self.codes_right} read right, {self.codes_wrong} wrong, {self.identified} identified by it"
            table.add_row("codes expected", str(self.codes), read)
            table.add_row("without a code", str(self.without_code), f"{self.read_where_none} read as if they had one")
        return table


def score_card(answers: Sequence[Answer], *, seconds: float) -> ScoreCard:
    """Compute the totals."""
    outcomes = Counter(verdict_word(one.decision) if one.decision else "refused" for one in answers if not one.failed)
    delays_ms = sorted(one.ms for one in answers if one.decision is not None)
    labelled = [(one, one.photo.damaged) for one in answers if one.photo.damaged is not None]
    flagged = Counter(bool(damaged) for one, damaged in labelled if _asks_for_a_stop(one))
    scored = [
        (one.decision.score, bool(damaged))
        for one, damaged in labelled
        if one.decision and one.decision.score is not None
    ]
    readings = [(one, reading_of(one)) for one in answers if one.photo.expected_text]
    empty = [one for one in answers if one.photo.expected_text == ""]
    return ScoreCard(
        pictures=len(answers),
        answered=sum(not one.failed for one in answers),
        outcomes=dict(outcomes.most_common()),
        p50_ms=percentile(delays_ms, 0.5),
        p99_ms=percentile(delays_ms, 0.99),
        seconds=round(seconds, 1),
        damaged=sum(bool(damaged) for _, damaged in labelled) if labelled else None,
        damaged_flagged=flagged[True] if labelled else None,
        intact=sum(not damaged for _, damaged in labelled) if labelled else None,
        intact_flagged=flagged[False] if labelled else None,
        auroc=auroc(scored),
        codes=len(readings) if readings else None,
        codes_right=sum(mark is Reading.RIGHT for _, mark in readings) if readings else None,
        codes_wrong=sum(mark is Reading.WRONG for _, mark in readings) if readings else None,
        identified=sum(_identified(one) for one, _ in readings) if readings else None,
        without_code=len(empty) if readings else None,
        read_where_none=sum(bool(_read(one)) for one in empty) if readings else None,
    )


def reading_of(answer: Answer) -> Reading:
    """Compare the codes that were read, and count, with the one that was expected."""
    if not answer.photo.expected_text:
        return Reading.NONE
    read = _read(answer)
    right = _right_claims(answer)
    if read & right:
        return Reading.RIGHT
    return Reading.WRONG if read else Reading.UNREAD


def _read(answer: Answer) -> set[str]:
    """Return what confirmed codes say; a code read only once (`barcode~`) counts where the catalogue has it."""
    identity = answer.decision.identity if answer.decision is not None else None
    claims = identity.claims if identity is not None else []
    said = [_CONTROLS.sub("", claim) for claim in claims]
    sure = {claim.partition(":")[2] for claim in said if claim.startswith("barcode:")}
    likely = {claim.partition(":")[2] for claim in said if claim.startswith("barcode~:")}
    return sure | {text for text in likely if not text.startswith("?")}


def _right_claims(answer: Answer) -> set[str]:
    """Return how a claim of the expected code may be written: its product, or the code itself as claims show it."""
    forms = {answer.photo.code, " ".join((answer.photo.expected_text or "").upper().split())}
    shown = {f"?{_shown(form)}" for form in forms if form}
    return shown | {answer.photo.product_id} if answer.photo.product_id else shown


def _shown(code: str) -> str:
    """Write a code as a claim does (`evidence.identity`): printable ASCII, and not much of it."""
    return "".join(letter for letter in code if letter.isascii() and letter.isprintable())[:MAX_CODE_SHOWN]


def _identified(answer: Answer) -> bool:
    identity = answer.decision.identity if answer.decision is not None else None
    if identity is None or identity.method is not IdentityMethod.BARCODE:
        return False
    return identity.product_id in _right_claims(answer)


def _asks_for_a_stop(answer: Answer) -> bool:
    decision = answer.decision
    if decision is None or decision.score is None or decision.threshold is None:
        return False
    return decision.score >= decision.threshold
