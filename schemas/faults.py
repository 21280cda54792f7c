"""The error tree. Its three branches *are* the policy, so handlers match types and never text.

`Poison` carries the reason that a dead letter states; `Retryable` names the dependency to wait for; `Fatal` says how to
mend the installation.
"""

from __future__ import annotations

import enum
from typing import Final


class Reason(enum.StrEnum):
    """Why a message can never be processed. Metrics use these as labels, dead letters as their reason."""

    UNREADABLE = "unreadable"  # not JSON, wrong types, missing fields, ids that no one may use
    TOO_LARGE = "too_large"
    WRONG_SITE = "wrong_site"  # the site inside the event is not its topic's
    UNKNOWN_SITE = "unknown_site"
    UNKNOWN_LINE = "unknown_line"
    ID_REUSED = "id_reused"  # the same capture id with other bytes
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"  # the id's own time is ahead of the store's clock
    DEADLINE = "deadline_out_of_range"  # decide_by so far ahead that no outcome could be kept until then
    NO_PICTURE = "no_picture"  # no RGB view among the views
    URI_REFUSED = "uri_refused"  # a scheme, root or form that is not allowed
    VIEW_MISSING = "view_missing"
    VIEW_SIZE = "view_size"  # size on disk is not the size announced
    VIEW_SHA256 = "view_sha256"
    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    PICTURE_KILLED = "picture_killed"  # picture work ran over its memory or time limit
    UNKNOWN_PRODUCT = "unknown_product"
    UNKNOWN_CAPTURE = "unknown_capture"  # a verdict on a capture that has no outcome here
    UNKNOWN_VERDICT = "unknown_verdict"
    NO_SUBJECT = "no_subject"  # a verdict that names neither capture nor unit
    UNUSABLE_CODE = "unusable_code"
    GAVE_UP = "gave_up"  # well-formed, but failed for our reasons more often than the limit allows


# Faults found before a capture may claim an outcome: it has no site, no id of its own, or its time is over.
WITHOUT_OUTCOME: Final = frozenset(
    {
        Reason.UNREADABLE,
        Reason.TOO_LARGE,
        Reason.WRONG_SITE,
        Reason.UNKNOWN_SITE,
        Reason.UNKNOWN_LINE,
        Reason.ID_REUSED,
        Reason.TOO_OLD,
        Reason.FROM_THE_FUTURE,
    }
)


class SidelineError(Exception):
    """Root of every error raised on purpose."""


class Poison(SidelineError):
    """This message, never again: it ends as a dead letter with `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the reason beside a message that names the fault in words."""
        super().__init__(message)
        self.reason = reason


class Retryable(SidelineError):
    """A dependency is away or overloaded: wait for it, then do the same again."""

    def __init__(self, dependency: str, message: str) -> None:
        """Name the dependency whose breaker opens: `redis`, `gallery`, `triton`, `kafka`.

        `images` and `pictures` have none.
        """
        super().__init__(message)
        self.dependency = dependency


class Fatal(SidelineError):
    """The installation is wrong and no message can mend it: stop the worker and say the fix."""
