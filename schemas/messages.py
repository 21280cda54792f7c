"""One Struct per message. Unknown fields are ignored, unknown enum values read as `unknown`, times are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas.words import (
    MAX_INTEGER,
    MAX_VIEW_BYTES,
    MAX_VIEWS,
    Action,
    AssociateId,
    CameraId,
    CaptureId,
    Count,
    DamageKind,
    Divert,
    EventId,
    IdentityMethod,
    LineId,
    MicroLogOdds,
    MicroTokens,
    Outcome,
    Pattern,
    Ppm,
    ProductId,
    ReferenceId,
    Seq,
    Severity,
    Sha256,
    SiteId,
    StationId,
    Text,
    Time,
    UnitId,
    Uri,
    Verdict,
    ViewKind,
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Root of everything that travels."""

    def __post_init__(self) -> None:
        """Turn times into UTC, so that what is written ends in Z whatever offset came in.

        Raises:
            ValueError: a time without an offset, or one that UTC cannot name. While decoding, msgspec turns this into
                its own error.
        """
        for name in self.__struct_fields__:
            moment = getattr(self, name)
            if not isinstance(moment, datetime) or moment.tzinfo is UTC:
                continue
            if moment.tzinfo is None:
                raise ValueError(f"{name} has no offset from UTC")
            try:
                msgspec.structs.force_setattr(self, name, moment.astimezone(UTC))
            except OverflowError as error:
                raise ValueError(f"{name} is outside the years 1 to 9999 in UTC") from error


class View(Message, frozen=True, kw_only=True):
    """One image of a capture, by reference: Kafka carries no picture bytes."""

    uri: Uri
    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=MAX_VIEW_BYTES, description="Bytes.")]
    kind: ViewKind = ViewKind.RGB
    camera_id: CameraId = "camera"


class Capture(Message, frozen=True, kw_only=True):
    """One trigger of a station: 1 to 8 views of one unit."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    captured_at: Time
    views: Annotated[list[View], Meta(min_length=1, max_length=MAX_VIEWS)]
    decide_by: Annotated[
        Time | None, Meta(description="When the diverter must know; the line's own limit may be earlier.")
    ] = None
    expected_products: Annotated[
        list[ProductId], Meta(max_length=1000, description="What the unit can be; narrows a search by image.")
    ] = []


class Scan(Message, frozen=True, kw_only=True):
    """What a fixed scanner read for a unit."""

    scan_id: EventId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    scanned_at: Time
    code: Annotated[str, Meta(min_length=1, max_length=256, description="The text as read.")]
    symbology: Text = ""


class Product(Message, frozen=True, kw_only=True):
    """One product of the catalogue. The newest message of a product_id wins; `retired` removes it."""

    product_id: ProductId
    title: Text = ""
    vendor: Text = ""
    packaging: Text = ""
    set_size: Annotated[int, Meta(ge=1, le=1000, description="Pieces that belong together.")] = 1
    codes: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=256)]],
        Meta(max_length=64, description="What scanners may read on it."),
    ] = []
    retired: bool = False


class Judged(Message, frozen=True, kw_only=True):
    """A person's verdict on the capture whose views a reference would be."""

    disposition_id: EventId
    site: SiteId
    associate_id: AssociateId
    verdict: Verdict
    judged_at: Time
    capture_id: CaptureId
    unit_id: UnitId


class Reference(Message, frozen=True, kw_only=True):
    """A picture set of a pristine product for the gallery. `withdrawn` takes it out again.

    Without `judged` somebody vouches for it, and it is compared with at once. With it the line proposes a capture that
    a person cleared, or says that a person found something: the curator decides by rule.
    """

    reference_id: ReferenceId
    product_id: ProductId
    views: Annotated[
        list[View], Meta(max_length=MAX_VIEWS, description="At least one, unless the reference is withdrawn.")
    ] = []
    source: Text = ""
    enrolled_at: Time
    withdrawn: bool = False
    judged: Judged | None = None


