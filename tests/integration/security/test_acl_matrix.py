"""Every principal tries every operation on every topic, group and the cluster of a real secured broker."""

from __future__ import annotations

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from schemas.faults import Fatal
from settings.credentials import Credentials
from streams import acl_admin, connection
from streams.acls import GROUP_MARK, WORKERS, Operation, Pattern, Resource, Role, Rule, principals, rules, rules_of
from streams.outbox import Outbox
from streams.topics import TOPICS, Entity, Scope, topic
from tests.integration.security.attempts import Intruder
from tests.integration.security.conftest import SITES, as_user
from tests.integration.security.secured_broker import SecuredBroker

EVERYONE = sorted([*principals(SITES), "stranger"])
NAMES = {row.name(site): row for row in TOPICS for site in (SITES if row.scope is Scope.SITE else (None,))}
GROUPS = [
    *(worker.value for worker in WORKERS),
    *(f"{principal}{GROUP_MARK}any" for principal in principals(SITES)),
    "somebody-elses",
]
DESCRIBING = {Operation.READ, Operation.WRITE, Operation.DESCRIBE}  # the first two imply the third
NEW = ("sideline.east.more.v1", "elsewhere")


def granted(principal: str, resource: Resource, *operations: Operation) -> list[str]:
    """Return the names, and the beginnings of names, that the table grants for any of some operations."""
    if principal not in principals(SITES):
        return []
    return [
        f"{rule.name}*" if rule.pattern is Pattern.PREFIXED else rule.name
        for rule in rules_of(principal, SITES)
        if rule.resource is resource and rule.operation in operations
    ]


def matching(names: object, patterns: list[str]) -> set[str]:
    """Return the names that one of the patterns covers."""
    return {
        name
        for name in names  # type: ignore[attr-defined]
        if any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in patterns)
    }


@pytest.mark.parametrize("principal", EVERYONE)
class TestTheMatrix:
    """What is allowed is what the table says, and nothing else."""

    async def test_topics(self, broker: SecuredBroker, principal: str) -> None:
        """Writing, reading, seeing, deleting, making topics, and reading and changing their settings."""

        def by(*operations: Operation) -> set[str]:
            return matching(NAMES, granted(principal, Resource.TOPIC, *operations))

        topics = list(NAMES)
        async with Intruder(broker.bootstrap, broker.who(principal)) as intruder:
            assert by(Operation.WRITE) == await intruder.write(topics)
            assert by(Operation.READ) == await intruder.read(topics)
            assert by(*DESCRIBING) == await intruder.describe(topics)
            assert by(Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS) == await intruder.describe_configs(topics)
            configs = {name: row.config() for name, row in NAMES.items()}
            assert by(Operation.ALTER_CONFIGS) == await intruder.alter_configs(configs)
            assert set() == await intruder.delete(topics)
            may_create = matching(NEW, granted(principal, Resource.TOPIC, Operation.CREATE))
            assert may_create == await intruder.create(NEW)

    async def test_groups_and_transactions(self, broker: SecuredBroker, principal: str) -> None:
        """Moving the place of a consumer group, seeing it, and the ids of producers."""
        reads = matching(GROUPS, granted(principal, Resource.GROUP, Operation.READ))
        sees = matching(GROUPS, granted(principal, Resource.GROUP, Operation.READ, Operation.DESCRIBE))
        writes = granted(principal, Resource.TOPIC, Operation.WRITE)
        async with Intruder(broker.bootstrap, broker.who(principal)) as intruder:
            assert reads == await intruder.join(GROUPS, topic(Entity.CAPTURES, SITES[0]))
            assert sees == await intruder.watch(GROUPS)
            assert bool(writes) == await intruder.be_idempotent()
            assert not await intruder.transact("sideline")

    async def test_the_rules_themselves(self, broker: SecuredBroker, principal: str) -> None:
        """Only the admin sees the rules and may make any."""
        known = (Resource.TOPIC, topic(Entity.CAPTURES, "east"), Pattern.LITERAL)
        already = (*known, f"User:{Role.STATION.principal('east')}", "*", Operation.WRITE, 3)
        async with Intruder(broker.bootstrap, broker.who(principal)) as intruder:
            admin = principal == Role.ADMIN.principal()
            assert admin == await intruder.see_rules()
            assert admin == await intruder.make_rule(already)


