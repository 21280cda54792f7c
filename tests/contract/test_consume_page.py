"""The page for consumers shows what is, not what was."""

from __future__ import annotations

import re

from schemas.faults import Reason
from schemas.messages import DeadLetter
from schemas.words import MAX_EVENT_BYTES, MAX_VIEW_BYTES
from streams.documents import GOLDEN, ROOT
from streams.topics import DAY_MS, Entity, Scope, entity_of, spec
from tests.contract.contract_files import schema_of

DOCS = ROOT / "docs"
PAGE = (DOCS / "consume.md").read_text()


def block(mark: str) -> str:
    """Return the code block behind a mark."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
    assert found, mark
    return found[1]


class TestPage:
    """docs/consume.md."""

    def test_its_examples_are_golden(self) -> None:
        """A reader copies from here; what is shown decodes for ever."""
        for name in ("decision/full.json", "sidelined/full.json"):
            assert (GOLDEN / name).read_text() == block(f"golden: {name}")

    def test_its_consumer_is_the_one_that_is_tested(self) -> None:
        """And has the forty lines that are promised."""
        shown = block("file: examples/consumer.py")
        assert (DOCS / "examples" / "consumer.py").read_text() == shown
        assert len(shown.splitlines()) <= 40

    def test_its_topics_exist(self) -> None:
        """Every topic named is one of the table."""
        named = set(re.findall(r"sideline\.(?:fra3\.)?[a-z]+\.v1", PAGE)) - set(re.findall(r"ce_type: (\S+)", PAGE))
        named -= {f"sideline.{event}.v1" for event in ("sidelined",)}  # a CloudEvents type
        assert {Entity.DECISIONS, Entity.SIDELINED, Entity.DISPOSITIONS, Entity.DEAD} == {
            entity_of(name) for name in named
        }

    def test_its_links_lead_somewhere(self) -> None:
        """Every file and every heading that is linked to exists."""
        headings = {
            re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
        }
        links = re.findall(r"\]\(([^)]+)\)", PAGE)
        assert links
        for link in links:
            assert link.removeprefix("#") in headings if link.startswith("#") else (DOCS / link).is_file(), link

    def test_it_explains_every_reason_and_header_of_dead_letters(self) -> None:
        """A new reason is explained to those whose events it refuses, or it does not come in."""
        reasons = PAGE.split("| reason |")[1]
        assert set() == {reason.value for reason in Reason} - set(re.findall(r"`([a-z0-9_]+)`", reasons))
        headers = PAGE.split("| header |")[1]
        assert set() == set(schema_of(DeadLetter)["properties"]) - set(re.findall(r"`([a-z_.-]+)`", headers))

    def test_its_numbers_are_those_of_the_table(self) -> None:
        """Retention and limits."""
        assert "kept for 30 days" in PAGE
        assert spec(Entity.DECISIONS, Scope.SITE).retention_ms == 30 * DAY_MS
        assert "Sidelined events are kept for 30 days" in PAGE
        assert spec(Entity.SIDELINED, Scope.SITE).retention_ms == 30 * DAY_MS
        assert "an event may have 1 MiB, a view 32 MiB" in PAGE
        assert (1 << 20, 32 << 20) == (MAX_EVENT_BYTES, MAX_VIEW_BYTES)
