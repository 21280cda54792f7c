"""Codes of products: what was read, and the one form in which every part of the line compares them.

`normalise` is the only home of that form: scanners, catalogues and pictures write the same product in a dozen ways
(UPC-A with and without its leading zero, GS1 element strings with and without brackets, web addresses), and a look-up
finds it only when all of them go through here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import biip
from biip.checksums import gs1_standard_check_digit
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementString
from biip.gs1_messages import GS1Message
from biip.upc import Upc

MAX_CODE: Final = 256  # characters, as in schemas.messages.Scan
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_PRINTED: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)+", re.ASCII)  # a number as it stands below its bars
_IDENTIFIER: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]", re.ASCII)  # ISO/IEC 15424, as scanners may prefix it
_GS1_IDENTIFIERS: Final = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})
_BRACKETS: Final = re.compile(r"\([0-9]{2,4}\)", re.ASCII)
_WEB: Final = re.compile(r"(?P<site>https?://[^/?#]+)(?P<rest>/\S*)", re.ASCII | re.IGNORECASE)
_GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})
# Symbologies that hold nothing but a GTIN: digits that are none were misread.
_RETAIL: Final = frozenset({"EAN13", "EAN8", "UPCA", "UPCE", "ITF14"})
# Dates and the meaning of variable-measure numbers do not change which product is meant.
_CONFIG: Final = biip.ParseConfig(gs1_element_strings_verify_date=False, rcn_verify_variable_measure=False)


@dataclass(frozen=True, slots=True)
class Code:
    """A code read from pixels.

    `text` as decoded, `symbology` as zxing-cpp names it (`EAN13`, `Code128`, `QRCode`, ...), `confirmed` when the
    reading can be relied on, `view` the index into the capture's views.
    """

    text: str
    symbology: str
    confirmed: bool
    view: int


def normalise(text: str, symbology: str = "") -> str | None:
    """Return the canonical form of a code for look-ups, or None for what can name no product.

    A GTIN of 8, 12, 13 or 14 digits with a valid check digit becomes 14 digits, whether it stands alone, in a GS1
    element string (with or without brackets or a symbology identifier) or in a GS1 Digital Link. Any other id (ASIN,
    FNSKU, a shelf label) is itself in upper case with single spaces. None: an SSCC (it names a parcel or pallet) or any
    other GS1 message without a product, control characters, nothing to compare, digits from a retail symbology whose
    check digit does not hold.

    `symbology` helps where the text does not say enough: eight digits read as `UPCE` are a short UPC, not an EAN-8.
    """
    cleaned = _clean(text)
    if cleaned is None:
        return None
    identifier, text = cleaned
    kind = symbology.upper().replace("-", "").replace("_", "")
    if identifier in _GS1_IDENTIFIERS or _BRACKETS.match(text):
        return _product_of(_element_string(text))
    if wrapped := _wrapped(text):
        return _product_of(wrapped)
    found = _number(text, kind)
    if found or kind in _RETAIL or _parcel(text):
        return found
    return _plain(text)


def elements(text: str) -> dict[str, str]:
    """Return the GS1 application identifiers and values of a text; empty for what is no GS1 message.

    A message is an element string (with brackets, with a symbology identifier, or starting with 00 or 01) or a Digital
    Link. A bare SSCC counts as identifier 00; a bare GTIN does not count, `normalise` reads those.
    """
    cleaned = _clean(text)
    if cleaned is None:
        return {}
    identifier, text = cleaned
    if parcel := _parcel(text):
        return {"00": parcel}
    says_so = identifier in _GS1_IDENTIFIERS or _BRACKETS.match(text)
    found = _element_string(text) if says_so else _wrapped(text)
    return {each.ai.ai: each.gtin.as_gtin_14() if each.ai.ai == "01" and each.gtin else each.value for each in found}


def _clean(text: str) -> tuple[str, str] | None:
    """Return the symbology identifier, empty if there is none, and the text in NFKC; None for what is too long."""
    text = _SPACES.sub(" ", unicodedata.normalize("NFKC", text[: MAX_CODE + 1])).strip(" \0")
    identifier = ""
    while match := _IDENTIFIER.match(text):
        identifier, text = match[0], text[match.end() :].strip(" \0")
    return (identifier, text) if len(text) <= MAX_CODE else None


def _number(text: str, kind: str) -> str | None:
    """Return a bare number as 14 digits if it is a GTIN."""
    digits = re.sub("[ -]", "", text) if _PRINTED.fullmatch(text) else text
    if not _DIGITS.fullmatch(digits) or (digits != text and len(digits) == 8):  # noqa: PLR2004 - a date, more likely
        return None
    if kind == "UPCE" and len(digits) <= 8:  # noqa: PLR2004 - six digits, with a number system, with a check digit
        with suppress(ValueError, biip.BiipException):
            return Upc.parse(digits, config=_CONFIG).as_gtin_12().zfill(14)
    return digits.zfill(14) if len(digits) in _GTIN_LENGTHS and _check_digit_holds(digits) else None


def _element_string(text: str) -> Sequence[GS1ElementString]:
    """Return what a GS1 element string says, with or without brackets; nothing if it is broken."""
    with suppress(ValueError, biip.BiipException):
        parse = GS1Message.parse_hri if text.startswith("(") else GS1Message.parse
        return parse(text, config=_CONFIG).element_strings
    return ()


def _wrapped(text: str) -> Sequence[GS1ElementString]:
    """Return what a GS1 message says that does not say it is one, or a Digital Link."""
    if match := _WEB.fullmatch(text):
        with suppress(ValueError, biip.BiipException):
            return GS1DigitalLinkURI.parse(match["site"].lower() + match["rest"]).element_strings
    return _element_string(text) if text.startswith("01") else ()


def _product_of(elements: Sequence[GS1ElementString]) -> str | None:
    """Return the GTIN of the thing itself: identifier 01, not 02, which is what a parcel contains."""
    return next((each.gtin.as_gtin_14() for each in elements if each.ai.ai == "01" and each.gtin), None)


def _parcel(text: str) -> str:
    """Return a bare SSCC as 18 digits, empty if it is none."""
    digits = text.removeprefix("00") if len(text) == 20 else text  # noqa: PLR2004 - identifier 00 and an SSCC
    return digits if len(digits) == 18 and _check_digit_holds(digits) else ""  # noqa: PLR2004 - an SSCC


def _check_digit_holds(digits: str) -> bool:
    """Tell whether text is digits that end in their GS1 check digit. Zeros alone would, and name nothing."""
    usable = _DIGITS.fullmatch(digits) is not None and digits.strip("0") != ""
    return usable and gs1_standard_check_digit(digits[:-1]) == int(digits[-1])


def _plain(text: str) -> str | None:
    """Return an id that is no number of GS1's: upper case, at least one letter or digit."""
    words = unicodedata.normalize("NFKC", text.upper())
    if words != text and not text.isascii():
        return normalise(words)  # its capitals may say more than an id: ß becomes SS, and ]CSS a symbology identifier
    usable = len(words) <= MAX_CODE and words.isprintable() and any(character.isalnum() for character in words)
    return words if usable else None
