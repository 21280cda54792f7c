"""The topic table."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.config import BudgetConfig
from schemas.words import ID_PATTERN, MAX_EVENT_BYTES
from streams.topics import DEAD_LETTER_SLACK_BYTES, TOPICS, Entity, Scope, entity_of, names, site_of, spec, topic

SITES = st.from_regex(ID_PATTERN, fullmatch=True)


class TestNames:
    """What topics are called."""

    def test_a_site_topic_carries_its_site(self) -> None:
        """The site stands between the product's name and the entity."""
        assert "sideline.fc-1.captures.v1" == topic(Entity.CAPTURES, "fc-1")

    def test_a_global_topic_carries_none(self) -> None:
        """References are of all sites."""
        assert "sideline.references.v1" == topic(Entity.REFERENCES)

    @given(SITES)
    def test_every_name_reads_back(self, site: str) -> None:
        """Sites may contain dots and the words of entities, and still each name has one reading."""
        for row in TOPICS:
            of = site if row.scope is Scope.SITE else None
            name = row.name(of)
            assert (row.entity, of) == (entity_of(name), site_of(name))
            assert len(name) <= 249  # the broker's limit
            assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)

    @pytest.mark.parametrize("site", ["", "{fc}", "fc 1", "a" * 65, "fc\n", "sité"])
    def test_no_topic_is_named_after_a_wrong_site(self, site: str) -> None:
        """A site that is no id would write to, or read from, topics that are not its own."""
        with pytest.raises(ValueError, match="no site id"):
            topic(Entity.CAPTURES, site)

    @pytest.mark.parametrize(("entity", "site"), [(Entity.CAPTURES, None), (Entity.PRODUCTS, "fc1")])
    def test_a_site_is_given_exactly_where_one_belongs(self, entity: Entity, site: str | None) -> None:
        """Forgetting the site must not give some other topic."""
        with pytest.raises(ValueError, match=r"no .* topic"):
            topic(entity, site)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "sideline",
            "sideline..v1",
            "sideline.v1",
            "sideline.captures.v1",
            "sideline..captures.v1",
            "sideline.fc1.captures",
            "sideline.fc1.captures.v2",
            "sideline.fc1.references.v1",
            "other.fc1.captures.v1",
            "sideline.fc1.captures.v1\n",
            "sideline.{fc}.captures.v1",
        ],
    )
    def test_foreign_topics_are_refused(self, name: str) -> None:
        """What we did not name, we do not read."""
        with pytest.raises(ValueError, match="no topic of ours"):
            site_of(name)

    def test_dead_letters_go_where_their_source_belongs(self) -> None:
        """A site's dead letters stay with the site; those of global inputs have a global topic."""
        assert "sideline.fc1.dead.v1" == topic(Entity.DEAD, site_of("sideline.fc1.scans.v1"))
        assert "sideline.dead.v1" == topic(Entity.DEAD, site_of("sideline.products.v1"))

    def test_names_lists_site_and_global_topics(self) -> None:
        """Every site's, and the global one once."""
        assert ["sideline.a.dead.v1", "sideline.b.dead.v1", "sideline.dead.v1"] == names([Entity.DEAD], ["a", "b"])


class TestTable:
    """What the rows promise."""

    def test_every_entity_has_a_topic(self) -> None:
        """No word without a row, and no row twice."""
        assert set(Entity) == {row.entity for row in TOPICS}
        assert len(TOPICS) == len({(row.entity, row.scope) for row in TOPICS})

    def test_times_are_the_brokers(self) -> None:
        """Horizon and deadlines start from append times, which no sender can choose."""
        assert {"LogAppendTime"} == {row.config()["message.timestamp.type"] for row in TOPICS}

    def test_a_dead_letter_always_fits(self) -> None:
        """Dead topics take the largest input and its headers; inputs are measured unpacked."""
        for row in TOPICS:
            if row.entity is Entity.DEAD:
                assert MAX_EVENT_BYTES + DEAD_LETTER_SLACK_BYTES == row.max_bytes
            else:
                assert MAX_EVENT_BYTES == row.max_bytes
            if row.from_outside:
                assert "uncompressed" == row.config()["compression.type"]

    def test_retention_keeps_the_horizon(self) -> None:
        """Captures leave before their outcomes do; what restores the store outlives both."""
        config = BudgetConfig()
        captures = spec(Entity.CAPTURES, Scope.SITE)
        slack_ms = int(captures.config()["segment.ms"])  # a record leaves with its whole segment
        assert captures.retention_ms + slack_ms < config.horizon_ms
        for entity in (Entity.DECISIONS, Entity.DISPOSITIONS):
            assert spec(entity, Scope.SITE).retention_ms > config.horizon_ms

    def test_compacted_topics_are_keyed_by_what_is_unique(self) -> None:
        """Compaction keeps one record a key, so the key must be the id of the thing."""
        assert {"decisions": "capture_id", "references": "reference_id", "products": "product_id"} == {
            row.entity.value: row.key for row in TOPICS if "compact" in row.config()["cleanup.policy"]
        }
