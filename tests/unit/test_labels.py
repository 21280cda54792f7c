"""Labels of units among scans and codes: they name no product and hide none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.claims import Claim
from evidence.codes import Code
from evidence.identity import MAX_CLAIMS
from evidence.ids import IdForms
from evidence.scans import ScansOfUnit, Sighting
from schemas.messages import Capture, Identity, View
from schemas.words import IdentityMethod
from workers.labels import Labels, with_strays

OWN: Final = "LPN-7QX2M80413"
OTHER: Final = "LPN-7QX2M80414"
GTIN: Final = "4006381333931"
FNSKU: Final = "X001ABCDEF"
SSCC: Final = "106141411234567897"
ALSO_A_PRODUCT: Final = "LPN-PRODUCT1"
CATALOGUE: Final = {GTIN, ALSO_A_PRODUCT}
LABELS: Final = Labels({"fra3": IdForms(), "muc1": IdForms({"lpn": "P[0-9]{6}"})}, lambda code, _: code in CATALOGUE)


def capture(*, unit_id: str = OWN, site: str = "fra3") -> Capture:
    """Return a capture of a unit."""
    return Capture(
        capture_id="01a1f874-3e4d-7c3e-9f41-8d20b6a4e917",
        site=site,
        line="l",
        station="s",
        unit_id=unit_id,
        captured_at=datetime(2026, 11, 20, tzinfo=UTC),
        views=[View(uri="file:///v", sha256="0" * 64, size=1)],
    )


def scans(*codes: str) -> ScansOfUnit:
    """Return scans of these codes, the first one nearest."""
    return ScansOfUnit(
        1000,
        tuple(
            Sighting(scan_id=f"s{number}", station="s", code=code, symbology="", append_ms=1000 - number)
            for number, code in enumerate(codes)
        ),
    )


def sifted(*codes: str, unit_id: str = OWN, site: str = "fra3") -> tuple[list[str], list[str]]:
    """Return which codes may name the product, and which were read off other units."""
    found = LABELS.sift(capture(unit_id=unit_id, site=site), scans(*codes))
    return [scan.code for scan in found.scans.nearest_first], [scan.code for scan in found.strays]


class TestSift:
    """`Labels.sift`."""

    def test_the_units_own_label_hides_no_product(self) -> None:
        """The plate is nearest in time; the product's code behind it is what counts."""
        assert ([GTIN], []) == sifted(OWN, GTIN)
        assert ([GTIN], []) == sifted(OWN.lower(), GTIN)

    def test_another_units_label_is_recorded_and_not_used(self) -> None:
        """It was read off something else."""
        assert ([GTIN], [OTHER]) == sifted(OTHER, GTIN)
        assert ([], [OTHER]) == sifted(OTHER)

    def test_a_label_of_another_scheme_says_nothing(self) -> None:
        """A plate in a tote, a parcel's number on a unit with a plate."""
        assert ([], []) == sifted(OWN, unit_id="tote-0091.3")
        assert ([], []) == sifted(SSCC)

    def test_unknown_codes_of_products_stay(self) -> None:
        """The catalogue is behind, perhaps: a person sees what was read."""
        assert ([FNSKU, "SHELF 7"], []) == sifted(FNSKU, "SHELF 7")

    def test_the_catalogue_wins(self) -> None:
        """Whatever a code looks like: if a product has it, it names the product."""
        assert ([ALSO_A_PRODUCT], []) == sifted(ALSO_A_PRODUCT)

    def test_each_site_has_its_forms(self) -> None:
        """What is a plate at one site is an unknown code at another."""
        assert ([], ["P123457"]) == sifted("P123457", unit_id="P123456", site="muc1")
        assert (["P123457"], []) == sifted("P123457", unit_id="P123456", site="fra3")

    @given(st.lists(st.text(max_size=40), max_size=5), st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
    def test_nothing_is_both(self, codes: list[str], unit_id: str) -> None:
        """Any text, any unit: no scan counts twice, none is made up, and order stays."""
        kept, strays = sifted(*codes, unit_id=unit_id)
        rest = iter(codes)
        assert all(code in rest for code in kept)
        assert set(kept).isdisjoint(strays)
        assert set(strays) <= set(codes)


class TestWithoutOwn:
    """`Labels.without_own`."""

    def test_only_the_units_own_labels_go(self) -> None:
        """Another unit's label in the picture stays, for a person to see."""
        codes = [Code(text, "Code128", confirmed=True, view=0) for text in (OWN, OTHER, GTIN, FNSKU, SSCC)]
        assert [OTHER, GTIN, FNSKU] == [code.text for code in LABELS.without_own(capture(), codes)]


class TestNamesAProduct:
    """`Labels.names_a_product`."""

    @pytest.mark.parametrize(("code", "counts"), [(OWN, False), (OTHER, False), (GTIN, True), (FNSKU, True)])
    def test_a_label_ends_no_wait(self, code: str, counts: bool) -> None:
        """A capture waits for a product's code, not for its own plate."""
        assert counts is LABELS.names_a_product(capture())(scans(code).nearest_first[0])


class TestWithStrays:
    """`with_strays`."""

    def test_strays_are_recorded_and_change_nothing(self) -> None:
        """Product, confidence and conflict stay; each label is named once."""
        before = Identity(product_id="P-1", method=IdentityMethod.SCAN, confidence_ppm=990_000, claims=["scan:P-1"])
        after = with_strays(before, scans(OTHER, OTHER).nearest_first)
        assert ["scan:P-1", f"scan!:?{OTHER}"] == after.claims
        assert (before.product_id, before.method, before.confidence_ppm, before.conflict) == (
            after.product_id,
            after.method,
            after.confidence_ppm,
            after.conflict,
        )
        assert Claim(IdentityMethod.SCAN, None, OTHER, stray=True) == Claim.read(after.claims[1])

    def test_without_strays_nothing_is_new(self) -> None:
        """The usual case."""
        identity = Identity(claims=["scan:P-1"])
        assert with_strays(identity, ()) is identity

    @given(st.integers(0, MAX_CLAIMS), st.integers(0, 20))
    def test_a_record_stays_small(self, said: int, strays: int) -> None:
        """Claims keep their bound, and what sources said comes first."""
        before = Identity(claims=[f"barcode:P-{number}" for number in range(said)])
        after = with_strays(before, scans(*(f"LPN-{number:06}" for number in range(strays))).nearest_first)
        assert before.claims == after.claims[:said]
        assert len(after.claims) == min(MAX_CLAIMS, said + strays)
