"""A broker and both stores, secured as the tables say, with every principal of two sites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import pytest

from budget.config import BudgetConfig
from budget.store import DecisionStore
from deploy.store_access import Store
from streams import acl_admin
from streams.acls import Role, principals, rules
from streams.topics import create_topics
from tests.integration.security.secured_broker import SUPER, SecuredBroker
from tests.integration.security.secured_store import SecuredStore

SITE = "east"
SITES = (SITE, "west.2")  # a dot in a site's name must not open a door
CONFIG: Final = BudgetConfig(
    alpha_ppm=200_000, burst_tokens=20, beta_ppm=400_000, audit_ppm=50_000, recheck_ppm=200_000, verdict_delay_ms=1_000
)


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
                as_user(environment, broker, user)
                asyncio.run(work)
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredStore]:
    """A decision store with the table's users."""
    yield from running(SecuredStore(tmp_path_factory.mktemp("decisions"), Store.DECISIONS))


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, decisions: SecuredStore) -> Iterator[SecuredStore]:
    """A gallery store with the table's users; a user has one password for both stores."""
    yield from running(SecuredStore(tmp_path_factory.mktemp("gallery"), Store.GALLERY, decisions.secrets))


def running(store: SecuredStore) -> Iterator[SecuredStore]:
    """Start a store, and end it afterwards."""
    try:
        store.start()
        yield store
    finally:
        store.stop()


@dataclass(slots=True)
class Hands:
    """One client of the decision store for each user."""

    store_id: str
    inspector: DecisionStore
    settler: DecisionStore
    herald: DecisionStore
    curator: DecisionStore
    tracker: DecisionStore
    operator: DecisionStore


@pytest.fixture
async def hands(decisions: SecuredStore) -> AsyncIterator[Hands]:
    """All users on an initialised store with one site."""
    async with AsyncExitStack() as stack:

        def client(role: Role, store_id: str) -> DecisionStore:
            store = DecisionStore(decisions.url(role.principal()), store_id=store_id, timeout_s=10.0)
            stack.push_async_callback(store.close)
            return store

        store_id = await client(Role.OPERATOR, "").initialise()
        roles = (Role.INSPECTOR, Role.SETTLER, Role.HERALD, Role.CURATOR, Role.TRACKER, Role.OPERATOR)
        hands = Hands(store_id, *(client(role, store_id) for role in roles))
        await hands.operator.register(SITE, ["line-1", "line-2"], CONFIG)
        yield hands


def as_user(monkeypatch: pytest.MonkeyPatch, broker: SecuredBroker, user: str) -> None:
    """Let this process be `user` from here on."""
    for name, value in broker.variables(user).items():
        monkeypatch.setenv(name, value)
