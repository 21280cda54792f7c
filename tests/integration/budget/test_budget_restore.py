"""A store that was lost, or fell behind, is what it was before: from the topics alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from redis import asyncio as aioredis

from budget.config import HOUR_MS
from budget.keys import SITES
from budget.records import Record, Settlement
from budget.restore import Restored, check_seq
from budget.sample import Trial
from budget.store import DecisionStore
from budget.windows import check_ledger, check_promises
from schemas.codec import decode
from schemas.faults import Fatal, Poison
from schemas.messages import Decision, Disposition, Sidelined
from schemas.words import Outcome, Verdict

FLOOD = 3_000_000


@dataclass(slots=True)
class Topics:
    """What consumers have seen."""

    decisions: list[bytes] = field(default_factory=list)
    sidelined: list[bytes] = field(default_factory=list)
    dispositions: list[bytes] = field(default_factory=list)

    def publish(self, record: Record) -> Record:
        """Emit a record as an inspector does."""
        self.decisions.append(record.decision)
        if record.sidelined is not None:
            self.sidelined.append(record.sidelined)
        return record


@dataclass(slots=True)
class World:
    """A site and its topics."""

    site: Trial
    topics: Topics

    async def run(self, captures: int, *, seed: int, publish: float = 1.0) -> None:
        """Flood the site; people judge some of what they see, some of it twice."""
        rng = random.Random(seed)
        for _ in range(captures):
            record = await self.site.decide(FLOOD, identity_conflict=rng.random() < 0.2)
            if rng.random() < publish:
                self.topics.publish(record)
            if rng.random() < 0.3 and self.topics.sidelined:
                event = decode(Sidelined, rng.choice(self.topics.sidelined[-5:]))
                await self.judge(rng.choice([Verdict.DAMAGED, Verdict.SELLABLE]), event.capture_id)

    async def judge(self, verdict: Verdict, capture_id: str) -> Settlement:
        """Give a verdict through its topic."""
        disposition = self.site.line.disposition(verdict, capture_id=capture_id)
        self.topics.dispositions.append(msgspec.json.encode(disposition))
        return await self.site.store.settle(disposition)

    async def lose(self) -> None:
        """Lose every key of the site, and that it was registered."""
        redis = self.site.redis
        async for key in redis.scan_iter(match=f"[{{]{self.site.name}}}:*"):
            if key != self.site.keys.key("clock").encode():
                await redis.delete(key)
        await redis.hdel(SITES, self.site.name)

    async def restore(self, store: DecisionStore | None = None) -> Restored:
        """Restore from the topics."""
        return await (store or self.site.store).restore(
            self.site.name,
            ["line-1"],
            self.site.config,
            decisions=self.topics.decisions,
            sidelined=self.topics.sidelined,
            dispositions=self.topics.dispositions,
        )

    def faults(self) -> list[str]:
        """Return what is wrong with everything that was published, over all seams."""
        decisions = [decode(Decision, raw) for raw in self.topics.decisions]
        first: dict[str, Verdict] = {}
        for raw in self.topics.dispositions:
            disposition = decode(Disposition, raw)
            first.setdefault(disposition.capture_id or "", disposition.verdict)
        confirmed = {capture_id for capture_id, verdict in first.items() if verdict is Verdict.DAMAGED}
        configs = {one.config_version or 0: self.site.config for one in decisions}
        over = [str(worst) for worst in check_promises(decisions, confirmed, configs) if worst.over > 0]
        return over + check_ledger(decisions, configs)


@pytest.fixture
async def world(site: Trial) -> World:
    """A site whose topics hold 60 captures of a flood."""
    made = World(site, Topics())
    await made.run(60, seed=1)
    return made


class TestRestore:
    """After the loss of everything."""

    async def test_outcomes_are_the_same_bytes_and_seq_goes_on(self, world: World) -> None:
        """A redelivered capture gets its old answer, a new one the next number."""
        before = await world.site.store.state(world.site.name)
        await world.lose()
        restored = await world.restore()
        assert (60, 0, 0, 0, 60) == (
            restored.outcomes,
            restored.known,
            restored.past,
            restored.unreadable,
            restored.seq,
        )
        events = {decode(Sidelined, raw).capture_id: raw for raw in world.topics.sidelined}
        for raw in world.topics.decisions:
            decision = decode(Decision, raw)
            again = await world.site.decide(capture_id=decision.capture_id)
            assert (raw, events.get(decision.capture_id), False) == (again.decision, again.sidelined, again.created)
        after = await world.site.store.state(world.site.name)
        assert (0, 0, 0) == (after.balance, after.identity_balance, after.diverts_balance)
        assert (before.pending, before.identity_pending) == (after.pending, after.identity_pending)
        assert before.open_stops == after.open_stops
        assert 61 == decode(Decision, (await world.site.decide()).decision).seq

    async def test_a_decision_after_names_a_new_configuration_version(self, world: World) -> None:
        """Versions on the topic stay unambiguous."""
        await world.site.configure(alpha_ppm=9_000)
        world.topics.publish(await world.site.decide())
        await world.lose()
        assert 3 == (await world.restore()).config_version
        assert 3 == decode(Decision, (await world.site.decide()).decision).config_version

    @pytest.mark.parametrize("seed", [1, 2])
    async def test_the_promises_hold_over_the_seam(self, world: World, seed: int) -> None:
        """In every window, also where the store died with decisions that never reached the topic."""
        await world.run(40, seed=seed, publish=0.8)
        await world.lose()
        await world.restore()
        await world.run(60, seed=seed + 10)
        lost = "seq has gaps or repeats"  # of decisions that no one ever saw
        assert [] == [fault for fault in world.faults() if fault != lost]

    async def test_verdicts_go_on_where_they_were(self, world: World) -> None:
        """Redelivered ones get their first answer, open stops can be judged, judged ones are revised."""
        damage = [decode(Sidelined, raw) for raw in world.topics.sidelined]
        judged = {decode(Disposition, raw).capture_id for raw in world.topics.dispositions}
        still_open = next(one.capture_id for one in damage if one.capture_id not in judged)
        await world.lose()
        await world.restore()
        state = await world.site.store.state(world.site.name)
        for raw in world.topics.dispositions:
            await world.site.store.settle(decode(Disposition, raw))
        assert state == await world.site.store.state(world.site.name)
        assert ("settled", 1) == _moved(await world.site.judge(Verdict.DAMAGED, still_open))
        assert ("revised", 0) == _moved(await world.site.judge(Verdict.DAMAGED, still_open))

    async def test_open_stops_keep_the_time_they_expire(self, world: World) -> None:
        """A restore is no extension."""
        stops = await world.site.redis.zrange(world.site.keys.key("open"), 0, -1, withscores=True)
        assert len(stops) > 0
        await world.lose()
        await world.site.advance(HOUR_MS)
        await world.restore()
        assert stops == await world.site.redis.zrange(world.site.keys.key("open"), 0, -1, withscores=True)

    async def test_what_expired_meanwhile_is_expired(self, world: World) -> None:
        """And outcomes past the horizon are left where they are."""
        await world.lose()
        await world.site.advance(9 * HOUR_MS)
        assert 0 == (await world.restore()).open_stops
        await world.lose()
        await world.site.advance(40 * HOUR_MS)
        restored = await world.restore()
        assert (0, 60, 60) == (restored.outcomes, restored.past, restored.seq)

    async def test_a_sideline_that_was_never_published_is_rendered_again(self, world: World) -> None:
        """The worker died between the two emissions: the station must still hear of the unit."""
        record = await world.site.decide(FLOOD, major=True)
        while record.sidelined is None:
            record = await world.site.decide(FLOOD)
        world.topics.decisions.append(record.decision)
        await world.lose()
        await world.restore()
        looked = await world.site.store.look(world.site.name, record.capture_id)
        assert looked is not None
        assert looked.sidelined is not None
        event = decode(Sidelined, looked.sidelined)
        original = decode(Sidelined, record.sidelined)
        assert msgspec.structs.replace(original, kinds=[], severity=event.severity) == event

    async def test_undetermined_and_rejected_outcomes_come_back_too(self, world: World) -> None:
        """They are answers like any other."""
        late = world.topics.publish(await world.site.decide(decide_by_ms=1))
        rejected = world.topics.publish(
            await world.site.store.decide(
                world.site.line.request(
                    now_ms=world.site.now_ms(), ask=Outcome.REJECTED, reason="view_sha256", score=None
                )
            )
        )
        await world.lose()
        await world.restore()
        for record in (late, rejected):
            looked = await world.site.store.look(world.site.name, record.capture_id)
            assert looked is not None
            assert (record.outcome, record.reason, record.decision) == (looked.outcome, looked.reason, looked.decision)

    async def test_the_threshold_starts_from_the_scores_on_the_topic(self, world: World) -> None:
        """Not from the configured start: the budget must not be spent on finding it again."""
        await world.run(100, seed=2)
        await world.lose()
        await world.restore()
        state = (await world.site.store.state(world.site.name)).thresholds[world.site.line.fusion_version]
        assert (160, FLOOD) == (state.captures, state.location)

    async def test_values_that_no_one_can_read_are_skipped(self, world: World) -> None:
        """They were dead letters when they came."""
        world.topics.dispositions += [b"{", b"", b'{"disposition_id":"x"}']
        await world.lose()
        assert 3 == (await world.restore()).unreadable


class TestFellBehind:
    """A store that came back with an old state."""

    async def test_a_store_behind_its_topic_is_refused_until_restored(self, world: World) -> None:
        """What it still has stays, what it lost comes back, verdicts since then are heard."""
        redis, name = world.site.redis, world.site.name
        old = [(key, await redis.dump(key)) async for key in redis.scan_iter(match=f"[{{]{name}}}:*")]
        await world.run(40, seed=5)
        before = await world.site.store.state(name)
        await world.lose()
        for key, dump in old:
            await redis.restore(key, 0, dump or b"")
        await redis.hset(SITES, name, 1)
        with pytest.raises(
            Fatal, match="seq 60, the decisions topic at 100: it lost decisions; run `sideline restore`"
        ):
            check_seq(await world.site.store.sequence(name), 100)
        restored = await world.restore()
        assert (40, 60, 100) == (restored.outcomes, restored.known, restored.seq)
        check_seq(await world.site.store.sequence(name), 100)
        after = await world.site.store.state(name)
        assert (before.pending, before.identity_pending, 0) == (after.pending, after.identity_pending, after.balance)
        await world.run(60, seed=6)
        assert [] == world.faults()

    async def test_a_capture_decided_differently_stops_the_restore(self, world: World) -> None:
        """Two answers to one capture need a person."""
        decision = decode(Decision, world.topics.decisions[0])
        world.topics.decisions[0] = msgspec.json.encode(msgspec.structs.replace(decision, reason="other"))
        with pytest.raises(Fatal, match=f"{decision.capture_id} has one decision on record and another on the topic"):
            await world.restore()

    async def test_an_interrupted_restore_is_run_again(self, world: World) -> None:
        """Until it ends, nothing is decided, settled or configured."""
        pending = (await world.site.store.state(world.site.name)).pending
        await world.lose()
        decisions, world.topics.decisions = world.topics.decisions, [*world.topics.decisions[:50], b"broken off"]
        decision = decode(Decision, decisions[0])
        world.topics.decisions.append(msgspec.json.encode(msgspec.structs.replace(decision, reason="other")))
        with pytest.raises(Fatal, match="another on the topic"):
            await world.restore()
        for call in (
            world.site.decide(),
            world.site.judge(Verdict.DAMAGED, decision.capture_id),
            world.site.configure(alpha_ppm=9_999),
        ):
            with pytest.raises(Fatal, match="half restored"):
                await call
        world.site.config = msgspec.structs.replace(world.site.config, alpha_ppm=10_000)
        world.topics.decisions = decisions
        assert 60 == (await world.restore()).seq
        assert pending == (await world.site.store.state(world.site.name)).pending

    async def test_an_empty_store_becomes_the_pinned_one_again(self, world: World) -> None:
        """Another store is refused."""
        url = world.site.url.rsplit("/", 1)[0] + "/11"
        redis = aioredis.Redis.from_url(url)
        await redis.flushdb()
        store = DecisionStore(url, store_id=world.site.store_id)
        stranger = DecisionStore(url, store_id="another")
        try:
            await world.restore(store)
            await store.verify()
            assert {world.site.name: frozenset({"line-1"})} == await store.sites()
            with pytest.raises(Fatal, match="pinned is another"):
                await world.restore(stranger)
        finally:
            await redis.flushdb()
            await redis.aclose()
            await store.close()
            await stranger.close()

    async def test_restored_outcomes_take_any_bytes_under_their_id(self, world: World) -> None:
        """The topic does not know the digest of the capture, so the fence on reused ids is open for them."""
        capture_id = decode(Decision, world.topics.decisions[0]).capture_id
        with pytest.raises(Poison):
            await world.site.decide(capture_id=capture_id, digest="0" * 64)
        await world.lose()
        await world.restore()
        again = await world.site.decide(capture_id=capture_id, digest="0" * 64)
        assert (world.topics.decisions[0], "") == (again.decision, again.digest)


def _moved(settlement: Settlement) -> tuple[str, int]:
    return settlement.state, settlement.returned + settlement.spent