class TestTheAttempts:
    """The attempts above succeed where a rule lets them: else nothing but refusals would prove little."""

    async def test_a_rule_too_many_shows(self, broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stranger who was let write decisions and join the inspectors does both, and neither afterwards."""
        decisions = topic(Entity.DECISIONS, "east")
        extra = [
            Rule("stranger", Resource.TOPIC, decisions, Pattern.LITERAL, Operation.WRITE),
            Rule("stranger", Resource.GROUP, "inspector", Pattern.LITERAL, Operation.READ),
        ]
        as_user(monkeypatch, broker, Role.ADMIN.principal())
        await acl_admin.grant(broker.bootstrap, extra)
        try:
            async with Intruder(broker.bootstrap, broker.who("stranger")) as intruder:
                assert {decisions} == await intruder.write(list(NAMES))
                assert {"inspector"} == await intruder.join(GROUPS, decisions)
                found = await acl_admin.difference(broker.bootstrap, rules(SITES))
                assert tuple(sorted(extra)) == found.surplus
                await acl_admin.revoke(broker.bootstrap, extra)
                assert set() == await intruder.write(list(NAMES))
                assert set() == await intruder.join(GROUPS, decisions)
        finally:
            await acl_admin.revoke(broker.bootstrap, extra)


class TestTheDoor:
    """Whoever does not prove who they are gets nothing at all."""

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kafka_protocol": "PLAINTEXT", "kafka_username": "", "kafka_password": ""},
            {"kafka_password": "guessed"},
            {"kafka_username": "nobody"},
            {"kafka_mechanism": "PLAIN"},
            {"kafka_mechanism": "SCRAM-SHA-256"},
        ],
        ids=["nobody", "wrong password", "unknown user", "plain", "weaker hash"],
    )
    async def test_it_stays_closed(self, broker: SecuredBroker, wrong: dict[str, str]) -> None:
        """No connection without the right password in the right mechanism."""
        user = Role.INSPECTOR.principal()
        right = {
            "kafka_protocol": "SASL_PLAINTEXT",
            "kafka_username": user,
            "kafka_password": broker.secrets[user],
        }
        who = Credentials.model_validate(right | wrong)
        client = AIOKafkaClient(**connection.arguments(broker.bootstrap, who), request_timeout_ms=3_000)
        with pytest.raises(KafkaConnectionError):
            await client.bootstrap()
        await client.close()

    async def test_a_broker_that_nobody_vouches_for(self, broker: SecuredBroker) -> None:
        """Over TLS the authority's file lets us in; without it the certificate is not believed."""
        user = Role.INSPECTOR.principal()
        right = {
            "kafka_protocol": "SASL_SSL",
            "kafka_username": user,
            "kafka_password": broker.secrets[user],
            "kafka_ca_file": broker.authority,
        }
        where = f"127.0.0.1:{broker.tls_port}"
        known = AIOKafkaClient(**connection.arguments(where, Credentials.model_validate(right)))
        await known.bootstrap()
        assert known.cluster.brokers()
        await known.close()
        stranger = Credentials.model_validate(right | {"kafka_ca_file": None})
        unknown = AIOKafkaClient(**connection.arguments(where, stranger))
        with pytest.raises(KafkaConnectionError):
            await unknown.bootstrap()
        await unknown.close()


class TestOurOwnClients:
    """What our code does with a credential that does not reach far enough."""

    async def test_a_station_speaks_for_its_site_only(
        self, broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its capture arrives; the same for another site is refused, which no waiting mends."""
        as_user(monkeypatch, broker, Role.STATION.principal("east"))
        outbox = Outbox(broker.bootstrap, client_id="station")
        try:
            await outbox.send(topic(Entity.CAPTURES, "east"), key=b"unit", value=b"{}", headers=[])
            with pytest.raises(Fatal, match="sideline acls show"):
                await outbox.send(topic(Entity.CAPTURES, "west.2"), key=b"unit", value=b"{}", headers=[])
        finally:
            await outbox.close()

    async def test_the_rules_are_compared_and_mended(
        self, broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A rule too many and one too few are both found, and set right."""
        as_user(monkeypatch, broker, Role.ADMIN.principal())
        wanted = rules(SITES)
        lost = next(rule for rule in wanted if rule.principal == Role.ANALYST.principal("east"))
        await acl_admin.revoke(broker.bootstrap, [lost])
        found = await acl_admin.difference(broker.bootstrap, wanted)
        assert ((lost,), (), ()) == (found.missing, found.surplus, found.strange)
        await acl_admin.grant(broker.bootstrap, [lost])
        narrower = [rule for rule in wanted if rule != lost]
        found = await acl_admin.difference(broker.bootstrap, narrower)
        assert ((), (lost,), ()) == (found.missing, found.surplus, found.strange)

    async def test_only_the_admin_compares(self, broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker's credential learns nothing of the rules."""
        as_user(monkeypatch, broker, Role.INSPECTOR.principal())
        with pytest.raises(Fatal, match="cannot see the rules"):
            await acl_admin.difference(broker.bootstrap, rules(SITES))
