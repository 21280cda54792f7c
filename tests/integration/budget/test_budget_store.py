"""Which store it is, which sites it knows, and what an operator may change."""

from __future__ import annotations

import pytest

from budget.config import HOUR_MS, BudgetConfig
from budget.sample import Trial
from budget.store import DecisionStore
from budget.warm import warm_start
from schemas.faults import Fatal, Poison, Reason
from schemas.words import MICRO, Verdict


class TestIdentityOfTheStore:
    """Losing Redis must not be silent."""

    async def test_another_store_is_refused_by_every_call(self, site: Trial) -> None:
        """Deciding in the wrong store would decide captures twice."""
        stranger = DecisionStore(site.url, store_id="3b1c6f1e-0000-4000-8000-000000000000")
        capture = await site.decide()
        request = site.line.request(now_ms=site.now_ms())
        try:
            for call in (
                stranger.verify(),
                stranger.initialise(),
                stranger.decide(request),
                stranger.look(site.name, capture.capture_id),
                stranger.state(site.name),
                stranger.register("x", ["line-1"], site.config),
                stranger.configure(site.name, site.config),
            ):
                with pytest.raises(Fatal, match=f"{site.store_id}, pinned is 3b1c6f1e"):
                    await call
        finally:
            await stranger.close()

    async def test_without_a_pinned_id_nothing_is_verified(self, site: Trial) -> None:
        """The message names the command that makes one."""
        unpinned = DecisionStore(site.url, store_id="")
        with pytest.raises(Fatal, match="sideline init"):
            await unpinned.verify()
        assert site.store_id == await unpinned.initialise()
        await unpinned.verify()
        await unpinned.close()

    async def test_an_empty_store_under_a_pinned_id_lost_its_data(self, site: Trial) -> None:
        """Neither deciding nor `init` may bless it; the message names `sideline restore`."""
        emptied = DecisionStore(site.url.rsplit("/", 1)[0] + "/10", store_id=site.store_id)
        try:
            for call in (
                emptied.verify(),
                emptied.initialise(),
                emptied.decide(site.line.request(now_ms=site.now_ms())),
            ):
                with pytest.raises(Fatal, match="sideline restore"):
                    await call
        finally:
            await emptied.close()

    async def test_a_registered_site_whose_keys_are_gone_is_no_unknown_site(self, site: Trial) -> None:
        """Its captures must wait for a restore, not become dead letters, and it must not get a fresh budget."""
        async for key in site.redis.scan_iter(match=site.keys.prefix.replace("{", "[{]") + "*"):
            await site.redis.delete(key)
        with pytest.raises(Fatal, match="sideline restore"):
            await site.decide()
        with pytest.raises(Fatal, match="sideline restore"):
            await site.store.register(site.name, ["line-1"], site.config)


class TestSites:
    """Registration."""

    async def test_sites_are_known_with_their_lines(self, site: Trial) -> None:
        """A later registration adds lines and leaves budget and configuration alone."""
        await site.decide(0)
        before = await site.store.state(site.name)
        await site.store.register(site.name, ["line-2"], BudgetConfig())
        assert frozenset({"line-1", "line-2"}) == (await site.store.sites())[site.name]
        assert before == await site.store.state(site.name)

    async def test_names_that_no_one_may_use_are_refused(self, site: Trial) -> None:
        """A brace in a site's name would break its hash tag."""
        for name, lines in (("a{b}", ["line-1"]), ("", ["line-1"]), ("ok", ["line 1"])):
            with pytest.raises(Fatal, match="cannot name a site or a line"):
                await site.store.register(name, lines, site.config)

    async def test_the_state_of_an_unknown_site_is_refused(self, site: Trial) -> None:
        """Like everything else about it."""
        with pytest.raises(Poison) as caught:
            await site.store.state("nowhere")
        assert Reason.UNKNOWN_SITE is caught.value.reason
        assert 0 == await site.store.sequence("nowhere")

    async def test_a_server_that_forgot_the_script_gets_it_again(self, site: Trial) -> None:
        """As after a restart."""
        await site.decide()
        await site.redis.script_flush()
        assert b'"seq":2' in (await site.decide()).decision


