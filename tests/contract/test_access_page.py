"""The page of who may do what is what the tables say."""

from __future__ import annotations

from deploy.access_page import PAGE, main, page


class TestAccessPage:
    """docs/access.md, which people ask for credentials by."""

    def test_it_is_current(self) -> None:
        """If this fails, run `make schemas`."""
        assert page() == PAGE.read_text(encoding="utf-8")
        assert 0 == main(["--check"])
