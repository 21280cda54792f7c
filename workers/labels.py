"""Labels of units among what was read of one: a scanner that sees a licence plate has not seen a product's code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evidence.claims import Claim
from evidence.codes import Code
from evidence.identity import MAX_CLAIMS
from evidence.ids import IdForms, Whose
from evidence.scans import ScansOfUnit, Sighting
from schemas.messages import Capture, Identity
from schemas.words import IdentityMethod


@dataclass(frozen=True, slots=True)
class Sifted:
    """A unit's scans without labels of units. `strays` read another unit's label: they were made of something else."""

    scans: ScansOfUnit
    strays: tuple[Sighting, ...]


class Labels:
    """Tells labels of units from codes of products, by what the catalogue knows and how ids look at each site."""

    def __init__(self, forms: Mapping[str, IdForms], is_product: Callable[[str, str], bool]) -> None:
        """Take the forms by site, and whether a product of the catalogue has a code of a symbology: that wins."""
        self._forms = forms
        self._is_product = is_product

    def names_a_product(self, capture: Capture) -> Callable[[Sighting], bool]:
        """Return whether a scan may name the product of the capture's unit, as a question."""
        return lambda scan: self._whose(capture, scan.code, scan.symbology) is Whose.A_PRODUCTS

    def sift(self, capture: Capture, scans: ScansOfUnit) -> Sifted:
        """Take the labels of units out of a unit's scans."""
        strays = scans.only(lambda scan: self._whose(capture, scan.code, scan.symbology) is Whose.ANOTHER_UNITS)
        return Sifted(scans.only(self.names_a_product(capture)), strays.nearest_first)

    def without_own(self, capture: Capture, codes: Sequence[Code]) -> list[Code]:
        """Take the unit's own labels out of the codes in its pictures; another unit's stays, as an unknown code."""
        return [code for code in codes if self._whose(capture, code.text, code.symbology) is not Whose.A_UNITS]

    def _whose(self, capture: Capture, code: str, symbology: str) -> Whose:
        if self._is_product(code, symbology):
            return Whose.A_PRODUCTS
        return self._forms[capture.site].whose(code, symbology, unit_id=capture.unit_id)


def with_strays(identity: Identity, strays: Sequence[Sighting]) -> Identity:
    """Record scans of other units among the claims, as far as there is room; they change nothing else."""
    if not strays:
        return identity
    said = dict.fromkeys(str(Claim(IdentityMethod.SCAN, None, scan.code, stray=True)) for scan in strays)
    room = MAX_CLAIMS - len(identity.claims)
    return Identity(
        product_id=identity.product_id,
        method=identity.method,
        confidence_ppm=identity.confidence_ppm,
        conflict=identity.conflict,
        claims=[*identity.claims, *list(said)[:room]],
    )
