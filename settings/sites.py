"""What is particular to each site and does not change while it runs: its clock, its places, the forms of its ids.

One TOML file, named by SIDELINE_SITES_FILE; without it every site has the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal

DEFAULT_BASE: Final = "urn:sideline:"


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site. Places are GLNs of 13 digits or absolute URIs.

    `stations` names where pictures are taken, by "<line>/<station>"; `review` where people judge, `location` the site
    itself. `ids` are regular expressions by kind of id, see `evidence.ids`.
    """

    zone: str = "UTC"  # of its clocks, as in the IANA data base: Europe/Berlin
    location: str = ""
    review: str = ""
    stations: dict[str, str] = {}
    ids: dict[str, str] = {}


class SiteBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. `base` begins the URI of whatever has no identifier of its own."""

    base: str = DEFAULT_BASE
    sites: dict[str, Site] = {}

    def of(self, site: str) -> Site:
        """Return what is known of a site; the defaults if the file does not name it."""
        return self.sites.get(site) or Site()


def site_book(file: Path | None) -> SiteBook:
    """Read the file; without one, the defaults for every site.

    Raises:
        Fatal: it is not there, no TOML, or says something that does not exist; names the place.
    """
    if file is None:
        return SiteBook()
    try:
        return msgspec.toml.decode(file.read_bytes(), type=SiteBook)
    except OSError as error:
        raise Fatal(f"SIDELINE_SITES_FILE={file} cannot be read: {error.strerror}") from error
    except NO_DOCUMENT as error:
        raise Fatal(f"SIDELINE_SITES_FILE={file} is wrong: {error}") from error
