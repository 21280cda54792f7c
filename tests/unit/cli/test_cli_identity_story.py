"""How sure, and why, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.identity_story import claim_words, identity_story, wrong_item_words
from cli.wording import sidelined_line
from evidence.identity_limits import IdentityLimits
from schemas.messages import Identity, Sidelined
from schemas.words import Divert, IdentityMethod

LIMITS = IdentityLimits(false_accepts=20_000)
SWAPPED = ["scan:A", "barcode~:C", "image:B"]


def told(*claims: str, method: IdentityMethod = IdentityMethod.SCAN, ppm: int = 990_000, conflict: bool = False) -> str:
    """Tell of a unit that is thought to be A."""
    identity = Identity(product_id="A", method=method, confidence_ppm=ppm, conflict=conflict, claims=list(claims))
    return "\n".join(identity_story(identity, LIMITS))


class TestStory:
    """identity_story."""

    def test_one_source(self) -> None:
        """What it says, and how often it is right."""
        assert "the scanner read a code of A; 99 % of such answers are right" == told("scan:A", "image~:B")

    def test_looks(self) -> None:
        """What makes a look believed: few strangers pass."""
        assert (
            "it looks like A more than at most 2% of strangers look like anything; 98.64 % of such answers are right"
            == told("image:A", method=IdentityMethod.IMAGE, ppm=986_425)
        )

    def test_without_limits_no_rate_is_told(self) -> None:
        """A decision of another calibration is told without its numbers."""
        identity = Identity(product_id="A", method=IdentityMethod.SCAN, confidence_ppm=990_000, claims=["scan:A"])
        assert ["the scanner read a code of A; nothing else confirms it"] == identity_story(identity, None)

    def test_agreement(self) -> None:
        """Sources that agree are named, each once."""
        assert (
            "3 sources agree: the scanner read a code of A, the picture shows a code of A, it looks like A; "
            "all of them would have to be wrong" == told("scan:A", "barcode:A", "image:A", ppm=999_999)
        )

    def test_conflict(self) -> None:
        """Both sides, and what the chance means."""
        assert (
            "a wrong item, perhaps: the scanner read a code of A, but it looks like B\n"
            "57.67 % is its chance given that exactly one of them is right; no reference speaks of its damage"
            == told(*SWAPPED, ppm=576_700, conflict=True)
        )

    def test_a_sibling(self) -> None:
        """A look at another product that does not contradict is told, and why it does not."""
        assert told("scan:A", "image:B").endswith("it looks like B, too, but not so clearly that it contradicts")

    def test_nothing(self) -> None:
        """Without a product there is a reason."""
        assert ["no source that counts names a product; weak ones are too often wrong"] == identity_story(
            Identity(claims=["image~:A"]), LIMITS
        )


class TestClaims:
    """claim_words and wrong_item_words."""

    @pytest.mark.parametrize(
        ("claim", "words"),
        [
            ("scan:A", "scan: A"),
            ("barcode~:A", "barcode: A (weak)"),
            ("scan:?X0014KQZ7T", "scan: unknown code X0014KQZ7T"),
            ("scan!:?LPN-7", "scan: label of another unit LPN-7"),
            ("smell:A", "unknown: A"),
        ],
    )
    def test_each(self, claim: str, words: str) -> None:
        """Weak ones, unknown codes and methods of later versions."""
        assert words == claim_words(claim)

    def test_only_what_counts_disagrees(self) -> None:
        """Weak claims, unknown codes and labels of other units are no side of a conflict."""
        assert "" == wrong_item_words(["scan:A", "image~:B", "scan:?C", "scan!:?D", "barcode:A"])
        assert "the scanner read a code of A and the picture shows a code of A, but it looks like B" == (
            wrong_item_words(["scan:A", "barcode:A", "image:B"])
        )


def test_a_wrong_item_on_the_tail() -> None:
    """Whoever follows the sidelined topic reads what disagrees."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    event = Sidelined(
        capture_id="c", site="s", line="l", station="st", unit_id="u", product_id="A", claims=SWAPPED,
        divert=Divert.IDENTITY, decide_by=now, decided_at=now,
    )  # fmt: skip
    assert "wrong item? the scanner read a code of A, but it looks like B" in sidelined_line(event).plain
