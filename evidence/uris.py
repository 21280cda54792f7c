"""Where a view lies: a URI read strictly, before anything is opened.

URIs come from stations and are not trusted. What is read here is less than RFC 3986 allows, on purpose: two readers
that disagree about a strange URI are how a path escapes its root, so every strange form is refused, not repaired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote_to_bytes

from schemas.faults import Poison, Reason

# Unreserved and sub-delims of RFC 3986 with the percent sign, the slash, the colon and the at sign. No query, no
# fragment, no backslash, no control characters, nothing outside ASCII: other characters travel percent-encoded.
_PATH: Final = r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)"
_FILE: Final = re.compile(r"file://(?P<host>localhost)?" + _PATH, re.ASCII | re.IGNORECASE)
_S3: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])" + _PATH, re.ASCII)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """An absolute path as the URI states it; its symlinks are not looked at yet."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """An object of an S3 bucket."""

    bucket: str
    key: str


def locate(uri: str) -> FilePlace | ObjectPlace:
    """Read a URI of the forms `file:///path` and `s3://bucket/key`; percent signs are decoded once, in both.

    Raises:
        Poison: `uri_refused` for every other scheme or form, for `.`, `..` and empty segments, and for names that are
            not printable UTF-8 once decoded.
    """
    if match := _FILE.fullmatch(uri):
        return FilePlace(PurePosixPath("/", *_segments(match["path"], uri)))
    if match := _S3.fullmatch(uri):
        return ObjectPlace(match["bucket"], "/".join(_segments(match["path"], uri)))
    raise Poison(Reason.URI_REFUSED, f"{_shown(uri)} is neither file:///path nor s3://bucket/key in plain form")


def _segments(path: str, uri: str) -> list[str]:
    """Decode the segments of a path. Split first: an encoded slash must not make a segment."""
    segments = []
    for part in path.removeprefix("/").split("/"):
        try:
            name = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Poison(Reason.URI_REFUSED, f"{_shown(uri)} holds a name that is not UTF-8") from error
        if name in {"", ".", ".."} or "/" in name or "\\" in name or not name.isprintable():
            raise Poison(Reason.URI_REFUSED, f"{_shown(uri)} holds the segment {_shown(part)}, which no view may use")
        segments.append(name)
    return segments


def _shown(text: str) -> str:
    """Return text as it can stand in a log line: escaped and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "...")  # noqa: PLR2004 - enough to recognise it by