class Identity(Message, frozen=True, kw_only=True):
    """What the unit is thought to be, how that is known, and how sure."""

    product_id: ProductId | None = None
    method: IdentityMethod = IdentityMethod.NONE
    confidence_ppm: Ppm = 0
    conflict: Annotated[bool, Meta(description="Two sources named different products.")] = False
    claims: Annotated[list[str], Meta(description="method:product_id of every source that spoke.")] = []


class Evidence(Message, frozen=True, kw_only=True):
    """Everything the fused score was made of, as integers, so that it can be made again bit for bit."""

    pattern: Pattern
    classifier: Annotated[MicroLogOdds, Meta(description="Of damage, micro-log-odds.")]
    kinds: Annotated[
        list[MicroLogOdds],
        Meta(
            description="Of each damage kind: penetration, deformation, actuation, deconstruction, spillage, "
            "superficial, missing_unit. Micro-log-odds."
        ),
    ] = []
    severity: Severity = Severity.UNKNOWN
    major: bool = False
    discrepancy: Annotated[
        Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | None,
        Meta(description="Distance from the references in millionths; null where none was compared."),
    ] = None
    references: list[ReferenceId] = []
    view: Annotated[Count, Meta(description="Index of the view with the strongest evidence.")] = 0
    place: Annotated[
        list[Ppm],
        Meta(description="x, y, width, height of that evidence in millionths of the view, or empty."),
    ] = []


class Versions(Message, frozen=True, kw_only=True):
    """What made the evidence."""

    software: Text
    classifier: Text
    embedding: Text
    fusion: Text


class Rejection(Message, frozen=True, kw_only=True):
    """An earlier end of a capture that somebody had worked on once more with `sideline dead redrive`."""

    reason: Text
    rejected_at: Annotated[Time, Meta(description="As its dead letter says.")]
    redriven_at: Annotated[
        Time | None,
        Meta(description="When permission to try again was first given; null: the store was restored since."),
    ] = None


class DecisionHead(Message, frozen=True, kw_only=True):
    """What the inspector knows before the store decides: the first fields of a decision."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    captured_at: Time
    views: Annotated[list[str], Meta(description="URIs, for people and tools that explain.")] = []
    identity: Identity | None = None
    evidence: Evidence | None = None
    versions: Versions | None = None
    score_offset: Annotated[
        MicroLogOdds | None, Meta(description="Added to the fused score while trying things out; null: nothing was.")
    ] = None
    audit_draw_ppm: Annotated[
        Ppm | None, Meta(description="The lot drawn for this capture; below audit_ppm a pass is audited.")
    ] = None


class Decision(DecisionHead, frozen=True, kw_only=True):
    """The answer to one capture. Exactly one distinct value per capture exists.

    The store's script writes the fields below, in this order, behind those of the head.
    """

    outcome: Outcome
    action: Action
    divert: Divert = Divert.NONE
    withheld: Annotated[bool, Meta(description="The score asked for a sideline, the budget had no token.")] = False
    reason: Text = ""
    seq: Annotated[Seq | None, Meta(description="Gap-free per site; only captures decided from a score have one.")] = (
        None
    )
    score: Annotated[MicroLogOdds | None, Meta(description="Fused score, log-odds of damage in millionths.")] = None
    threshold: Annotated[MicroLogOdds | None, Meta(description="In force for this decision, like score.")] = None
    balance_before: MicroTokens | None = None
    balance_after: MicroTokens | None = None
    pending_before: MicroTokens | None = None
    pending_after: MicroTokens | None = None
    identity_balance: Annotated[MicroTokens | None, Meta(description="Of identity stops, before.")] = None
    identity_pending: Annotated[MicroTokens | None, Meta(description="Of identity stops, before.")] = None
    diverts_balance: Annotated[MicroTokens | None, Meta(description="Of diverts of all kinds, before.")] = None
    line_seq: Annotated[Seq | None, Meta(description="Gap-free per line; only where it has a budget of its own.")] = (
        None
    )
    line_balance: Annotated[MicroTokens | None, Meta(description="Of the line's own budget, after this.")] = None
    line_pending: MicroTokens | None = None
    audit_ppm: Annotated[Ppm, Meta(description="The audit probability in force, millionths.")] = 0
    config_version: Annotated[Count | None, Meta(description="Of the budget's configuration.")] = None
    rejections: Annotated[
        list[Rejection], Meta(description="What a redriven capture was rejected for before this, oldest first.")
    ] = []
    decide_by: Annotated[Time, Meta(description="The deadline that held: no decision by then means undetermined.")]
    decided_at: Annotated[Time, Meta(description="By the store's clock.")]


DECISION_TAIL: Final = Decision.__struct_fields__[len(DecisionHead.__struct_fields__) :]
"""The fields of a decision that the store's script writes, in its order."""


