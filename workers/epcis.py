"""From a sideline or a verdict to the EPCIS event that partners read. Pure: the same fact gives the same bytes.

An event is made of its message and the file of sites, of no clock and no earlier event, so that whatever is delivered
again is told again in the same words under the same `eventID`. Which word stands for what is in decision 0050.
"""

from __future__ import annotations

import re
import uuid
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from evidence.ids import GS1_RESOLVER, Id, IdForms, IdKind
from schemas.epcis import ObjectEvent, PersistentDisposition, Place
from schemas.faults import Fatal, Poison, Reason
from schemas.messages import Disposition, Sidelined
from schemas.words import CbvDisposition, Severity, Verdict
from settings.sites import SiteBook

_EVENTS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sideline:epcis")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")  # RFC 3986
_GLN: Final = re.compile(r"[0-9]{13}")
_WIDEST: Final = timedelta(hours=14)  # an offset that EPCIS can write
T = TypeVar("T")


class SiteNames:
    """What one site's units, products, places and times are called outside."""

    def __init__(self, site: str, book: SiteBook) -> None:
        """Check what the file says of the site.

        Raises:
            Fatal: a place that is neither GLN nor URI, an unknown time zone, a pattern that cannot be used.
        """
        known = book.of(site)
        if not _ABSOLUTE.fullmatch(book.base + "x") or book.base[-1] not in ":/":
            raise Fatal(f"base {book.base!r} in the file of sites must begin a URI and end in : or /")
        self._site = site
        self._base = book.base
        self._forms = IdForms(known.ids)
        self._zone = _zone(site, known.zone)
        self.location = _place(site, known.location) or self._private("site", site)
        self.review = _place(site, known.review) or self._private("site", site, "review")
        self._stations = {name: _place(site, place) for name, place in known.stations.items()}

    def station(self, line: str, station: str) -> str:
        """Return the URI of where a station looks at units."""
        return self._stations.get(f"{line}/{station}") or self._private("site", self._site, line, station)

    def unit(self, unit_id: str) -> str:
        """Return the URI of a unit: a Digital Link where its id is an SSCC, or a GTIN with a serial number."""
        found = self._forms.read(unit_id)
        link = found.uri if found is not None and found.names_a_unit else None
        return link or self._private("unit", self._site, unit_id)

    def product(self, product_id: str) -> str:
        """Return the URI of a product: a Digital Link where its id is a GTIN."""
        found = self._forms.read(product_id)
        link = Id(found.kind, found.text).uri if found is not None and found.kind is IdKind.GTIN else None
        return link or self._private("product", product_id)

    def mismatch(self, unit_id: str) -> CbvDisposition:
        """Return what a wrong item contradicts: a unit id that names the product and the piece, or only the product."""
        found = self._forms.read(unit_id)
        of_piece = found is not None and found.kind is IdKind.GTIN and bool(found.serial)
        return CbvDisposition.MISMATCH_INSTANCE if of_piece else CbvDisposition.MISMATCH_CLASS

    def offset(self, moment: datetime) -> str:
        """Return the offset of the site's clocks at a time, as +hh:mm.

        Raises:
            Poison: `unreadable`, at the ends of the calendar a time may have none.
        """
        try:
            offset = moment.astimezone(self._zone).utcoffset() or timedelta(0)
        except OverflowError as error:
            raise Poison(Reason.UNREADABLE, f"{moment.isoformat()} is no time in the zone {self._zone}") from error
        if abs(offset) > _WIDEST:
            raise Poison(Reason.UNREADABLE, f"{moment.isoformat()} has the offset {offset} in the zone {self._zone}")
        minutes = round(abs(offset) / timedelta(minutes=1))
        return f"{'-' if offset < timedelta(0) else '+'}{minutes // 60:02}:{minutes % 60:02}"

    def _private(self, *parts: str) -> str:
        """Return a URI of our own for what has no identifier; ids hold nothing that a URI would have to escape."""
        return self._base + self._base[-1].join(parts)


def site_names(book: SiteBook, sites: Mapping[str, object]) -> dict[str, SiteNames]:
    """Return the names of every site.

    Raises:
        Fatal: what the file says of one cannot be used.
    """
    return {site: SiteNames(site, book) for site in sites}


