"""The names of every key in the decision store, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STORE: Final = "sideline:store"  # string: the id this store was given by `sideline init`
SITES: Final = "sideline:sites"  # hash: site -> Unix ms of its registration


def letter_key(letter: str) -> str:
    """Hash: how often and when a dead letter without a recorded outcome was sent again; for as long as it is kept.

    Not a site's key: references and products have no site.
    """
    return f"sideline:resent:{letter}"


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """One site's keys. They share the hash tag `{site}`, so that one script may touch them all on any shard.

    The script builds three families itself from `prefix`, because only it learns which stops a sweep or a verdict by
    unit touches: `outcome:<capture>`, `unit:<unit>` and `last:<unit>`.
    """

    site: str

    @property
    def prefix(self) -> str:
        """Start of every key of the site."""
        return f"{{{self.site}}}:"

    def key(self, name: str) -> str:
        """Return the site's key `name`, e.g. `budget`."""
        return f"{{{self.site}}}:{name}"

    def outcome(self, capture_id: str) -> str:
        """Hash: the outcome of one capture, for the horizon."""
        return f"{{{self.site}}}:outcome:{capture_id}"

    def unit(self, unit_id: str) -> str:
        """Set: the open stops of one unit, as members of `open`."""
        return f"{{{self.site}}}:unit:{unit_id}"

    def last(self, unit_id: str) -> str:
        """String: the newest diverted capture of one unit, for the horizon."""
        return f"{{{self.site}}}:last:{unit_id}"

    def verdict(self, disposition_id: str) -> str:
        """String: what one disposition did, for the horizon."""
        return f"{{{self.site}}}:verdict:{disposition_id}"

    def threshold(self, fusion_version: str) -> str:
        """Hash: the threshold's integers of one fusion version."""
        return f"{{{self.site}}}:threshold:{fusion_version}"

    def scores(self, fusion_version: str) -> str:
        """Hash: the histogram of normalised scores of one fusion version, bin -> mass."""
        return f"{{{self.site}}}:scores:{fusion_version}"
