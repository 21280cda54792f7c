"""One Struct per message. Unknown fields are ignored, unknown enum values read as `unknown`, times are aware."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.words import (
    MAX_VIEW_BYTES,
    MAX_VIEWS,
    Action,
    AssociateId,
    CaptureId,
    DamageKind,
    Divert,
    EventId,
    IdentityMethod,
    LineId,
    Outcome,
    Pattern,
    Ppm,
    ProductId,
    Severity,
    Sha256,
    SiteId,
    StationId,
    Text,
    Time,
    UnitId,
    Verdict,
    ViewKind,
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Root of everything that travels."""


class View(Message, frozen=True, kw_only=True):
    """One image of a capture, by reference: Kafka carries no picture bytes."""

    uri: Annotated[str, Meta(max_length=1024, description="file:// under a configured root, or s3://.")]
    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=MAX_VIEW_BYTES, description="Bytes.")]
    kind: ViewKind = ViewKind.RGB
    camera_id: StationId = "camera"


class Capture(Message, frozen=True, kw_only=True):
    """One trigger of a station: 1 to 8 views of one unit."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    captured_at: Time
    views: Annotated[list[View], Meta(min_length=1, max_length=MAX_VIEWS)]
    decide_by: Time | None = None
    expected_products: Annotated[list[ProductId], Meta(max_length=1000)] = []


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
    set_size: Annotated[int, Meta(ge=1, le=1000)] = 1
    codes: Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=64)] = []
    retired: bool = False


class Reference(Message, frozen=True, kw_only=True):
    """A picture set of a pristine product for the gallery. `withdrawn` takes it out again."""

    reference_id: EventId
    product_id: ProductId
    views: Annotated[list[View], Meta(max_length=MAX_VIEWS)] = []
    source: Text = ""
    enrolled_at: Time
    withdrawn: bool = False


class Identity(Message, frozen=True, kw_only=True):
    """What the unit is thought to be, how that is known, and how sure."""

    product_id: ProductId | None = None
    method: IdentityMethod = IdentityMethod.NONE
    confidence_ppm: Ppm = 0
    conflict: bool = False
    claims: list[str] = []  # "method:product_id" of every source that spoke


class Evidence(Message, frozen=True, kw_only=True):
    """Everything the fused score was made of, as integers, so that it can be made again bit for bit.

    Scores are micro-log-odds; `kinds` follows the order of `schemas.words.KINDS`.
    """

    pattern: Pattern
    classifier: int
    kinds: list[int] = []
    severity: Severity = Severity.UNKNOWN
    major: bool = False
    discrepancy: int | None = None  # micro-units of patch distance, None where no reference was compared
    references: list[EventId] = []
    view: int = 0  # index of the view with the strongest evidence
    place: list[int] = []  # x, y, width, height of that evidence, millionths of the view


class Versions(Message, frozen=True, kw_only=True):
    """What made the evidence."""

    software: Text
    classifier: Text
    embedding: Text
    fusion: Text


class DecisionHead(Message, frozen=True, kw_only=True):
    """What the inspector knows before the store decides: the first fields of a decision."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    captured_at: Time
    views: list[str] = []  # the views' URIs, for people and tools that explain
    identity: Identity | None = None
    evidence: Evidence | None = None
    versions: Versions | None = None


class Decision(DecisionHead, frozen=True, kw_only=True):
    """The answer to one capture. Exactly one distinct value per capture exists.

    The store's script writes the fields below, in this order, behind those of the head.
    """

    outcome: Outcome
    action: Action
    divert: Divert = Divert.NONE
    withheld: bool = False  # the score asked for a sideline, the budget had no token
    reason: Text = ""
    seq: int | None = None  # gap-free per site, only for captures decided from a score
    score: int | None = None
    threshold: int | None = None
    balance_before: int | None = None  # tokens in millionths, here and below
    balance_after: int | None = None
    pending_before: int | None = None
    pending_after: int | None = None
    audit_ppm: int = 0  # the audit probability in force
    config_version: int | None = None
    decide_by: Time
    decided_at: Time


class SidelinedHead(Message, frozen=True, kw_only=True):
    """What the inspector knows of a unit before the store decides whether it is sidelined."""

    capture_id: CaptureId
    site: SiteId
    line: LineId
    station: StationId
    unit_id: UnitId
    product_id: ProductId | None = None
    views: list[str] = []
    kinds: list[DamageKind] = []
    severity: Severity = Severity.UNKNOWN


class Sidelined(SidelinedHead, frozen=True, kw_only=True):
    """A unit to send to a person, and why. One for every divert, none for anything else.

    The store's script writes the fields below, in this order, behind those of the head.
    """

    divert: Divert
    seq: int | None = None
    score: int | None = None
    threshold: int | None = None
    decide_by: Time
    decided_at: Time


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
    partition: int = msgspec.field(name="__connect.errors.partition")
    offset: int = msgspec.field(name="__connect.errors.offset")
    error: str = msgspec.field(name="__connect.errors.exception.class.name")
    message: str = msgspec.field(name="__connect.errors.exception.message")
    stage: str = msgspec.field(name="__connect.errors.stage")
    connector: str = msgspec.field(name="__connect.errors.connector.name")
    reason: str = msgspec.field(name="sideline-reason")
    failed_at: Time = msgspec.field(name="sideline-failed-at")