class SidelinedHead(Message, frozen=True, kw_only=True):
    """What the inspector knows of a unit before the store decides whether it is sidelined."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    product_id: ProductId | None = None
    views: Annotated[list[str], Meta(description="URIs, for the person who looks.")] = []
    kinds: Annotated[list[DamageKind], Meta(description="Likely ones, likeliest first.")] = []
    severity: Severity = Severity.UNKNOWN
    claims: Annotated[
        list[str], Meta(description="What each source says the unit is, like identity.claims, where they disagree.")
    ] = []
    pictures: Annotated[
        list[View],
        Meta(description="The views as the capture announced them, so that whoever fetches them can prove them."),
    ] = []


class Sidelined(SidelinedHead, frozen=True, kw_only=True):
    """A unit to send to a person, and why. One for every divert, none for anything else.

    The store's script writes the fields below, in this order, behind those of the head.
    """

    divert: Divert
    recheck: Annotated[
        bool, Meta(description="Have a second associate judge it as well, without telling either of them.")
    ] = False
    seq: Annotated[Seq | None, Meta(description="Of the decision.")] = None
    score: Annotated[MicroLogOdds | None, Meta(description="Fused score, log-odds of damage in millionths.")] = None
    threshold: Annotated[MicroLogOdds | None, Meta(description="In force for this decision, like score.")] = None
    decide_by: Annotated[Time, Meta(description="Too late after this: the unit has passed the diverter.")]
    decided_at: Annotated[Time, Meta(description="By the store's clock.")]


SIDELINED_TAIL: Final = Sidelined.__struct_fields__[len(SidelinedHead.__struct_fields__) :]
"""The fields of a sidelined event that the store's script writes, in its order."""


class Disposition(Message, frozen=True, kw_only=True):
    """A person's verdict on a capture, or on a unit when only that is known."""

    disposition_id: EventId
    site: SiteId
    associate_id: AssociateId
    judged_at: Time
    verdict: Verdict
    capture_id: CaptureId | None = None
    unit_id: UnitId | None = None
    kinds: Annotated[list[DamageKind], Meta(max_length=7)] = []
    severity: Severity = Severity.UNKNOWN
    note: Text = ""


class DeadLetter(Message, frozen=True, kw_only=True):
    """The headers a dead letter adds to the original key, value and headers (Kafka Connect's names on the wire)."""

    topic: str = msgspec.field(name="__connect.errors.topic")
    partition: Annotated[int, Meta(ge=0)] = msgspec.field(name="__connect.errors.partition")
    offset: Annotated[int, Meta(ge=0)] = msgspec.field(name="__connect.errors.offset")
    error: str = msgspec.field(name="__connect.errors.exception.class.name")
    message: str = msgspec.field(name="__connect.errors.exception.message")
    stage: str = msgspec.field(name="__connect.errors.stage")
    connector: str = msgspec.field(name="__connect.errors.connector.name")
    reason: str = msgspec.field(name="sideline-reason")
    failed_at: Time = msgspec.field(name="sideline-failed-at")
    redrives: Annotated[int, Meta(ge=0)] = msgspec.field(name="sideline-redrives", default=0)
