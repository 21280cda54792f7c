"""What must be seen of days on which products change their design, or somebody wants damage to pass for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from booth.changes import POISON_MARK
from booth.station import Sent
from cli.checker.findings import Finding, Rule
from cli.checker.reading import Reading
from cli.here import Line
from gallery.facts import Facts, State
from gallery.lives import Lives
from gallery.store import GalleryStore
from schemas.messages import Decision
from schemas.words import Divert, Outcome, Verdict

BORN: Final = "capture."  # ids of references that were captures begin so
FEWEST: Final = 30  # captures on each side before shares are compared
OFTEN: Final = 15  # false alarms on a new design after which it has to be known; the rules ask for five units
FALL: Final = 0.5  # false alarms on the new design have to fall to this share of what they were
ATTACK: Final = 5  # damaged units that have to be cleared wrongly before one can speak of an attack
KEPT: Final = 0.5  # of the share of damaged units found in the first half of the attack, in the second

Row = tuple[str, str, str]  # what, how many, and what that means


@dataclass(frozen=True, slots=True)
class Played:
    """One decided capture of a product in question, and what is true of it."""

    decision: Decision
    sent: Sent

    @property
    def at_ms(self) -> float:
        """Return when the booth sent it."""
        return self.sent.sent_at.timestamp() * 1000

    @property
    def stopped(self) -> bool:
        """Tell whether it was stopped for damage."""
        return self.decision.divert is Divert.DAMAGE


async def learned(line: Line, product_ids: Iterable[str]) -> dict[str, Facts]:
    """Return the references of some products that were captures once, by id."""
    store = GalleryStore(line.endpoints.redis_gallery_url)
    lives = Lives(store.link)
    try:
        casts = [await lives.of(each) for each in sorted(set(product_ids))]
    finally:
        await store.close()
    return {key: facts for cast in casts for key, facts in cast.facts.items() if key.startswith(BORN)}


def judge_redesign(
    reading: Reading, sent: Mapping[str, Sent], facts: Mapping[str, Facts]
) -> tuple[tuple[Row, ...], tuple[Finding, ...]]:
    """Return rows for the summary and what was not as promised: new designs were learned, false alarms on them fell."""
    turned = _marked(reading, sent, "turned")
    products = {each.sent.truth.product_id for each in turned}
    promoted = {key: each for key, each in facts.items() if each.state.held}
    first_ms: dict[str, int] = {}
    for each in promoted.values():
        first_ms[each.product_id] = min(each.since_ms, first_ms.get(each.product_id, each.since_ms))
    intact = [each for each in turned if not each.sent.truth.damaged]
    before = [each for each in intact if each.at_ms < first_ms.get(each.sent.truth.product_id, float("inf"))]
    after = [each for each in intact if each.at_ms >= first_ms.get(each.sent.truth.product_id, float("inf"))]
    rows = (
        (
            "new designs learned",
            f"{len(first_ms)} of {len(products)}",
            f"{len(promoted)} references, each by agreement",
        ),
        ("false alarms on them before", _share(before), "intact units of the new design until it was learned"),
        ("and after", _share(after), "the same, since"),
    )
    findings = [*_nothing_damaged(promoted, sent)]
    for product_id in sorted(products - set(first_ms)):
        alarms = sum(each.stopped for each in before if each.sent.truth.product_id == product_id)
        if alarms >= OFTEN:
            findings.append(
                Finding(Rule.GALLERY, f"the new design of {product_id} was not learned after {alarms} false alarms")
            )
    if not first_ms:
        findings.append(Finding(Rule.GALLERY, "no new design was learned"))
    if min(len(before), len(after)) >= FEWEST and _rate(after) > FALL * _rate(before):
        findings.append(
            Finding(Rule.GALLERY, f"false alarms on new designs fell from {_share(before)} to {_share(after)} only")
        )
    if len(after) < FEWEST:
        findings.append(Finding(Rule.GALLERY, f"only {len(after)} intact units came after their design was learned"))
    return rows, tuple(findings)


def judge_poison(
    reading: Reading, sent: Mapping[str, Sent], facts: Mapping[str, Facts]
) -> tuple[tuple[Row, ...], tuple[Finding, ...]]:
    """Return rows for the summary and what was not as promised: nothing damaged got in, and damage is found as ever."""
    run = _marked(reading, sent, POISON_MARK)
    half = len(run) // 2
    first, second = run[:half], run[half:]
    wrongly = [
        each
        for each in run
        if any(verdict.verdict is Verdict.SELLABLE for verdict in reading.verdicts.get(each.decision.capture_id, ()))
    ]
    promoted = {key: each for key, each in facts.items() if each.state.held}
    candidates = sum(each.state is State.CANDIDATE for each in facts.values())
    rows = (
        ("damaged units in a row", f"{len(run)}", f"of one product; {len(wrongly)} cleared wrongly by two associates"),
        ("of them references", f"{len(_damaged(promoted, sent))}", f"{candidates} candidates wait in vain"),
        ("found in the first half", _share(first), "of these units, stopped for damage"),
        ("found in the second half", _share(second), "no fewer, had nothing been learned from the lies"),
    )
    findings = [*_nothing_damaged(promoted, sent)]
    if len(wrongly) < ATTACK:
        findings.append(Finding(Rule.GALLERY, f"only {len(wrongly)} damaged units were cleared: that is no attack"))
    if half >= FEWEST and _rate(second) < KEPT * _rate(first):
        findings.append(Finding(Rule.GALLERY, f"damage found fell from {_share(first)} to {_share(second)}"))
    return rows, tuple(findings)


def _marked(reading: Reading, sent: Mapping[str, Sent], mark: str) -> list[Played]:
    """Return the decided captures of marked units, in the order in which they came."""
    found = [
        Played(decision, sent[capture_id])
        for capture_id, decision in reading.decided().items()
        if decision.outcome is Outcome.DECIDED
        and capture_id in sent
        and sent[capture_id].truth.facts.get(mark) == "yes"
    ]
    return sorted(found, key=lambda each: each.sent.index)


def _damaged(promoted: Mapping[str, Facts], sent: Mapping[str, Sent]) -> list[str]:
    """Return the references that show damage."""
    return [key for key, each in promoted.items() if each.capture_id in sent and sent[each.capture_id].truth.damaged]


def _nothing_damaged(promoted: Mapping[str, Facts], sent: Mapping[str, Sent]) -> list[Finding]:
    damaged = _damaged(promoted, sent)
    return [Finding(Rule.GALLERY, f"{len(damaged)} references show damaged units: {damaged[0]}")] if damaged else []


def _rate(played: Sequence[Played]) -> float:
    return sum(each.stopped for each in played) / max(1, len(played))


def _share(played: Sequence[Played]) -> str:
    stopped = sum(each.stopped for each in played)
    return f"{stopped} of {len(played)} ({100 * _rate(played):.0f} %)"
