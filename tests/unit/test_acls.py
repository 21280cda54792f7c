"""The broker's rules as the table gives them: who may do what, said once more by hand."""

from __future__ import annotations

import pytest

from streams.acls import WORKERS, Operation, Pattern, Resource, Role, principals, role_of, rules
from streams.topics import TOPICS, Entity, names, topic

SITES = ("fra1", "ber.2")
SITE_TOPICS = set(Entity) - {Entity.REFERENCES, Entity.PRODUCTS}


def holders(name: str, operation: Operation) -> set[str]:
    """Return who may do something with a topic, by name."""
    return {
        rule.principal
        for rule in rules(SITES)
        if rule.resource is Resource.TOPIC and rule.name == name and rule.operation is operation
    }


class TestWriters:
    """Nobody speaks for anybody else."""

    @pytest.mark.parametrize("site", SITES)
    def test_of_a_sites_topics(self, site: str) -> None:
        """Each has the writers that the design names, and the operator only where dead letters are sent in again."""
        writers = {entity: holders(topic(entity, site), Operation.WRITE) for entity in Entity if entity in SITE_TOPICS}
        assert {
            Entity.CAPTURES: {f"sideline.{site}.station", "sideline.operator"},
            Entity.SCANS: {f"sideline.{site}.scanner", "sideline.operator"},
            Entity.DISPOSITIONS: {f"sideline.{site}.terminal", "sideline.operator"},
            Entity.DECISIONS: {"sideline.inspector"},
            Entity.SIDELINED: {"sideline.inspector"},
            Entity.EPCIS: {"sideline.herald"},
            Entity.DEAD: {f"sideline.{who}" for who in ("inspector", "tracker", "settler", "herald")},
        } == writers

    def test_of_the_topics_of_all_sites(self) -> None:
        """No site's credential writes what every site reads."""
        assert {
            Entity.REFERENCES: {"sideline.catalogue", "sideline.settler", "sideline.operator"},
            Entity.PRODUCTS: {"sideline.catalogue", "sideline.operator"},
            Entity.DEAD: {"sideline.curator"},
        } == {each: holders(topic(each), Operation.WRITE) for each in (Entity.REFERENCES, Entity.PRODUCTS, Entity.DEAD)}


class TestReaders:
    """Nobody looks over a neighbour's fence."""

    def test_a_sites_people_read_their_own_site_only(self) -> None:
        """Every rule of a site's principal names that site."""
        of_site = {name: site for name, (_, site) in principals(SITES).items() if site is not None}
        named = [rule for rule in rules(SITES) if rule.principal in of_site]
        assert named
        for rule in named:
            assert rule.name.startswith(f"sideline.{of_site[rule.principal]}.")

    def test_captures_are_read_by_the_inspector_and_the_operator(self) -> None:
        """Pictures' places and people's working times are nobody else's business."""
        assert {"sideline.inspector", "sideline.operator"} == holders(topic(Entity.CAPTURES, "fra1"), Operation.READ)


class TestShape:
    """What the rules are made of."""

    def test_only_the_admin_has_rules_on_more_than_one_topic(self) -> None:
        """Every other rule on a topic names one topic that exists; nobody may delete."""
        known = set(names(Entity, SITES))
        for rule in rules(SITES):
            if rule.resource is Resource.TOPIC and rule.principal != Role.ADMIN.principal():
                assert rule.pattern is Pattern.LITERAL
                assert rule.name in known

    def test_the_admin_touches_no_record(self) -> None:
        """Whoever makes the rules has no rule to read or write."""
        granted = {rule.operation for rule in rules(SITES) if rule.principal == Role.ADMIN.principal()}
        assert granted
        assert not granted & {Operation.READ, Operation.WRITE}

    def test_each_worker_has_its_own_group(self) -> None:
        """And no one else may join it."""
        for worker in WORKERS:
            joins = {
                rule.principal
                for rule in rules(SITES)
                if rule.resource is Resource.GROUP and rule.operation is Operation.READ and rule.name == worker.value
            }
            assert {worker.principal()} == joins

    def test_groups_of_one_site_are_no_beginning_of_anothers(self) -> None:
        """A site may be called like another one's role, dots included."""
        sites = ("a", "a.wms", "a.wms.wms")
        prefixes = [rule.name for rule in rules(sites) if rule.pattern is Pattern.PREFIXED and rule.name != "sideline."]
        assert prefixes
        assert not [(one, other) for one in prefixes for other in prefixes if one != other and other.startswith(one)]
        assert len(principals(sites)) == len(Role) - 6 + 6 * len(sites)


class TestWords:
    """The topic table's writers and readers."""

    def test_every_word_means_somebody(self) -> None:
        """A new word in the table needs a principal before anyone can use the topic."""
        assert {role_of(word) for row in TOPICS for word in (*row.writers, *row.readers)} <= set(Role)

    def test_an_unknown_word_names_the_place_to_mend(self) -> None:
        """It is not taken for nobody."""
        with pytest.raises(ValueError, match=r"streams/acls\.py"):
            role_of("visitors")

    def test_a_role_knows_whether_it_has_a_site(self) -> None:
        """A worker of one site, or a station of none, is a mistake."""
        with pytest.raises(ValueError, match="inspector is not of a site"):
            Role.INSPECTOR.principal("fra1")
        with pytest.raises(ValueError, match="station is of a site"):
            Role.STATION.principal()
