"""The life of references on a real Redis: proposed, promoted, contradicted, faded, withdrawn; followed by an index."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest

from evidence.discrepancy import quantise
from gallery.aging import Patience
from gallery.entry import Entry, Vectors
from gallery.facts import Facts, State
from gallery.follow import Follower
from gallery.index import GalleryIndex
from gallery.lives import MOST_SEEN, Effect, Lives, Move, as_seen
from gallery.nearest import Tally
from gallery.promoter import Promoter
from gallery.rules import Rules
from gallery.store import GalleryStore
from schemas.faults import Retryable
from tests.integration.gallery.conftest import WITHIN_S, OwnRedis
from tests.unit.gallery.looks import VERSION, Cells, captured, design
from tests.unit.gallery.prints import bare

RULES = Rules(spread_s=0)
OLD, NEW = 1, 2
MINUTE_MS = 60_000


def pooled(shown: int) -> Vectors:
    """Return float32[1, 128], the pooled vector of a design."""
    drawn = np.random.default_rng([shown, 3]).normal(size=(1, 128))
    scaled: Vectors = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return scaled


def entry(name: str, product: str, cells: Cells, shown: int, *, enrolled_ms: int = 1) -> Entry:
    """Return an entry that shows a design."""
    uris, prints = (f"file:///{name}.png",), (bare(shown),)
    return Entry(name, product, VERSION, "booth", enrolled_ms, pooled(shown), quantise(cells), uris, prints)


@dataclasses.dataclass(slots=True)
class Life:
    """The gallery with everything that moves it, an index that follows, and what people say."""

    store: GalleryStore
    lives: Lives
    index: GalleryIndex
    promoter: Promoter
    said: int = 0

    async def stock(self) -> None:
        """Enrol two references of the product in question and of five others."""
        for product, shown in (("P", OLD), *((f"P-{n}", n) for n in range(11, 16))):
            for copy in range(2):
                cells = captured(design(shown), 100 * shown + copy)
                await self.store.put_reference(entry(f"{product}.{copy}", product, cells, shown))
        await self.until({"P.0", "P.1"})

    async def say(
        self, shown: int, *, cleared: bool = True, who: str | None = None, name: str | None = None, damaged: int = 0
    ) -> Effect:
        """Judge one more capture of a design of the product, or one judged before."""
        self.said += 1
        name = name or f"capture.{self.said}"
        cells = captured(design(shown), sum(name.encode()), damaged=damaged)
        proposed = entry(name, "P", cells, shown)
        now_ms = time.time_ns() // 1_000_000
        who = who or ("ann", "bob")[self.said % 2]
        seen = as_seen(proposed, cleared=cleared, at_ms=now_ms, site="s", capture_id=name, unit_id=f"u-{name}", who=who)
        state = State.CANDIDATE if cleared else State.WITHDRAWN
        facts = Facts("P", "verdict", 1, proposed.uris, model_version=VERSION, associate_id=who)
        facts = facts.moved(state, at_ms=now_ms, why=f"judged by {who}")
        return await self.lives.see(proposed, seen, facts, keep_ms=10 * MINUTE_MS, hold_ms=MINUTE_MS)

    async def state(self, name: str) -> State | None:
        """Return where a reference stands."""
        facts = await self.store.facts(name)
        return None if facts is None else facts.state

    async def until(self, names: set[str]) -> None:
        """Wait until the index holds exactly these references of the product."""
        started = time.monotonic()
        while set(self.index.references_of("P")) != names:
            assert time.monotonic() - started < WITHIN_S, self.index.references_of("P")
            await asyncio.sleep(0.01)


@pytest.fixture
async def life(store: GalleryStore) -> AsyncIterator[Life]:
    """A stocked gallery with a follower."""
    index = GalleryIndex(model_version=VERSION)
    follower = Follower(store, index)
    await follower.load()
    task = asyncio.create_task(follower.follow())
    lives = Lives(store.link)
    patience = Patience(captures=10, seconds=0.001)
    life = Life(store, lives, index, Promoter(store, lives, index, rules=RULES, patience=patience))
    await life.stock()
    yield life
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class TestPromotion:
    """Promoter.consider."""

    async def test_a_redesign_gets_in_beside_the_old_design(self, life: Life) -> None:
        """The index holds both, the newest first; its facts say who spoke for it and what the check found."""
        for _ in range(5):
            assert await life.say(NEW) is Effect.CANDIDATE
        ruling = await life.promoter.consider("P")

        await life.until({"P.0", "P.1", *ruling.enrol})
        facts = await life.store.facts(ruling.enrol[0])
        assert facts is not None
        assert (State.TRUSTED, 5, 5) == (facts.state, len(facts.beside), facts.figures["units"])
        assert life.index.references_of("P")[0] in ruling.enrol
        assert ["candidate", "trusted"] == [step.state for step in facts.history]
        assert set(ruling.enrol) <= set(await life.store.patches(ruling.enrol, model_version=VERSION))

    async def test_prints_live_as_long_as_what_they_are_of(self, life: Life, server: OwnRedis) -> None:
        """A candidate's end with its time, a reference's stay, and those of a contradicted capture are gone."""
        for _ in range(5):
            await life.say(NEW)
        await life.say(NEW, name="torn", cleared=False)
        ruling = await life.promoter.consider("P")
        left = sorted({f"capture.{number}" for number in range(1, 6)} - set(ruling.enrol))
        with server.client() as client:
            assert all(client.ttl(f"gallery:prints:{each}") == -1 for each in ["P.0", *ruling.enrol])
            assert all(0 < client.ttl(f"gallery:prints:{each}") <= 600 for each in left)
            assert left
            await life.say(NEW, name=left[0], cleared=False)
            assert 0 == client.exists(f"gallery:prints:{left[0]}", "gallery:prints:torn")

    async def test_candidates_are_not_searched(self, life: Life) -> None:
        """Before the rules let them in no index knows of them."""
        for _ in range(4):
            await life.say(NEW)

        assert "4 of 5 units" == (await life.promoter.consider("P")).why
        assert {"P.0", "P.1"} == set(life.index.references_of("P"))
        assert {VERSION: 12} == await life.store.counts()

    async def test_a_redelivered_verdict_changes_nothing(self, life: Life) -> None:
        """The same capture again is the same witness, before and after its promotion."""
        for _ in range(5):
            await life.say(NEW)
        turn = (await life.lives.of("P")).turn
        assert await life.say(NEW, name="capture.3") is Effect.KNOWN
        ruling = await life.promoter.consider("P")

        assert turn + 1 == (await life.lives.of("P")).turn
        assert await life.say(NEW, name=ruling.enrol[0]) is Effect.KNOWN
        assert await life.state(ruling.enrol[0]) is State.TRUSTED

    async def test_a_contradicted_candidate_is_dropped_and_holds_its_product_back(self, life: Life) -> None:
        """A person corrected a clearing: nothing of the product gets in for a while, however many are cleared."""
        for _ in range(6):
            await life.say(NEW)
        assert await life.say(NEW, name="capture.2", cleared=False) is Effect.CONTRADICTS

        assert "held back" in (await life.promoter.consider("P")).why
        assert await life.state("capture.2") is State.WITHDRAWN
        assert await life.say(NEW, name="capture.2") is Effect.KNOWN

    async def test_a_contradicted_reference_is_withdrawn(self, life: Life) -> None:
        """A revised verdict takes out what was promoted."""
        for _ in range(5):
            await life.say(NEW)
        ruling = await life.promoter.consider("P")
        await life.until({"P.0", "P.1", *ruling.enrol})
        await life.say(NEW, name=ruling.enrol[0], cleared=False)

        await life.until({"P.0", "P.1", *ruling.enrol[1:]})

    async def test_a_capture_found_damaged_first_never_becomes_a_candidate(self, life: Life) -> None:
        """Whatever is said of it later."""
        assert await life.say(NEW, name="torn", cleared=False) is Effect.SEEN
        assert await life.say(NEW, name="torn") is Effect.CONTRADICTED
        assert await life.state("torn") is None

    async def test_a_change_in_between_is_noticed(self, life: Life) -> None:
        """A move that was thought out on an older turn is refused, and changes nothing."""
        await life.say(NEW)
        cast = await life.lives.of("P")
        await life.say(NEW)

        moved = cast.facts["capture.1"].moved(State.TRUSTED, at_ms=1, why="late")
        assert not await life.lives.move(cast, [Move("capture.1", moved, cast.seen["capture.1"])], at_ms=1)
        assert await life.state("capture.1") is State.CANDIDATE

    async def test_what_is_remembered_is_bounded(self, life: Life) -> None:
        """The oldest makes room, and is no candidate any more."""
        for _ in range(MOST_SEEN + 3):
            await life.say(OLD)
        cast = await life.lives.of("P")

        assert MOST_SEEN == len(cast.seen) == len(cast.standing(State.CANDIDATE))
        assert "capture.1" not in cast.facts


class TestPoison:
    """A run of damaged units of one product."""

    @pytest.mark.parametrize("who", [["eve"], ["eve", "mallory"]], ids=["one liar", "two liars"])
    async def test_cleared_by_liars(self, life: Life, who: list[str]) -> None:
        """Each unit is torn at another place, and that shows; one liar is not even looked at."""
        for number in range(10):
            await life.say(OLD, who=who[number % len(who)], damaged=20)

        assert () == (await life.promoter.consider("P")).enrol
        assert {"P.0", "P.1"} == set(life.index.references_of("P"))

    async def test_cleared_by_a_liar_among_honest_people(self, life: Life) -> None:
        """The same dent in every unit would pass for a redesign; those who found it damaged stop it."""
        for number in range(12):
            await life.say(NEW, cleared=number % 2 == 0, who=("eve", "ann", "mallory", "bob")[number % 4])

        assert "found damaged or wrong" in (await life.promoter.consider("P")).why

    async def test_cleared_by_nobody(self, life: Life) -> None:
        """Captures that no person judged are no candidates: they are never proposed."""
        for number in range(8):
            await life.say(OLD, cleared=False, damaged=20, name=f"torn-{number}")

        assert "0 of 5 units" == (await life.promoter.consider("P")).why


class TestAging:
    """Promoter.age and the tally of inspectors."""

    async def test_an_old_design_fades_retires_and_may_come_back(self, life: Life) -> None:
        """Counts of nearest references move it; retired ones leave the index, and a new enrolment brings one back."""
        for _ in range(5):
            await life.say(NEW)
        ruling = await life.promoter.consider("P")
        await life.promoter.age()  # marks where counting begins
        tally = Tally(life.lives)
        seen = []
        for _ in range(2):
            for number in range(10):
                tally.count("P", ruling.enrol[number % 2])
            await tally.flush()
            await life.promoter.age()
            seen.append(await life.state("P.0"))

        assert [State.FADING, State.RETIRED] == seen
        await life.until(set(ruling.enrol))
        old = entry("P.0", "P", captured(design(OLD), 100 * OLD), OLD)
        assert not await life.store.put_reference(old), "an old message must not bring it back"
        assert await life.store.put_reference(dataclasses.replace(old, enrolled_ms=2))
        await life.until({"P.0", *ruling.enrol})

    async def test_candidates_expire(self, life: Life) -> None:
        """What nobody confirmed within the window is forgotten."""
        await life.say(NEW)
        life.promoter = Promoter(
            life.store,
            life.lives,
            life.index,
            rules=dataclasses.replace(RULES, window_s=0),
            patience=Patience(),
        )
        await asyncio.sleep(0.002)  # older than no time at all
        await life.promoter.age()

        assert await life.state("capture.1") is None
        assert {} == (await life.lives.of("P")).seen
        assert {} == await life.store.prints(["capture.1"])

    async def test_counts_outlive_an_outage(self, life: Life, server: OwnRedis) -> None:
        """What was counted while Redis was away is written afterwards."""
        tally = Tally(life.lives)
        tally.count("P", "P.0")
        server.stop()
        with pytest.raises(Retryable):
            await tally.flush()
        tally.count("P", "P.0")
        server.start()
        await tally.flush()

        assert 2 == (await life.lives.compared("P", ["P.0"]))[0]


class TestBounds:
    """Promoter.tidy."""

    async def test_a_product_has_so_many_references_and_no_more(self, life: Life) -> None:
        """What a catalogue enrols beyond that retires what says least."""
        for number in range(12):
            cells = captured(design(20 + number % 6), number)
            await life.store.put_reference(entry(f"more.{number}", "P", cells, OLD, enrolled_ms=10 + number))
            await life.promoter.tidy("P")
        cast = await life.lives.of("P")

        assert RULES.max_references == len(cast.standing(State.TRUSTED))
        assert await life.state("more.11") is State.TRUSTED
        await life.until(set(cast.standing(State.TRUSTED)))

    async def test_facts_of_an_older_version_are_read(self, life: Life) -> None:
        """A store that was filled before lives were kept has trusted references."""
        old = {"product_id": "P", "source": "booth", "enrolled_ms": 5, "uris": ["file:///a.png"]}

        facts = msgspec.json.decode(msgspec.json.encode(old), type=Facts)
        assert (State.TRUSTED, 5, "booth") == (facts.state, facts.since_ms, facts.why)
