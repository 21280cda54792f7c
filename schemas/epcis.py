"""What partners read: GS1's EPCIS 2.0 ObjectEvent in JSON-LD, as far as we write it.

Names, literals and forms are the standard's; `schemas/epcis_object_event.json` states them once more, as strictly as
they are, for tests and for whoever wants to check. What only we know is in the namespace `sideline:`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from schemas.messages import Message
from schemas.words import (
    CaptureId,
    CbvDisposition,
    DamageKind,
    Divert,
    EventId,
    LineId,
    MicroLogOdds,
    ProductId,
    Severity,
    SiteId,
    StationId,
    Time,
    UnitId,
    Verdict,
)

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
OUR_NAMESPACE: Final = "urn:sideline:epcis:"

Name = Annotated[str, Meta(max_length=1024, description="An absolute URI.")]


class Namespace(Message, frozen=True, kw_only=True):
    """What the prefix of our own fields stands for."""

    sideline: Name = OUR_NAMESPACE


class Place(Message, frozen=True, kw_only=True):
    """A place, by its URI."""

    id: Name


class PersistentDisposition(Message, frozen=True, kw_only=True):
    """States that stay with the unit until they are taken back, whatever its disposition becomes meanwhile."""

    set: list[CbvDisposition] | UnsetType = UNSET
    unset: list[CbvDisposition] | UnsetType = UNSET


class ObjectEvent(Message, frozen=True, kw_only=True, rename="camel"):
    """One unit was inspected: by the line, which sent it to a person, or by that person.

    Fields without a value are absent: the standard knows no null.
    """

    context: Annotated[
        list[str | Namespace], Meta(min_length=2, max_length=2, description="The standard's context and our namespace.")
    ] = field(name="@context", default_factory=lambda: [CONTEXT, Namespace()])
    type: Literal["ObjectEvent"] = "ObjectEvent"
    event_id: Annotated[
        str, Meta(max_length=64, description="urn:uuid:, the same whenever the same fact is told again.")
    ] = field(name="eventID")
    event_time: Annotated[Time, Meta(description="When the unit was judged, by the line or by the person.")]
    event_time_zone_offset: Annotated[str, Meta(description="Of the site's clocks at that time, as +hh:mm.")]
    action: Literal["OBSERVE"] = "OBSERVE"
    epc_list: Annotated[list[Name], Meta(min_length=1, max_length=1, description="The unit.")]
    biz_step: Literal["inspecting"] = "inspecting"
    disposition: CbvDisposition
    persistent_disposition: PersistentDisposition | UnsetType = UNSET
    read_point: Annotated[Place, Meta(description="Where it was looked at.")]
    biz_location: Annotated[Place, Meta(description="Where it is from then on, until another event says otherwise.")]
    site: SiteId = field(name="sideline:site")
    unit: UnitId = field(name="sideline:unit")
    line: LineId | UnsetType = field(name="sideline:line", default=UNSET)
    station: StationId | UnsetType = field(name="sideline:station", default=UNSET)
    capture: CaptureId | UnsetType = field(name="sideline:capture", default=UNSET)
    product: ProductId | UnsetType = field(name="sideline:product", default=UNSET)
    product_class: Annotated[
        Name | UnsetType, Meta(description="The product's URI. Not in quantityList: that would count a second thing.")
    ] = field(name="sideline:productClass", default=UNSET)
    reason: Annotated[Divert | UnsetType, Meta(description="Why the line sent the unit to a person.")] = field(
        name="sideline:reason", default=UNSET
    )
    score: Annotated[MicroLogOdds | UnsetType, Meta(description="Fused score, log-odds of damage in millionths.")] = (
        field(name="sideline:score", default=UNSET)
    )
    threshold: MicroLogOdds | UnsetType = field(name="sideline:threshold", default=UNSET)
    verdict: Annotated[Verdict | UnsetType, Meta(description="What the person found.")] = field(
        name="sideline:verdict", default=UNSET
    )
    verdict_id: Annotated[EventId | UnsetType, Meta(description="Of the disposition behind this event.")] = field(
        name="sideline:verdictId", default=UNSET
    )
    kinds: list[DamageKind] | UnsetType = field(name="sideline:kinds", default=UNSET)
    severity: Severity | UnsetType = field(name="sideline:severity", default=UNSET)
