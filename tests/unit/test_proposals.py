"""What a verdict on a stop tells the gallery."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from budget.records import Record
from schemas.codec import encode
from schemas.messages import Decision, Disposition, Identity, Sidelined, View
from schemas.words import Action, Divert, IdentityMethod, Outcome, Verdict
from workers.proposals import proposal

CAPTURE = "0199a3f0-7a10-7c3e-9b1a-6f2d8c0e4b57"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
VIEW = View(uri="file:///pictures/a.jpg", sha256="0" * 64, size=10)
BY_SCAN = Identity(product_id="P-1", method=IdentityMethod.SCAN, confidence_ppm=990_000)


def record(
    identity: Identity | None = BY_SCAN, *, divert: Divert = Divert.DAMAGE, pictures: list[View] | None = None
) -> Record:
    """Return the record of a stop, or of a plain pass."""
    decision = Decision(
        capture_id=CAPTURE,
        site="fra1",
        line="line-1",
        station="s-1",
        unit_id="unit-1",
        captured_at=NOW,
        identity=identity,
        outcome=Outcome.DECIDED,
        action=Action.SIDELINE,
        divert=divert,
        decide_by=NOW,
        decided_at=NOW,
    )
    stop = Sidelined(
        capture_id=CAPTURE,
        site="fra1",
        line="line-1",
        station="s-1",
        unit_id="unit-1",
        divert=divert,
        pictures=[VIEW] if pictures is None else pictures,
        decide_by=NOW,
        decided_at=NOW,
    )
    sidelined = None if divert is Divert.NONE else encode(stop)
    return Record(CAPTURE, Outcome.DECIDED, "", "0" * 64, encode(decision), sidelined, "", created=False)


def said(verdict: Verdict) -> Disposition:
    """Return ann's verdict."""
    return Disposition(
        disposition_id="d-1", site="fra1", associate_id="ann", judged_at=NOW, verdict=verdict, capture_id=CAPTURE
    )


class TestProposal:
    """proposal."""

    def test_a_first_clearing_proposes_the_capture(self) -> None:
        """With its views as they were announced, whose they are and who cleared it; the same again each time."""
        reference = proposal(record(), said(Verdict.SELLABLE), first=True)

        assert reference is not None
        assert reference.judged is not None
        assert (f"capture.{CAPTURE}", "P-1", [VIEW]) == (reference.reference_id, reference.product_id, reference.views)
        assert ("unit-1", "ann", Verdict.SELLABLE) == (
            reference.judged.unit_id,
            reference.judged.associate_id,
            reference.judged.verdict,
        )
        assert reference == proposal(record(), said(Verdict.SELLABLE), first=True)

    def test_an_audit_counts_like_any_stop(self) -> None:
        """The line chose it, a person looked."""
        assert proposal(record(divert=Divert.AUDIT), said(Verdict.SELLABLE), first=True) is not None

    def test_a_plain_pass_never_counts(self) -> None:
        """Nobody but the line can choose what becomes a reference."""
        assert proposal(record(divert=Divert.NONE), said(Verdict.SELLABLE), first=True) is None

    def test_a_later_verdict_cannot_bring_it_in(self) -> None:
        """The first one counts; a later one can only take it back."""
        assert proposal(record(), said(Verdict.SELLABLE), first=False) is None
        assert proposal(record(), said(Verdict.DAMAGED), first=False) is not None

    @pytest.mark.parametrize("verdict", [Verdict.DAMAGED, Verdict.WRONG_ITEM])
    def test_what_was_found_speaks_against(self, verdict: Verdict) -> None:
        """Damage and wrong items are told, first or revised."""
        for first in (True, False):
            reference = proposal(record(), said(verdict), first=first)
            assert reference is not None
            assert reference.judged is not None
            assert verdict is reference.judged.verdict

    def test_unsure_says_nothing(self) -> None:
        """It neither proposes nor contradicts."""
        assert proposal(record(), said(Verdict.UNSURE), first=True) is None

    @pytest.mark.parametrize(
        "identity",
        [
            None,
            Identity(),
            msgspec.structs.replace(BY_SCAN, method=IdentityMethod.IMAGE),
            msgspec.structs.replace(BY_SCAN, conflict=True),
        ],
        ids=["none", "empty", "by looks", "conflict"],
    )
    def test_only_a_code_without_conflict_says_which_product_it_is(self, identity: Identity | None) -> None:
        """A look must not teach the gallery what it looks like."""
        assert proposal(record(identity), said(Verdict.SELLABLE), first=True) is None

    def test_a_stop_without_digests_is_left_alone(self) -> None:
        """What an older version recorded cannot be proven."""
        assert proposal(record(pictures=[]), said(Verdict.SELLABLE), first=True) is None