def of_sidelined(sidelined: Sidelined, names: SiteNames) -> ObjectEvent:
    """Tell that the line sent a unit to a person: not sellable until that person has looked.

    Raises:
        Poison: `unreadable`, a time that the site's zone cannot tell.
    """
    return ObjectEvent(
        event_id=_event_id(sidelined.site, "sidelined", sidelined.capture_id),
        event_time=sidelined.decided_at,
        event_time_zone_offset=names.offset(sidelined.decided_at),
        epc_list=[names.unit(sidelined.unit_id)],
        disposition=CbvDisposition.NON_SELLABLE_OTHER,
        read_point=Place(id=names.station(sidelined.line, sidelined.station)),
        biz_location=Place(id=names.location),
        site=sidelined.site,
        unit=sidelined.unit_id,
        line=sidelined.line,
        station=sidelined.station,
        capture=sidelined.capture_id,
        product=_given(sidelined.product_id),
        product_class=UNSET if sidelined.product_id is None else names.product(sidelined.product_id),
        reason=sidelined.divert,
        score=_given(sidelined.score),
        threshold=_given(sidelined.threshold),
        kinds=sidelined.kinds or UNSET,
        severity=_known(sidelined.severity),
    )


def of_disposition(disposition: Disposition, unit_id: str, names: SiteNames) -> ObjectEvent:
    """Tell what a person found. A verdict that revises an earlier one is a new event; nobody was in error before.

    Args:
        disposition: with a verdict that is known today.
        unit_id: of the unit judged; the disposition itself may name only the capture.
        names: of its site.

    Raises:
        Poison: `unknown_verdict`, or `unreadable` for a time that the site's zone cannot tell.
    """
    state, lasting = _state(disposition.verdict, names.mismatch(unit_id))
    subject = f"{disposition.capture_id}/{disposition.unit_id}/{disposition.judged_at.isoformat()}"
    return ObjectEvent(
        # Two verdicts under one id, from a careless sender, are still two events.
        event_id=_event_id(
            disposition.site, "disposition", f"{disposition.disposition_id}/{disposition.verdict}/{subject}"
        ),
        event_time=disposition.judged_at,
        event_time_zone_offset=names.offset(disposition.judged_at),
        epc_list=[names.unit(unit_id)],
        disposition=state,
        persistent_disposition=lasting,
        read_point=Place(id=names.review),
        biz_location=Place(id=names.location),
        site=disposition.site,
        unit=unit_id,
        capture=_given(disposition.capture_id),
        verdict=disposition.verdict,
        verdict_id=disposition.disposition_id,
        kinds=disposition.kinds or UNSET,
        severity=_known(disposition.severity),
    )


def _state(verdict: Verdict, mismatch: CbvDisposition) -> tuple[CbvDisposition, PersistentDisposition | UnsetType]:
    """Return the unit's state after a verdict, and what stays with it or is taken back."""
    match verdict:
        case Verdict.DAMAGED:
            return CbvDisposition.DAMAGED, UNSET
        case Verdict.WRONG_ITEM:
            return mismatch, PersistentDisposition(set=[mismatch])
        case Verdict.SELLABLE:
            return CbvDisposition.SELLABLE_NOT_ACCESSIBLE, PersistentDisposition(unset=[mismatch])
        case Verdict.UNSURE:
            return CbvDisposition.NON_SELLABLE_OTHER, UNSET
        case Verdict.UNKNOWN:
            raise Poison(Reason.UNKNOWN_VERDICT, "the verdict is none of damaged, sellable, wrong_item, unsure")


def _event_id(site: str, kind: str, fact: str) -> str:
    """Return the event's id: of the fact, not of the event's text, so that a changed name of a place keeps it."""
    return f"urn:uuid:{uuid.uuid5(_EVENTS, f'{site}/{kind}/{fact}')}"


def _given(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def _known(severity: Severity) -> Severity | UnsetType:
    return UNSET if severity is Severity.UNKNOWN else severity


def _zone(site: str, name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise Fatal(
            f"site {site}: this machine knows no time zone {name!r}: write one of the IANA data base, such as "
            "Europe/Berlin, or install tzdata"
        ) from error


def _place(site: str, place: str) -> str:
    """Return a configured place as a URI, empty if none is configured."""
    if not place:
        return ""
    if _GLN.fullmatch(place):
        found = IdForms().read(place)
        if found is not None and found.kind is IdKind.GTIN:  # GLN and GTIN-13 have the same check digit
            return f"{GS1_RESOLVER}/414/{place}"
        raise Fatal(f"site {site}: the check digit of the GLN {place} does not hold")
    if not _ABSOLUTE.fullmatch(place):
        raise Fatal(f"site {site}: {place!r} is no place: write a GLN of 13 digits or an absolute URI")
    return place
