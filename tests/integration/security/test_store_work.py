"""What the workers and the operator ask of the stores, asked on a real Redis by the users of the table."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from budget.config import LineBudget
from budget.redrives import Answer, Rejected
from budget.sample import Line
from budget.warm import warm_start
from evidence.discrepancy import CELLS, PATCH_SIZE
from evidence.scans import ScanBoard, Sighting
from gallery.entry import VECTOR_SIZE, Entry
from gallery.facts import Facts, State
from gallery.lives import Effect, Lives, Move, as_seen
from gallery.store import GalleryStore
from schemas.faults import Fatal, Poison
from schemas.messages import Product
from schemas.words import Outcome, Verdict
from streams.acls import Role
from tests.integration.security.conftest import CONFIG, SITE, SITES, Hands
from tests.integration.security.secured_store import SecuredStore


@pytest.fixture(autouse=True)
def nothing_refused_yet(decisions: SecuredStore, gallery: SecuredStore) -> None:
    """Forget what earlier tests were refused on purpose."""
    decisions.refused()
    gallery.refused()


class TestTheirWork:
    """Everything that the workers and the operator's commands ask of the stores."""

    async def test_captures_are_decided_and_judged(self, decisions: SecuredStore, hands: Hands) -> None:
        """Every kind of outcome and verdict, lines with budgets, a new calibration, sweeps: nothing is refused."""
        of_a_line = {"line-2": LineBudget(alpha_ppm=100_000, burst_tokens=10)}
        with_line = msgspec.structs.replace(CONFIG, lines=of_a_line)
        await hands.operator.configure(SITE, with_line, by="a test", why="a line of its own")
        line, rng = Line(SITE, fusion_version="started-warm"), random.Random(6)
        start = warm_start([rng.randrange(-9_000_000, 0) for _ in range(400)], alpha_ppm=CONFIG.alpha_ppm)
        assert await hands.inspector.warm(SITE, line.fusion_version, start)
        stops = []
        for number in range(400):
            request = line.request(
                now_ms=now_ms(),
                score=rng.randrange(-9_000_000, 3_000_000),
                line=rng.choice(["line-1", "line-2"]),
                major=rng.random() < 0.1,
                identity_conflict=rng.random() < 0.05,
                audit_draw_ppm=rng.randrange(1_000_000),
                recheck_draw_ppm=rng.randrange(1_000_000),
                fusion_version=(line.fusion_version, "started-cold")[number // 200],
            )
            if number % 20 == 0:
                request = replace(request, ask=Outcome.UNDETERMINED, reason="late", score=None)
            record = await hands.inspector.decide(request)
            assert record.created
            assert not (await hands.inspector.decide(request)).created
            if record.sidelined is not None:
                stops.append(request)
        assert len(stops) > 20
        for number, request in enumerate(stops):
            verdict = (Verdict.DAMAGED, Verdict.SELLABLE, Verdict.WRONG_ITEM, Verdict.UNSURE)[number % 4]
            for who in ("associate-1", "associate-2"):
                subject = {"unit_id": request.unit_id} if number % 3 == 0 else {"capture_id": request.capture_id}
                await hands.settler.settle(line.disposition(verdict, associate_id=who, **subject))
            assert await hands.settler.look(SITE, request.capture_id) is not None
            assert await hands.herald.look(SITE, request.capture_id) is not None
        with pytest.raises(Poison):
            await hands.settler.settle(line.disposition(Verdict.DAMAGED, capture_id="unheard-of"))
        with pytest.raises(Poison):
            await hands.inspector.decide(line.request(now_ms=now_ms(), line="line-9"))
        with pytest.raises(Poison):
            await hands.inspector.decide(replace(line.request(now_ms=now_ms()), site="nowhere"))
        assert "associate-1" in await hands.settler.associates(SITE)
        assert [] == decisions.refused()

    async def test_stops_expire_under_either_hand(self, decisions: SecuredStore, hands: Hands) -> None:
        """Whose call comes after the time limit sweeps: the inspector's, the settler's or the operator's."""
        line = Line(SITE, rng=random.Random(8))
        opened = [await hands.inspector.decide(line.request(now_ms=now_ms(), score=9_000_000)) for _ in range(3)]
        assert any(record.sidelined for record in opened)
        with decisions.keeper() as keeper:
            keeper.set(f"{{{SITE}}}:clock", CONFIG.verdict_timeout_ms + 60_000)
        try:
            before = (await hands.inspector.state(SITE)).open_stops
            await hands.settler.settle(line.disposition(Verdict.SELLABLE, capture_id=opened[0].capture_id))
            later = now_ms() + CONFIG.verdict_timeout_ms + 60_000
            await hands.inspector.decide(line.request(now_ms=later))
            await hands.operator.sweep(SITE)
            assert 0 < before
            assert 0 == (await hands.inspector.state(SITE)).open_stops
        finally:
            with decisions.keeper() as keeper:
                keeper.delete(f"{{{SITE}}}:clock")
        assert [] == decisions.refused()

    async def test_workers_find_their_sites(self, decisions: SecuredStore, hands: Hands) -> None:
        """Every worker proves the store's identity; all but the curator list the sites and their lines."""
        for store in (hands.inspector, hands.settler, hands.herald, hands.tracker, hands.curator, hands.operator):
            await store.verify()
        for store in (hands.inspector, hands.settler, hands.herald, hands.tracker, hands.operator):
            assert {SITE: frozenset({"line-1", "line-2"})} == await store.sites()
        assert await hands.inspector.sequence(SITE) == (await hands.inspector.state(SITE)).seq
        assert [] == decisions.refused()

    async def test_scans_are_kept_and_found(self, decisions: SecuredStore) -> None:
        """The tracker keeps them, the inspector finds them."""
        scan = Sighting(scan_id="scan-1", station="s", code="00012345678905", symbology="ean13", append_ms=now_ms())
        tracker = ScanBoard(decisions.url(Role.TRACKER.principal()), window_s=30)
        inspector = ScanBoard(decisions.url(Role.INSPECTOR.principal()), window_s=30)
        try:
            await tracker.probe()
            await tracker.put(SITE, "unit-1", scan)
            found = await inspector.of(SITE, "unit-1", at_ms=scan.append_ms)
            assert scan == found.nearest
            with pytest.raises(Fatal, match="refuses our credentials"):
                await inspector.put(SITE, "unit-1", msgspec.structs.replace(scan, scan_id="scan-2"))
        finally:
            await tracker.close()
            await inspector.close()
        assert {
            "sideline.inspector: command zremrangebyrank",
            "sideline.inspector: key {east}:scans:unit-1",
        } == set(decisions.refused())

    async def test_the_operator_mends(self, decisions: SecuredStore, hands: Hands) -> None:
        """Redriving, restoring into what was lost, and reading who changed what."""
        line = Line(SITE, rng=random.Random(9))
        request = line.request(now_ms=now_ms(), ask=Outcome.REJECTED, reason="view_missing", score=None)
        rejection = await hands.inspector.decide(request)
        permission = await hands.operator.redrive(
            SITE, Rejected(request.capture_id, request.digest, rejection.decided_at)
        )
        assert Answer.GRANTED is permission.answer
        again = replace(request, ask=Outcome.DECIDED, reason="", score=-5_000_000, redrive=permission.redrives + 1)
        assert Outcome.DECIDED is (await hands.inspector.decide(again)).outcome
        await hands.operator.note_resent("sideline.dead.v1/0/7", keep_ms=60_000)
        resent = await hands.operator.resent("sideline.dead.v1/0/7")
        assert resent is not None
        assert 1 == resent.times
        decided = [(await hands.inspector.decide(line.request(now_ms=now_ms()))).decision for _ in range(5)]
        restored = await hands.operator.restore(
            SITES[1], ["line-1"], CONFIG, decisions=decided, sidelined=[], dispositions=[]
        )
        assert 5 == restored.outcomes
        assert await hands.operator.changes(SITE)
        assert await hands.operator.configuration(SITE, 1) is not None
        assert [] == decisions.refused()

    async def test_the_gallery_lives(self, gallery: SecuredStore) -> None:
        """The curator enrols, judges, moves and withdraws; the inspector follows and counts; the operator looks."""
        curator = GalleryStore(gallery.url(Role.CURATOR.principal()))
        inspector = GalleryStore(gallery.url(Role.INSPECTOR.principal()))
        operator = GalleryStore(gallery.url(Role.OPERATOR.principal()))
        try:
            before = await inspector.position()
            assert await curator.put_product(Product(product_id="p", title="A thing"))
            assert await curator.put_reference(entry("r-1"))
            lives, counting = Lives(curator.link), Lives(inspector.link)
            for number, cleared in enumerate((True, True, False)):
                await judge(lives, f"c-{number % 2}", cleared=cleared)
            cast = await lives.of("p")
            trusted = {key: facts.moved(State.TRUSTED, at_ms=2, why="a test") for key, facts in cast.facts.items()}
            moves = [Move(key, facts, cast.seen.get(key)) for key, facts in trusted.items()]
            assert await lives.move(cast, [*moves, Move("c-9", None)], at_ms=2)
            assert ["p"] == await lives.moving()
            await counting.tally({"r-1": "p"}, {"p": 3}, at_ms=5)
            assert (3, {"r-1": (3, 5)}) == await lives.compared("p", ["r-1"])
            assert "r-1" in await inspector.patches(["r-1"], model_version="m:1")
            assert [change async for change in inspector.snapshot("m:1")]
            assert before != await inspector.position()
            assert (await inspector.news(await inspector.position(), "m:1", wait_s=0.01)).changes == ()
            await lives.at_rest("p")
            assert await operator.counts()
            assert [facts async for facts in operator.all_facts()]
            await Lives(operator.link).forget("p", born="c-")
            assert await operator.withdraw("r-1", why="a test", at_ms=9)
            for each in (curator, inspector, operator):
                await each.probe()
            assert [] == gallery.refused()
            with pytest.raises(Fatal, match="refuses our credentials"):
                await inspector.put_reference(entry("r-2"))
        finally:
            for each in (curator, inspector, operator):
                await each.close()
        gallery.refused()


def entry(reference_id: str) -> Entry:
    """Return a reference of noise."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(1, VECTOR_SIZE)).astype(np.float32)
    patches = rng.integers(-99, 99, (1, CELLS, PATCH_SIZE), np.int8)
    return Entry(reference_id, "p", "m:1", "a test", 1, vectors, patches, ("file:///a.png",))


async def judge(lives: Lives, capture_id: str, *, cleared: bool) -> Effect:
    """Let a person judge a capture of the product."""
    made = entry(capture_id)
    seen = as_seen(made, cleared=cleared, at_ms=2, site=SITE, capture_id=capture_id, unit_id="u", who="associate-1")
    facts = Facts("p", "a test", 1, made.uris, model_version="m:1", digest=seen.reference.digest.hex())
    state = State.CANDIDATE if cleared else State.WITHDRAWN
    return await lives.see(made, seen, facts.moved(state, at_ms=2, why="a test"), keep_ms=60_000, hold_ms=60_000)


def now_ms() -> int:
    """Return the time."""
    return round(datetime.now(UTC).timestamp() * 1000)
