"""Redriving where no worker runs: what is sent, what is refused and why, and ends in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from budget.config import HOUR_MS, BudgetConfig
from budget.redrives import REDRIVE_LIMIT
from budget.sample import Trial
from cli.dead.fates import Fate
from cli.dead.letters import Letter, Wanted, letter_of, listed, read
from cli.dead.redriver import Redriver
from cli.tape import TopicReader
from deploy.local.endpoints import Endpoints
from deploy.local.folder import checkout
from deploy.local.parts import Parts
from schemas.codec import encode, new_uuid7
from schemas.faults import Poison, Reason
from schemas.messages import Capture, Product, Scan, View
from schemas.words import Outcome
from streams.dead_letters import REDRIVES, headers_of
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, create_topics, site_of, topic
from tests.integration.conftest import environment

DATABASE = 13  # of its own, where no worker of the line finds its sites
CONFIG = BudgetConfig(alpha_ppm=10_000, burst_tokens=3, reserve=0, verdict_delay_ms=1_000)


@dataclass(slots=True)
class Post:
    """A site with topics and a store, and nobody who works there."""

    trial: Trial
    outbox: Outbox
    bootstrap: str

    def redriver(self, *, again: bool = False, answer_within_s: float = 0.5) -> Redriver:
        """Return what the command works with."""
        return Redriver(self.trial.store, self.outbox, again=again, answer_within_s=answer_within_s)

    async def bury(
        self,
        value: bytes,
        reason: Reason,
        *,
        entity: Entity = Entity.CAPTURES,
        at: str | None = None,
        redrives: int = 0,
    ) -> tuple[Letter, Delivery]:
        """Put a dead letter on the site's dead topic, as a worker does."""
        site = None if entity in {Entity.PRODUCTS, Entity.REFERENCES} else self.trial.name
        headers = (("traceparent", b"00-1"), ("sideline-redrives", str(redrives).encode()))
        original = Delivery(topic(entity, site), 0, 7, b"the key", value, headers, 0)
        letter_headers = headers_of(original, Poison(reason, "why"), worker="w", failed_at=at)
        await self.outbox.send(topic(Entity.DEAD, site), key=b"the key", value=value, headers=letter_headers)
        letters = read(self.bootstrap, self.trial.name, Wanted())  # with those that other sites' tests left
        there = [pair async for pair in letters if site == site_of(pair[0].topic) and pair[1].value == value]
        return max(there, key=lambda pair: (pair[0].append_ms, pair[0].offset))

    async def rejected(self) -> tuple[Letter, Delivery]:
        """Have a capture rejected, and its dead letter sent."""
        capture = self.capture()
        raw = encode(capture)
        request = self.trial.line.request(
            now_ms=self.trial.now_ms(),
            capture_id=capture.capture_id,
            unit_id=capture.unit_id,
            digest=hashlib.sha256(raw).hexdigest(),
            decide_by_ms=self.trial.now_ms() + HOUR_MS,
        )
        record = await self.trial.store.decide(
            replace(request, ask=Outcome.REJECTED, reason="view_missing", score=None)
        )
        return await self.bury(raw, Reason.VIEW_MISSING, at=record.decided_at)

    def capture(self, *, made_ms: int | None = None) -> Capture:
        """Make a capture of the site."""
        now_ms = self.trial.now_ms() if made_ms is None else made_ms
        return Capture(
            capture_id=new_uuid7(at_ms=now_ms, random_bits=self.trial.line.rng.getrandbits(74)),
            site=self.trial.name,
            line="line-1",
            station="station-1",
            unit_id="unit-1",
            captured_at=datetime.now(UTC),
            views=[View(uri="file:///images/a.jpg", sha256="0" * 64, size=1)],
        )

    def scan(self) -> bytes:
        """Make a scan of the site."""
        scan_id = f"scan-{self.trial.line.rng.getrandbits(64):x}"
        return encode(
            Scan(
                scan_id=scan_id,
                site=self.trial.name,
                line="line-1",
                station="station-1",
                unit_id="unit-1",
                scanned_at=datetime.now(UTC),
                code="4006381333931",
            )
        )

    async def sent(self, entity: Entity) -> list[Delivery]:
        """Return what is on an input topic."""
        site = None if entity in {Entity.PRODUCTS, Entity.REFERENCES} else self.trial.name
        async with TopicReader(self.bootstrap, [topic(entity, site)]) as reader:
            return sorted(await reader.rest(), key=lambda one: (one.append_ms, one.offset))


