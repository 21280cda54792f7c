"""What an id names, a product or one unit, told by its form.

GS1 keys have check digits and need no configuration: a GTIN names a product, with a serial number one piece of it; an
SSCC names one parcel or pallet. The rest is the site's own: the looks of its licence plates (LPN), ASINs and FNSKUs are
written as regular expressions. They are run by RE2, whose time is linear in the text whatever the expression, so no
expression of a site and no label that somebody prints can hold up a line (decision 0051).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

import re2

from evidence.codes import elements, normalise
from schemas.faults import Fatal

MAX_PATTERN: Final = 256  # characters of an expression
_MAX_PROGRAM: Final = 1 << 20  # bytes that one expression may take; RE2 refuses a larger one
GS1_RESOLVER: Final = "https://id.gs1.org"  # the domain of GS1's own Digital Links
_GTIN_14: Final = 14
_ONLY_GTINS: Final = "ITF14"  # a symbology in which fourteen digits without a check digit are nothing
_DIGITS: Final = frozenset("0123456789")


class IdKind(enum.StrEnum):
    """What an id is."""

    GTIN = "gtin"
    SSCC = "sscc"
    LPN = "lpn"
    FNSKU = "fnsku"
    ASIN = "asin"
    OTHER = "other"


class Whose(enum.Enum):
    """What a code that no product has can be, seen from the unit it was read for."""

    A_UNITS = enum.auto()  # the unit's own label, or one of another scheme: says nothing of the product
    ANOTHER_UNITS = enum.auto()  # of the same scheme with another id: it was read off something else
    A_PRODUCTS = enum.auto()  # a product's, of which the catalogue knows nothing


UNIT_KINDS: Final = frozenset({IdKind.SSCC, IdKind.LPN})  # name one thing, never a product
DEFAULT_PATTERNS: Final[Mapping[IdKind, str]] = {  # in the order in which they are tried
    IdKind.LPN: "LPN-?[0-9A-Z]{6,24}",
    IdKind.FNSKU: "X0[0-9A-Z]{8}",
    IdKind.ASIN: "B0[0-9A-Z]{8}",
}


@dataclass(frozen=True, slots=True)
class Id:
    """An id in canonical form: a GTIN in 14 digits, an SSCC in 18, others in upper case.

    `serial` tells pieces of one GTIN apart; empty where the text had none.
    """

    kind: IdKind
    text: str
    serial: str = ""

    @property
    def names_a_unit(self) -> bool:
        """Tell whether the id stands for one thing rather than for all of a product."""
        return self.kind in UNIT_KINDS or bool(self.serial)

    @property
    def uri(self) -> str | None:
        """The id as a GS1 Digital Link, None where it is no key of GS1's."""
        if self.kind is IdKind.SSCC:
            return f"{GS1_RESOLVER}/00/{self.text}"
        if self.kind is IdKind.GTIN:
            serial = f"/21/{quote(self.serial, safe='')}" if self.serial else ""
            return f"{GS1_RESOLVER}/01/{self.text}{serial}"
        return None


class IdForms:
    """What ids look like at one site. Made once at start; reading is pure and never raises."""

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        """Take the site's own expressions by kind; kinds it does not name keep their default.

        An expression must match the whole id, in upper case. One that is empty matches nothing: the site has no such
        ids.

        Raises:
            Fatal: an unknown kind, or an expression that RE2 does not take; names the expression and what is wrong.
        """
        wanted: dict[IdKind, str] = dict(DEFAULT_PATTERNS)
        for name, pattern in (patterns or {}).items():
            if name not in {kind.value for kind in DEFAULT_PATTERNS}:
                known = ", ".join(kind.value for kind in DEFAULT_PATTERNS)
                raise Fatal(f"no pattern can be given for ids of the kind {name!r}; there are {known}")
            wanted[IdKind(name)] = pattern
        self._patterns = {kind: _compiled(kind, pattern) for kind, pattern in wanted.items() if pattern}

    def read(self, text: str, symbology: str = "") -> Id | None:
        """Return what a scanned or written id is, None for what can be none: nothing, control characters, a misread."""
        said = elements(text)
        if "00" in said:
            return Id(IdKind.SSCC, said["00"])
        canonical = normalise(text, symbology)
        if canonical is None:
            return None
        if len(canonical) == _GTIN_14 and _DIGITS.issuperset(canonical) and normalise(canonical, _ONLY_GTINS):
            return Id(IdKind.GTIN, canonical, said.get("21", ""))
        for kind, pattern in self._patterns.items():
            if pattern.fullmatch(canonical):
                return Id(kind, canonical)
        return Id(IdKind.OTHER, canonical)

    def whose(self, text: str, symbology: str = "", *, unit_id: str) -> Whose:
        """Tell what a code is that no product of the catalogue has.

        Only ids of one kind contradict each other: a licence plate in a tote is no sign of another tote.
        """
        found, unit = self.read(text, symbology), self.read(unit_id)
        if found is None:
            return Whose.A_PRODUCTS
        if found == unit:
            return Whose.A_UNITS
        if found.kind not in UNIT_KINDS:
            return Whose.A_PRODUCTS
        return Whose.ANOTHER_UNITS if unit is not None and unit.kind is found.kind else Whose.A_UNITS


class _Matcher(Protocol):
    def fullmatch(self, text: str, /) -> object | None: ...


def _compiled(kind: IdKind, pattern: str) -> _Matcher:
    """Compile one expression.

    Raises:
        Fatal: it is too long, too large or no expression.
    """
    if len(pattern) > MAX_PATTERN:
        raise Fatal(f"the pattern for {kind.value} has {len(pattern)} characters; the limit is {MAX_PATTERN}")
    options = re2.Options()
    options.max_mem = _MAX_PROGRAM
    options.log_errors = False
    try:
        matcher: _Matcher = re2.compile(pattern, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise Fatal(f"the pattern for {kind.value} is refused: {pattern!r}: {said}") from error
    return matcher