class TestConfigure:
    """One validated command, one version."""

    async def test_each_change_gets_a_version_and_stays_readable(self, site: Trial) -> None:
        """A decision names the version it was taken under, and what that version said can be asked for."""
        assert 1 == await site.store.configure(site.name, site.config)
        first = site.config
        assert 2 == await site.configure(alpha_ppm=9_000)
        assert b'"config_version":2' in (await site.decide()).decision
        assert (first, 9_000) == (
            await site.store.configuration(site.name, 1),
            (await site.store.state(site.name)).config.alpha_ppm,
        )
        assert None is await site.store.configuration(site.name, 3)

    async def test_what_cannot_hold_is_refused_before_it_reaches_the_store(self, site: Trial) -> None:
        """With the number it needs."""
        with pytest.raises(Fatal, match="needs burst_tokens >= 24"):
            await site.configure(verdict_delay_ms=100_000)
        assert 1 == (await site.store.state(site.name)).config_version

    async def test_lowering_the_burst_destroys_balance_at_once(self, site: Trial) -> None:
        """And is counted; pending tokens cannot be destroyed, so they take the room."""
        await site.decide(0)
        await site.configure(burst_tokens=2)
        state = await site.store.state(site.name)
        assert (MICRO, MICRO, MICRO) == (state.balance, state.pending, state.destroyed)

    async def test_raising_the_burst_grants_nothing(self, site: Trial) -> None:
        """Only the refill does, alpha by alpha."""
        await site.configure(burst_tokens=5, burst_identity=9, burst_diverts=99)
        state = await site.store.state(site.name)
        assert (3 * MICRO, 2 * MICRO, 10 * MICRO) == (state.balance, state.identity_balance, state.diverts_balance)
        await site.decide()
        assert 3 * MICRO + 10_000 == (await site.store.state(site.name)).balance

    async def test_tokens_returned_above_a_lowered_burst_are_destroyed(self, site: Trial) -> None:
        """Else three pending tokens could come back into a budget of one."""
        captures = [(await site.decide(0)).capture_id for _ in range(3)]
        await site.configure(burst_tokens=1)
        for capture_id in captures:
            await site.judge(Verdict.DAMAGED, capture_id)
        state = await site.store.state(site.name)
        assert (MICRO, 0) == (state.balance, state.pending)

    async def test_a_shorter_timeout_holds_for_new_stops(self, site: Trial) -> None:
        """Open ones keep the time they were promised."""
        await site.decide(0)
        await site.configure(verdict_timeout_ms=HOUR_MS)
        await site.decide(0)
        await site.advance(HOUR_MS)
        assert 1 == await site.store.sweep(site.name)


class TestWarm:
    """First knowledge of a fusion version."""

    async def test_a_new_version_starts_from_vetted_negatives(self, site: Trial) -> None:
        """Its threshold lies where the budget at hand allows 4 alpha of them."""
        scores = list(range(-5_000_000, -3_000_000, 1_000))
        assert await site.store.warm(site.name, "v2", warm_start(scores))
        threshold = (await site.store.state(site.name)).thresholds["v2"].threshold
        above = sum(score >= threshold for score in scores)
        assert abs(above - 0.04 * len(scores)) <= 2

    async def test_a_version_with_scores_of_its_own_is_left_alone(self, site: Trial) -> None:
        """Live knowledge is better than old negatives."""
        await site.decide()
        version = site.line.fusion_version
        before = (await site.store.state(site.name)).thresholds
        assert not await site.store.warm(site.name, version, warm_start(range(0, 1_000_000, 1_000)))
        assert before == (await site.store.state(site.name)).thresholds
