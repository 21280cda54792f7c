"""Real workers and commands on a secured broker and secured stores, each with the credential of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from booth.wire import Sender
from budget.sample import Line
from cli.main import app
from deploy.store_access import Store, users
from evidence.scans import ScanBoard
from schemas.codec import decode, read_dead_letter
from schemas.messages import Decision, Scan
from schemas.words import Verdict
from settings.line import Settings
from streams.acls import Role
from streams.outbox import Outbox
from streams.topics import Entity, last_seq, topic
from tests.integration.security.conftest import SITE, Hands, as_user
from tests.integration.security.processes import LIMIT_S, credential, first, now_ms, worker
from tests.integration.security.secured_broker import SecuredBroker
from tests.integration.security.secured_store import KEEPER, SecuredStore
from workers.sites import registered_sites

NOW = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)


class TestWorkers:
    """They do their work with nothing but their own credential, and give it away to nobody."""

    async def test_the_tracker(
        self,
        broker: SecuredBroker,
        decisions: SecuredStore,
        hands: Hands,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A scanner's scan reaches the board, an unreadable one the dead letters; no password in logs or pages."""
        await hands.operator.sites()
        as_user(monkeypatch, broker, Role.SCANNER.principal(SITE))
        outbox = Outbox(broker.bootstrap, client_id="scanner")
        async with Sender(broker.bootstrap, source="/test") as sender:
            scan = Scan(
                scan_id="scan-of-a-secured-line",
                site=SITE,
                line="line-1",
                station="s-1",
                unit_id="unit-secured",
                scanned_at=NOW,
                code="00012345678905",
                symbology="ean13",
            )
            scans = topic(Entity.SCANS, SITE)
            await sender.send(scans, scan.unit_id, scan, entity="scan", event_id=scan.scan_id, at=NOW)
            await outbox.send(scans, key=b"u", value=b"no scan", headers=[])
        await outbox.close()
        async with worker("tracker", credential(broker, decisions, Role.TRACKER, hands.store_id), tmp_path) as tracker:
            board = ScanBoard(decisions.url(Role.INSPECTOR.principal()), window_s=3600)
            async with asyncio.timeout(LIMIT_S):
                while not (found := await board.of(SITE, "unit-secured", at_ms=now_ms())).nearest_first:
                    await asyncio.sleep(0.05)
            assert "scan-of-a-secured-line" == found.nearest_first[0].scan_id
            await board.close()
            as_user(monkeypatch, broker, Role.OPERATOR.principal())
            dead = await first(broker, topic(Entity.DEAD, SITE), lambda one: one.value == b"no scan")
            assert "unreadable" == read_dead_letter(dead.headers).reason
            pages = await tracker.pages()
        told = "".join(tracker.said) + pages
        assert "sideline" in told
        user = Role.TRACKER.principal()
        assert [] == [secret for secret in (broker.secrets[user], decisions.secrets[user]) if secret in told]

    async def test_the_settler(
        self,
        broker: SecuredBroker,
        decisions: SecuredStore,
        hands: Hands,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A verdict from the site's terminal settles the stop that an inspector made."""
        line = Line(SITE)
        stop = await hands.inspector.decide(line.request(now_ms=now_ms(), score=9_000_000))
        assert stop.sidelined is not None
        verdict = line.disposition(Verdict.SELLABLE, capture_id=stop.capture_id, associate_id="associate-secured")
        as_user(monkeypatch, broker, Role.TERMINAL.principal(SITE))
        async with Sender(broker.bootstrap, source="/test") as sender:
            about = {"entity": "disposition", "event_id": verdict.disposition_id, "at": NOW}
            await sender.send(topic(Entity.DISPOSITIONS, SITE), "any", verdict, **about)  # type: ignore[arg-type]
        async with worker("settler", credential(broker, decisions, Role.SETTLER, hands.store_id), tmp_path):
            async with asyncio.timeout(LIMIT_S):
                while "associate-secured" not in await hands.settler.associates(SITE):
                    await asyncio.sleep(0.05)
        again = await hands.settler.settle(verdict)
        assert ("settled", 1) == (again.state, again.spent)

    async def test_the_herald(
        self,
        broker: SecuredBroker,
        decisions: SecuredStore,
        hands: Hands,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A verdict that names a capture only: its unit is looked up, and the partner reads the event."""
        line = Line(SITE)
        request = line.request(now_ms=now_ms(), unit_id="unit-of-the-herald")
        await hands.inspector.decide(request)
        verdict = line.disposition(Verdict.SELLABLE, capture_id=request.capture_id)
        as_user(monkeypatch, broker, Role.TERMINAL.principal(SITE))
        async with Sender(broker.bootstrap, source="/test") as sender:
            about = {"entity": "disposition", "event_id": verdict.disposition_id, "at": NOW}
            await sender.send(topic(Entity.DISPOSITIONS, SITE), "any", verdict, **about)  # type: ignore[arg-type]
        as_user(monkeypatch, broker, Role.PARTNER.principal(SITE))
        async with worker("herald", credential(broker, decisions, Role.HERALD, hands.store_id), tmp_path):
            await first(broker, topic(Entity.EPCIS, SITE), lambda one: one.key == b"unit-of-the-herald")

    async def test_a_credential_of_another_worker_is_of_no_use(
        self, broker: SecuredBroker, decisions: SecuredStore, hands: Hands, tmp_path: Path
    ) -> None:
        """A tracker that logs in as the herald sees no scans: it stops, and says where to look."""
        await hands.operator.sites()
        right = credential(broker, decisions, Role.TRACKER, hands.store_id)
        async with worker("tracker", right | broker.variables(Role.HERALD.principal()), tmp_path) as tracker:
            assert 78 == await asyncio.wait_for(tracker.process.wait(), LIMIT_S)
        assert "topics are missing" in "".join(tracker.said)

    async def test_a_secret_that_cannot_be_read_stops_a_worker_at_once(self, tmp_path: Path) -> None:
        """It names the variable; it does not go on without a password."""
        variables = {
            "SIDELINE_KAFKA_PROTOCOL": "SASL_SSL",
            "SIDELINE_KAFKA_USERNAME": "sideline.tracker",
            "SIDELINE_KAFKA_PASSWORD_FILE": str(tmp_path / "nowhere"),
        }
        async with worker("tracker", variables, tmp_path) as tracker:
            assert 0 != await asyncio.wait_for(tracker.process.wait(), LIMIT_S)
        assert "SIDELINE_KAFKA_PASSWORD_FILE" in "".join(tracker.said)


class TestStarting:
    """What workers ask the broker before they work."""

    async def test_the_inspector_finds_its_topics_and_the_last_seq(
        self, broker: SecuredBroker, hands: Hands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With its own credential it sees the four kinds of topics, and reads the decisions back."""
        as_user(monkeypatch, broker, Role.INSPECTOR.principal())
        asked = [Entity.CAPTURES, Entity.DECISIONS, Entity.SIDELINED, Entity.DEAD]
        assert SITE in await registered_sites(Settings(), hands.inspector, *asked)
        record = await hands.inspector.decide(Line(SITE).request(now_ms=now_ms()))
        outbox = Outbox(broker.bootstrap, client_id="inspector")
        await outbox.send(topic(Entity.DECISIONS, SITE), key=b"c", value=record.decision, headers=[])
        await outbox.close()
        assert decode(Decision, record.decision).seq == await last_seq(broker.bootstrap, SITE)


class TestCommands:
    """`sideline acls` on the real servers."""

    def test_rules_and_users_are_put_in_force(
        self,
        broker: SecuredBroker,
        decisions: SecuredStore,
        gallery: SecuredStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Rules for a new site are made once; users get the passwords of a folder; nothing is printed of them."""
        as_user(monkeypatch, broker, Role.ADMIN.principal())
        places = {"SIDELINE_REDIS_DECISIONS_URL": decisions, "SIDELINE_REDIS_GALLERY_URL": gallery}
        for name, store in places.items():
            monkeypatch.setenv(name, store.url(KEEPER))
            for user in users(store.store):
                (tmp_path / user).write_text(store.secrets[user] + "\n")
        monkeypatch.setenv("SIDELINE_TRITON_URL", "127.0.0.1:1")
        monkeypatch.setenv("SIDELINE_RUN_DIR", str(tmp_path / "run"))
        said = [told("apply", "--site", "south", "--site", "west.2") for _ in range(2)]
        assert "0 rules made" in said[1]
        assert "0 rules made" not in said[0]
        assert "not in the table" not in "".join(said)
        told("apply", "--stores", "--passwords", str(tmp_path))
        shown = told("show", "--stores", "--passwords", str(tmp_path))
        assert len([line for line in shown.splitlines() if line.startswith("user ")]) == sum(
            len(users(store)) for store in Store
        )
        assert [] == [word for store in places.values() for word in store.secrets.values() if word in shown]
        assert "sideline.south.station\tWRITE\ttopic\tsideline.south.captures.v1" in told("show", "--site", "south")


def told(*words: str) -> str:
    """Return what `sideline acls` prints."""
    result = CliRunner().invoke(app, ["acls", *words], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return result.output