def start(words: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    arguments = [sys.executable, "-m", "cli.main", *words]
    return subprocess.Popen(
        arguments, env=env, cwd=checkout(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def store_url(servers: Endpoints) -> str:
    """The decision store of these tests."""
    return servers.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"


@pytest.fixture
async def post(servers: Endpoints, store_url: str, unique: str) -> AsyncIterator[Post]:
    """A site of this test's own."""
    await create_topics(servers.kafka_bootstrap, [unique], partitions=1)
    trial = await Trial.open(store_url, unique, CONFIG)
    outbox = Outbox(servers.kafka_bootstrap, client_id="test")
    yield Post(trial, outbox, servers.kafka_bootstrap)
    await outbox.close()
    await trial.close()


class TestSent:
    """What goes back to its topic."""

    async def test_a_letter_without_an_outcome_goes_back_once(self, post: Post) -> None:
        """Key, bytes and headers of the original, and how often; --again goes on until it is poison."""
        raw = post.scan()
        letter = await post.bury(raw, Reason.UNKNOWN_LINE, entity=Entity.SCANS)
        assert Fate.SENT is (await post.redriver().redrive(*letter)).fate
        assert Fate.ALREADY is (await post.redriver().redrive(*letter)).fate
        again = [(await post.redriver(again=True).redrive(*letter)).fate for _ in range(REDRIVE_LIMIT)]
        assert [Fate.SENT] * (REDRIVE_LIMIT - 1) + [Fate.LIMIT] == again
        sent = await post.sent(Entity.SCANS)
        assert [(b"the key", raw)] * REDRIVE_LIMIT == [(one.key, one.value) for one in sent]
        counts = [(("traceparent", b"00-1"), (REDRIVES, str(at).encode())) for at in range(1, REDRIVE_LIMIT + 1)]
        assert counts == [one.headers for one in sent]

    async def test_the_limit_holds_through_chains(self, post: Post) -> None:
        """A letter whose message was redriven so often before is poison, whoever forgot it."""
        letter = await post.bury(post.scan(), Reason.UNKNOWN_LINE, entity=Entity.SCANS, redrives=REDRIVE_LIMIT)
        assert Fate.LIMIT is (await post.redriver().redrive(*letter)).fate
        last = await post.bury(post.scan(), Reason.UNKNOWN_LINE, entity=Entity.SCANS, redrives=REDRIVE_LIMIT - 1)
        assert Fate.SENT is (await post.redriver().redrive(*last)).fate

    async def test_a_global_letter_goes_to_the_global_topic(self, post: Post) -> None:
        """References and products are of no site."""
        raw = encode(Product(product_id=f"p-{post.trial.name}"))
        letter = await post.bury(raw, Reason.UNKNOWN_PRODUCT, entity=Entity.PRODUCTS)
        assert letter[0].position.startswith("global:")
        assert Fate.SENT is (await post.redriver().redrive(*letter)).fate
        assert 1 == sum(one.value == raw for one in await post.sent(Entity.PRODUCTS))

    async def test_a_capture_refused_at_the_door_goes_back_without_a_permission(self, post: Post) -> None:
        """It has no outcome yet."""
        letter = await post.bury(encode(post.capture()), Reason.UNKNOWN_LINE)
        assert Fate.SENT is (await post.redriver().redrive(*letter)).fate
        assert 1 == len(await post.sent(Entity.CAPTURES))


class TestRefused:
    """What is not sent, and that nothing was."""

    async def test_each_with_its_reason(self, post: Post) -> None:
        """Too old, used ids, rejections that the store does not know, and what is no letter of an input."""
        capture = encode(post.capture())
        cases = {
            Fate.HOPELESS: await post.bury(encode(post.capture(made_ms=1)), Reason.TOO_OLD),
            Fate.UNRECORDED: await post.bury(capture, Reason.VIEW_MISSING),
            Fate.NO_INPUT: await post.bury(b"{}", Reason.UNREADABLE, entity=Entity.SIDELINED),
        }
        told = {fate: (await post.redriver().redrive(*letter)).fate for fate, letter in cases.items()}
        assert {fate: fate for fate in cases} == told
        _, delivery = await post.rejected()
        impostor = replace(delivery, value=(delivery.value or b"") + b" ")
        assert Fate.OTHER_CONTENT is (await post.redriver().redrive(letter_of(impostor), impostor)).fate
        assert [] == await post.sent(Entity.CAPTURES)
        assert [] == await post.sent(Entity.SIDELINED)

    async def test_a_letter_that_names_another_place(self, post: Post) -> None:
        """Another site's topic, an unknown one, or none: whoever could write it there must not steer what is sent."""
        _, delivery = await post.bury(post.scan(), Reason.UNKNOWN_LINE, entity=Entity.SCANS)
        for name in ("sideline.elsewhere.scans.v1", "sideline.products.v1", "__consumer_offsets", ""):
            headers = [pair for pair in delivery.headers if pair[0] != "__connect.errors.topic"]
            forged = replace(delivery, headers=(*headers, ("__connect.errors.topic", name.encode())))
            assert Fate.NO_INPUT is (await post.redriver().redrive(letter_of(forged), forged)).fate
        assert [] == await post.sent(Entity.SCANS)

    async def test_examining_changes_nothing(self, post: Post) -> None:
        """A dry run gives no permission, notes nothing and sends nothing."""
        letter, other = await post.rejected(), await post.bury(post.scan(), Reason.UNKNOWN_LINE, entity=Entity.SCANS)
        for _ in range(2):
            for one in (letter, other):
                assert not hasattr(await post.redriver().examine(*one), "fate")
        record = await post.trial.store.look(post.trial.name, letter[0].ids[0])
        assert record is not None
        assert 0 == record.grant
        assert [] == [*await post.sent(Entity.CAPTURES), *await post.sent(Entity.SCANS)]


class TestEnds:
    """The command ends in the middle."""

    async def test_nobody_answers(self, post: Post) -> None:
        """It says so and tries no other capture; the permission stays, so the same command goes on from there."""
        first, second = await post.rejected(), await post.rejected()
        redriver = post.redriver()
        assert Fate.NO_ANSWER is (await redriver.redrive(*first)).fate
        assert Fate.NOT_TRIED is (await redriver.redrive(*second)).fate
        assert 1 == len(await post.sent(Entity.CAPTURES))
        assert Fate.NO_ANSWER is (await post.redriver().redrive(*first)).fate
        grants = [await post.trial.store.look(post.trial.name, one.ids[0]) for one, _ in (first, second)]
        assert [1, 0] == [0 if one is None else one.grant for one in grants]

    async def test_killed_after_the_send_of_what_has_no_outcome(self, post: Post) -> None:
        """It was not noted, so it is sent twice, with the same count; from then on it is noted."""
        raw = post.scan()
        letter, delivery = await post.bury(raw, Reason.UNKNOWN_LINE, entity=Entity.SCANS)
        await post.outbox.send(
            topic(Entity.SCANS, post.trial.name), key=b"the key", value=raw, headers=[(REDRIVES, b"1")]
        )
        assert Fate.SENT is (await post.redriver().redrive(letter, delivery)).fate
        assert Fate.ALREADY is (await post.redriver().redrive(letter, delivery)).fate
        assert [b"1", b"1"] == [dict(one.headers)[REDRIVES] for one in await post.sent(Entity.SCANS)]

    async def test_ctrl_c_and_again(self, post: Post, parts: Parts, store_url: str) -> None:
        """Interrupted while it waits it says what was done; run again it asks for the same permission."""
        letter, _ = await post.rejected()
        words = ["dead", "redrive", letter.ids[0], "--site", post.trial.name]
        env = {
            **environment(),
            "SIDELINE_RUN_DIR": str(parts.folder.root),
            "SIDELINE_REDIS_DECISIONS_URL": store_url,
            "SIDELINE_STORE_ID": post.trial.store_id,
        }
        for times in (1, 2):
            command = start(words, env)
            deadline = time.monotonic() + 20
            while len(await post.sent(Entity.CAPTURES)) < times:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            command.send_signal(signal.SIGINT)
            _, said = await asyncio.to_thread(command.communicate, timeout=20)
            assert (130, True) == (command.returncode, "interrupted" in said), said
            assert "Traceback" not in said
            record = await post.trial.store.look(post.trial.name, letter.ids[0])
            assert record is not None
            assert 1 == record.grant

    async def test_what_is_meant_can_be_counted(self, post: Post) -> None:
        """Filters by entity and reason, over the site's topic and the global one."""
        await post.bury(post.scan(), Reason.UNKNOWN_LINE, entity=Entity.SCANS)
        await post.bury(b"{", Reason.UNREADABLE)
        wanted = Wanted(entities=frozenset({Entity.SCANS}), reasons=frozenset({"unknown_line"}), station="station-1")
        assert 1 == len(await listed(post.bootstrap, post.trial.name, wanted))
