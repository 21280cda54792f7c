"""The page for partners shows what is, not what was."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import msgspec
import pytest

from evidence.ids import DEFAULT_PATTERNS, IdKind
from schemas.codec import encode
from schemas.faults import Poison
from schemas.messages import Disposition, Sidelined
from schemas.words import DamageKind, Divert, Severity, Verdict
from settings.sites import SiteBook
from streams.documents import ROOT
from workers.epcis import SiteNames, of_disposition, of_sidelined

DOCS = ROOT / "docs"
PAGE = (DOCS / "epcis.md").read_text()
NOW = datetime(2026, 11, 20, 10, 15, 30, 486_213, UTC)
CAPTURE = "01a1f874-3e4d-7c3e-9f41-8d20b6a4e917"


def block(language: str) -> str:
    """Return the one code block in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```\n", PAGE, re.DOTALL)
    return str(found)


BOOK = msgspec.toml.decode(block("toml"), type=SiteBook)
NAMES = SiteNames("fra3", BOOK)


class TestPage:
    """docs/epcis.md."""

    def test_its_event_is_what_its_file_of_sites_gives(self) -> None:
        """Shown and made, field by field and in the same order."""
        event = of_sidelined(
            Sidelined(
                capture_id=CAPTURE,
                site="fra3",
                line="inbound-1",
                station="booth-2",
                unit_id="106141411234567897",
                product_id="9506000134352",
                kinds=[DamageKind.PENETRATION],
                severity=Severity.MAJOR,
                divert=Divert.DAMAGE,
                score=3_720_551,
                threshold=2_998_104,
                decide_by=NOW,
                decided_at=NOW,
            ),
            NAMES,
        )
        assert list(json.loads(encode(event)).items()) == list(json.loads(block("json")).items())

    def test_its_pattern_is_the_default(self) -> None:
        """Whoever copies the file changes nothing but what is empty in it."""
        assert {"lpn": DEFAULT_PATTERNS[IdKind.LPN], "asin": ""} == BOOK.of("fra3").ids

    @pytest.mark.parametrize("verdict", Verdict)
    def test_it_names_the_word_for_each_verdict(self, verdict: Verdict) -> None:
        """In the row of the verdict."""
        said = Disposition(
            disposition_id="d", site="fra3", associate_id="a", judged_at=NOW, verdict=verdict, unit_id="u"
        )
        row = re.search(rf"^\| verdict `{verdict.value}` \| `(\w+)`", PAGE, re.MULTILINE)
        if verdict is Verdict.UNKNOWN:
            assert row is None
            with pytest.raises(Poison):
                of_disposition(said, "u", NAMES)
        else:
            assert row is not None
            assert of_disposition(said, "u", NAMES).disposition.value == row[1]

    def test_its_links_lead_somewhere(self) -> None:
        """Every file that is linked to exists."""
        links = re.findall(r"\]\(([^)#]+)", PAGE)
        assert links
        for link in links:
            assert (DOCS / link).is_file(), link
