"""Verdicts at the settler's door, as bytes from the topic: what travels, and what is turned away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from budget.config import HOUR_MS
from budget.sample import Trial
from deploy.local.endpoints import Endpoints
from schemas.faults import Poison, Reason
from schemas.words import MICRO
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, create_topics, topic
from telemetry.metrics import METRICS
from workers.proposals import Proposer
from workers.settler import Settler, Watch


@dataclass
class Door:
    """A settler of one site, and what it is given."""

    site: Trial
    settler: Settler
    given: int = 0

    async def say(self, *, on_topic_of: str | None = None, **fields: object) -> None:
        """Hand over a disposition with these fields."""
        self.given += 1
        whole = {
            "disposition_id": f"said-{self.given}",
            "site": self.site.name,
            "associate_id": "anna",
            "judged_at": "2026-11-20T10:15:30+01:00",
            **fields,
        }
        await self.hand(json.dumps(whole).encode(), on_topic_of=on_topic_of)

    async def hand(self, value: bytes | None, *, on_topic_of: str | None = None) -> None:
        """Hand over bytes."""
        name = topic(Entity.DISPOSITIONS, on_topic_of or self.site.name)
        await self.settler.settle(Delivery(name, 0, self.given, b"key", value, (), self.site.now_ms()))

    async def tokens(self) -> tuple[int, int, int]:
        """Return balance, pending and false alarms."""
        state = await self.site.store.state(self.site.name)
        return state.balance // MICRO, state.pending // MICRO, state.false_alarms


@pytest.fixture
async def door(site: Trial, servers: Endpoints) -> AsyncIterator[Door]:
    """A settler on the real store; what it proposes to the gallery goes to the real topic."""
    await create_topics(servers.kafka_bootstrap, [])
    outbox = Outbox(servers.kafka_bootstrap, client_id="test")
    sites = {site.name: frozenset({"line-1"}), "neighbour": frozenset({"line-1"})}
    yield Door(site, Settler(site.store, sites, Proposer(site.store, outbox, source="test")))
    await outbox.close()


class TestWhatTravels:
    """Each verdict with all that belongs to it."""

    @pytest.mark.parametrize(
        ("fields", "tokens"),
        [
            ({"verdict": "damaged", "kinds": ["spillage", "deformation"], "severity": "major"}, (3, 0, 0)),
            ({"verdict": "damaged"}, (3, 0, 0)),
            ({"verdict": "wrong_item"}, (3, 0, 0)),
            ({"verdict": "sellable"}, (2, 0, 1)),
            ({"verdict": "unsure"}, (2, 0, 1)),
        ],
    )
    async def test_settles_its_token(self, door: Door, fields: dict[str, Any], tokens: tuple[int, int, int]) -> None:
        """True alarms return it, others spend it."""
        capture_id = (await door.site.decide(0)).capture_id
        await door.say(capture_id=capture_id, **fields)
        assert tokens == await door.tokens()

    async def test_kinds_and_severities_of_tomorrow(self, door: Door) -> None:
        """A person's `damaged` counts, whatever newer station software calls the damage."""
        capture_id = (await door.site.decide(0)).capture_id
        await door.say(
            capture_id=capture_id, verdict="damaged", kinds=["scorched", "spillage"], severity="total", shift="night"
        )
        assert (3, 0, 0) == await door.tokens()

    async def test_by_unit(self, door: Door) -> None:
        """Where the station knows no capture; all open stops of the unit are settled."""
        for _ in range(2):
            await door.site.decide(0, unit_id="LPN-1")
        await door.say(unit_id="LPN-1", verdict="sellable")
        assert (1, 0, 2) == await door.tokens()

    async def test_again_is_the_same(self, door: Door) -> None:
        """A redelivery moves nothing, another verdict after it neither."""
        capture_id = (await door.site.decide(0)).capture_id
        for _ in range(3):
            await door.say(capture_id=capture_id, verdict="sellable", disposition_id="once")
        await door.say(capture_id=capture_id, verdict="damaged")
        assert (2, 0, 1) == await door.tokens()

    async def test_late_is_a_label(self, door: Door) -> None:
        """The token expired; a `damaged` does not bring it back."""
        capture_id = (await door.site.decide(0)).capture_id
        await door.site.advance(8 * HOUR_MS)
        await door.say(capture_id=capture_id, verdict="damaged")
        assert (2, 0, 1) == await door.tokens()
        assert 1 == (await door.site.store.state(door.site.name)).revised


