"""A secured broker with every principal of two sites, and the rules of the table in force on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from streams import acl_admin
from streams.acls import Role, principals, rules
from streams.topics import create_topics
from tests.integration.security.secured_broker import SUPER, SecuredBroker

SITES = ("east", "west.2")  # a dot in a site's name must not open a door


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """The broker. Its super user makes the rules, then the admin's own credential makes the topics."""
    broker = SecuredBroker(tmp_path_factory.mktemp("secured"), [*principals(SITES), "stranger"])
    try:
        broker.start()
        with pytest.MonkeyPatch.context() as environment:
            for user, work in (
                (SUPER, acl_admin.grant(broker.bootstrap, rules(SITES))),
                (Role.ADMIN.principal(), create_topics(broker.bootstrap, SITES, partitions=1)),
            ):
                for name, value in broker.variables(user).items():
                    environment.setenv(name, value)
                asyncio.run(work)
        yield broker
    finally:
        broker.stop()
