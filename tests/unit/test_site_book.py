"""The file of what is particular to each site."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.line import worker_names
from schemas.faults import Fatal
from settings.sites import Site, SiteBook, site_book


class TestSiteBook:
    """`site_book`."""

    def test_without_a_file_every_site_has_the_defaults(self) -> None:
        """Nothing has to be configured."""
        assert SiteBook() == site_book(None)
        assert Site() == site_book(None).of("fra3")

    def test_it_reads_a_site_and_leaves_the_others_alone(self, tmp_path: Path) -> None:
        """What one site says holds for it only."""
        file = tmp_path / "sites.toml"
        file.write_text('[sites.fra3]\nzone = "Europe/Berlin"\n[sites.fra3.ids]\nlpn = "P[0-9]{6}"\n')
        book = site_book(file)
        assert Site(zone="Europe/Berlin", ids={"lpn": "P[0-9]{6}"}) == book.of("fra3")
        assert Site() == book.of("muc1")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[sites.fra3]\nzones = 'UTC'", "zones"),
            ("[sites.fra3]\nzone = 3", "zone"),
            ("sites = 3", "sites"),
            ("[[[", "wrong"),
        ],
    )
    def test_a_mistake_is_named(self, tmp_path: Path, text: str, said: str) -> None:
        """A field that is misspelt, or of another type, must not pass for a default."""
        file = tmp_path / "sites.toml"
        file.write_text(text)
        with pytest.raises(Fatal, match=rf"sites\.toml.*{said}"):
            site_book(file)

    def test_no_text_at_all_is_a_mistake(self, tmp_path: Path) -> None:
        """Bytes of something else."""
        file = tmp_path / "sites.toml"
        file.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(Fatal, match="wrong"):
            site_book(file)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        """With the setting that names it."""
        with pytest.raises(Fatal, match="SIDELINE_SITES_FILE"):
            site_book(tmp_path / "nowhere.toml")


class TestWorkerNames:
    """`deploy.local.line.worker_names`."""

    def test_the_herald_comes_only_when_asked_for(self) -> None:
        """The others always."""
        always = ["inspector-1", "inspector-2", "tracker", "curator", "settler"]
        assert always == worker_names(2)
        assert [*always, "herald"] == worker_names(2, epcis=True)