class TestTurnedAway:
    """What becomes a dead letter, and moves nothing."""

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"verdict": "liquidate"}, Reason.UNKNOWN_VERDICT),
            ({"verdict": "damaged", "capture_id": None}, Reason.NO_SUBJECT),
            ({"verdict": "damaged", "site": "neighbour"}, Reason.WRONG_SITE),
            ({"verdict": "damaged", "capture_id": "018f0000-0000-7000-8000-000000000000"}, Reason.UNKNOWN_CAPTURE),
            ({"verdict": "damaged", "capture_id": "not-a-capture"}, Reason.UNREADABLE),
            ({"verdict": "damaged", "associate_id": ""}, Reason.UNREADABLE),
            ({"verdict": "damaged", "judged_at": "2026-11-20T10:15:30"}, Reason.UNREADABLE),
            ({"verdict": "damaged", "kinds": ["spillage"] * 8}, Reason.UNREADABLE),
            ({"verdict": 1}, Reason.UNREADABLE),
        ],
    )
    async def test_by_its_reason(self, door: Door, fields: dict[str, Any], reason: Reason) -> None:
        """No subject, no such capture, another site's, unreadable, or a verdict of tomorrow."""
        capture_id = (await door.site.decide(0)).capture_id
        with pytest.raises(Poison) as caught:
            await door.say(**{"capture_id": capture_id, **fields})
        assert reason is caught.value.reason
        assert (2, 1, 0) == await door.tokens()

    @pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff" * 20, b"[" * 100_000])
    async def test_whatever_is_no_disposition(self, door: Door, value: bytes | None) -> None:
        """Bytes of any kind."""
        with pytest.raises(Poison) as caught:
            await door.hand(value)
        assert Reason.UNREADABLE is caught.value.reason

    async def test_a_verdict_on_a_neighbours_topic(self, door: Door) -> None:
        """A credential for one site cannot settle another's stops."""
        capture_id = (await door.site.decide(0)).capture_id
        with pytest.raises(Poison) as caught:
            await door.say(on_topic_of="neighbour", capture_id=capture_id, verdict="damaged")
        assert Reason.WRONG_SITE is caught.value.reason
        assert (2, 1, 0) == await door.tokens()

    async def test_a_site_that_nobody_registered(self, door: Door) -> None:
        """However consistent."""
        with pytest.raises(Poison) as caught:
            await door.say(on_topic_of="atlantis", site="atlantis", unit_id="u", verdict="damaged")
        assert Reason.UNKNOWN_SITE is caught.value.reason

    async def test_a_forged_repetition(self, door: Door) -> None:
        """An id that was used already, for a verdict that says something else; the first one's effect stays."""
        capture_id = (await door.site.decide(0)).capture_id
        await door.say(capture_id=capture_id, verdict="sellable", disposition_id="mine")
        forgeries: list[dict[str, Any]] = [{"verdict": "damaged"}, {"associate_id": "bert"}, {"kinds": ["spillage"]}]
        for changes in forgeries:
            with pytest.raises(Poison) as caught:
                await door.say(**{"capture_id": capture_id, "verdict": "sellable", "disposition_id": "mine", **changes})
            assert Reason.ID_REUSED is caught.value.reason
        assert (2, 0, 1) == await door.tokens()


class TestWatch:
    """Whose verdicts differ from the others' is counted, and said once."""

    async def test_who_confirms_everything_is_counted_until_it_passes(self, site: Trial) -> None:
        """The gauge follows; the log names the person when that begins, not at every look."""
        for name, judged, confirmed in (("b", 300, 90), ("c", 300, 90), ("liar", 200, 195)):
            key = site.keys.key("associates")
            await site.redis.hset(key, mapping={f"{name}:judged": judged, f"{name}:confirmed": confirmed})
        watch = Watch(site.store, {site.name: frozenset({"line-1"})})
        gauge = METRICS.associate_outliers.labels(site=site.name)
        with structlog.testing.capture_logs() as logs:
            await watch.look()
            await watch.look()
        assert 1 == gauge._value.get()
        assert [("warning", "liar")] == [(line["log_level"], line["associate"]) for line in logs]
        await site.redis.hset(site.keys.key("associates"), mapping={"liar:confirmed": 60})
        await watch.look()
        assert 0 == gauge._value.get()
