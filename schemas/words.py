"""The vocabulary: ids, enums and limits that more than one message uses."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

# Python's $ lets a trailing newline through; the look-ahead does not. The generated schemas leave it out, because in
# ECMAScript and RE2 $ is the end.
NO_NEWLINE: Final = r"(?!\n)"
ID_PATTERN: Final = rf"^[A-Za-z0-9._-]{{1,64}}{NO_NEWLINE}$"
UUID7_PATTERN: Final = rf"^[0-9a-f]{{8}}-[0-9a-f]{{4}}-7[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}{NO_NEWLINE}$"
SHA256_PATTERN: Final = rf"^[0-9a-f]{{64}}{NO_NEWLINE}$"
MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_VIEWS: Final = 8
MAX_VIEW_BYTES: Final = 32 * 1024 * 1024
MICRO: Final = 1_000_000  # scores are integers of micro-log-odds, tokens and probabilities integers of millionths
MAX_INTEGER: Final = 2**53 - 1  # the largest that every reader of JSON keeps exactly


SiteId = Annotated[str, Meta(pattern=ID_PATTERN, description="A registered site: the unit of isolation.")]
LineId = Annotated[str, Meta(pattern=ID_PATTERN, description="A registered line of the site.")]
StationId = Annotated[str, Meta(pattern=ID_PATTERN, description="The station or scanner that spoke.")]
CameraId = Annotated[str, Meta(pattern=ID_PATTERN, description="The camera of the station.")]
UnitId = Annotated[str, Meta(pattern=ID_PATTERN, description="The physical thing: LPN or tote position.")]
CaptureId = Annotated[str, Meta(pattern=UUID7_PATTERN, description="UUIDv7 made by the station, lower case.")]
EventId = Annotated[str, Meta(pattern=ID_PATTERN, description="Id of this event, made by its sender.")]
ReferenceId = Annotated[str, Meta(pattern=ID_PATTERN, description="A reference in the gallery.")]
ProductId = Annotated[str, Meta(pattern=ID_PATTERN, description="GTIN, ASIN or FNSKU: what the unit should be.")]
AssociateId = Annotated[str, Meta(pattern=ID_PATTERN, description="The person who judged.")]
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN, description="SHA-256 of the bytes, lower-case hex.")]
Uri = Annotated[str, Meta(max_length=1024, description="file:// under a configured root, or s3://.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset; written in UTC.")]
Text = Annotated[str, Meta(max_length=512)]
Ppm = Annotated[int, Meta(ge=0, le=MICRO, description="Millionths.")]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seq = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
MicroLogOdds = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER, description="Log-odds in millionths.")]
MicroTokens = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER, description="Tokens in millionths.")]


class _Open(enum.StrEnum):
    """An enum that readers of today use on messages of tomorrow: an unheard-of value reads as `unknown`."""

    @classmethod
    def _missing_(cls, value: object) -> _Open:
        """Return the class's `unknown` member; values that are no text are still an error."""
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no {cls.__name__}")  # noqa: TRY004 - enum's protocol asks for ValueError
        return cls("unknown")


class ViewKind(_Open):
    """What a view shows."""

    RGB = "rgb"
    DEPTH = "depth"
    UNKNOWN = "unknown"


class DamageKind(_Open):
    """The seven damage kinds of the Kaputt data set, same literals, same order as the classifier's outputs."""

    PENETRATION = "penetration"
    DEFORMATION = "deformation"
    ACTUATION = "actuation"
    DECONSTRUCTION = "deconstruction"
    SPILLAGE = "spillage"
    SUPERFICIAL = "superficial"
    MISSING_UNIT = "missing_unit"
    UNKNOWN = "unknown"


KINDS: Final = tuple(kind for kind in DamageKind if kind is not DamageKind.UNKNOWN)


class Severity(_Open):
    """How bad the damage is."""

    NONE = "none"
    MINOR = "minor"
    MAJOR = "major"
    UNKNOWN = "unknown"


class IdentityMethod(_Open):
    """Where the product's identity came from."""

    SCAN = "scan"
    BARCODE = "barcode"
    IMAGE = "image"
    NONE = "none"
    UNKNOWN = "unknown"


class Outcome(_Open):
    """The one terminal record of a capture."""

    DECIDED = "decided"
    UNDETERMINED = "undetermined"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Action(_Open):
    """What was decided; undetermined captures have `none`. Whether a unit goes to a person is in `divert`."""

    PASS = "pass"  # noqa: S105 - an action, not a password
    SIDELINE = "sideline"
    NONE = "none"
    UNKNOWN = "unknown"


class Divert(_Open):
    """Why a unit goes to a person."""

    NONE = "none"
    DAMAGE = "damage"
    IDENTITY = "identity"
    AUDIT = "audit"
    UNKNOWN = "unknown"


class Verdict(_Open):
    """What a person found."""

    DAMAGED = "damaged"
    SELLABLE = "sellable"
    WRONG_ITEM = "wrong_item"
    UNSURE = "unsure"
    UNKNOWN = "unknown"


class Pattern(_Open):
    """Which evidence was at hand; each has its own calibration."""

    CLASSIFIER = "classifier"
    GALLERY_BY_CODE = "gallery_by_code"
    GALLERY_BY_IMAGE = "gallery_by_image"
    UNKNOWN = "unknown"


class CbvDisposition(_Open):
    """What state an event leaves a unit in: the words of GS1's Core Business Vocabulary 2.0 that we write."""

    DAMAGED = "damaged"
    MISMATCH_CLASS = "mismatch_class"
    MISMATCH_INSTANCE = "mismatch_instance"
    NON_SELLABLE_OTHER = "non_sellable_other"
    SELLABLE_NOT_ACCESSIBLE = "sellable_not_accessible"
    UNKNOWN = "unknown"
