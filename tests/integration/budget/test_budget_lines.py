"""A line with a budget of its own inside the site: both must hold, whatever happens to either."""

from __future__ import annotations

import msgspec
import pytest

from budget.config import LineBudget
from budget.records import LineState
from budget.sample import Trial
from schemas.codec import decode
from schemas.faults import Fatal
from schemas.messages import Decision
from schemas.words import MICRO, Divert, Verdict

ONE = {"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=1)}


async def decide(site: Trial, line: str = "line-1", score: int = 0) -> Decision:
    """Decide one capture of a line; the score asks for a sideline."""
    return decode(Decision, (await site.decide(score, line=line)).decision)


async def line_of(site: Trial, line: str = "line-1") -> LineState:
    """Return where the line stands."""
    return (await site.store.state(site.name)).lines[line]


class TestBoth:
    """A sideline takes a token of the line and one of the site."""

    async def test_a_line_without_a_token_withholds_what_the_site_could_pay(self, site: Trial) -> None:
        """And the other line goes on from the site's budget."""
        await site.configure(lines=ONE)
        first, second, other = await decide(site), await decide(site), await decide(site, "line-2")
        assert (Divert.DAMAGE, 1, 0, MICRO) == (first.divert, first.line_seq, first.line_balance, first.line_pending)
        assert (Divert.NONE, True, "line_no_token", 2) == (
            second.divert,
            second.withheld,
            second.reason,
            second.line_seq,
        )
        assert (Divert.DAMAGE, None) == (other.divert, other.line_seq)
        state = await site.store.state(site.name)
        assert (1, 2 * MICRO) == (state.withheld_line, state.pending)

    async def test_the_site_binds_the_line(self, site: Trial) -> None:
        """A rich line gets nothing from a poor site, and keeps its tokens."""
        await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=9)})
        decisions = [await decide(site) for _ in range(4)]
        assert "no_token" == decisions[3].reason
        assert 6 * MICRO == decisions[3].line_balance

    @pytest.mark.parametrize(("verdict", "balance"), [(Verdict.DAMAGED, MICRO), (Verdict.SELLABLE, 0)])
    async def test_a_verdict_settles_both(self, site: Trial, verdict: Verdict, balance: int) -> None:
        """What returns to the site returns to the line."""
        await site.configure(lines=ONE)
        stop = await decide(site)
        await site.judge(verdict, stop.capture_id)
        own = await line_of(site)
        assert (balance, 0) == (own.balance, own.pending)

    async def test_an_expired_stop_leaves_both(self, site: Trial) -> None:
        """Nobody judged it: a false alarm of the line as of the site."""
        await site.configure(lines=ONE)
        await decide(site)
        await site.advance(site.config.verdict_timeout_ms + 1_000)
        assert 1 == await site.store.sweep(site.name)
        own = await line_of(site)
        assert (0, 0) == (own.balance, own.pending)


class TestChanges:
    """Budgets of lines come and go while stops are open."""

    async def test_taken_away_and_given_back_it_has_room_for_what_is_not_open(self, site: Trial) -> None:
        """Tokens of open stops count against the burst that comes back."""
        await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=3)})
        await decide(site)
        await site.configure(lines={})
        assert (await decide(site)).line_seq is None
        await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=2)})
        own = await line_of(site)
        assert (MICRO, MICRO, 1) == (own.balance, own.pending, own.seq)

    async def test_a_lowered_burst_destroys_and_a_raised_one_grants_nothing(self, site: Trial) -> None:
        """As for the site."""
        for burst, balance in ((3, 3), (1, 1), (5, 1)):
            await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=burst)})
            assert balance * MICRO == (await line_of(site)).balance

    async def test_a_line_that_is_not_registered_is_refused(self, site: Trial) -> None:
        """A typing mistake must not look like a budget."""
        with pytest.raises(Fatal, match="has no line lime-1; its lines are line-1, line-2"):
            await site.configure(lines={"lime-1": LineBudget(alpha_ppm=1, burst_tokens=1)})

    async def test_a_burst_too_small_for_its_verdicts_is_refused_with_the_number(self, site: Trial) -> None:
        """Twice alpha times the captures until the verdict."""
        with pytest.raises(Fatal, match="burst_tokens >= 20"):
            await site.configure(
                verdict_delay_ms=100_000,
                burst_tokens=100,
                burst_identity=100,
                lines={"line-1": LineBudget(alpha_ppm=100_000, burst_tokens=5, captures_per_s=1.0)},
            )

    async def test_a_configuration_of_an_older_build_decides_as_it_did(self, site: Trial) -> None:
        """Its record lacks what came later."""
        await site.redis.hdel(site.keys.key("config"), "audit_max_ppm", "recheck_ppm")
        decision = await decide(site)
        assert (Divert.DAMAGE, 0) == (decision.divert, decision.audit_ppm)


class TestRestored:
    """A lost store gives lines their open stops and numbers back, and no token."""

    async def test_open_stops_and_numbers_come_back(self, site: Trial) -> None:
        """P5a of the line holds over the seam, too."""
        await site.configure(lines={"line-1": LineBudget(alpha_ppm=10_000, burst_tokens=3)})
        records = [await site.decide(0) for _ in range(2)]
        await site.judge(Verdict.DAMAGED, records[0].capture_id)
        verdict = site.line.disposition(Verdict.DAMAGED, capture_id=records[0].capture_id)
        keys = [key async for key in site.redis.scan_iter(match=site.keys.prefix + "*")]
        await site.redis.delete(*keys)
        await site.store.restore(
            site.name,
            ["line-1", "line-2"],
            site.config,
            decisions=[record.decision for record in records],
            sidelined=[record.sidelined or b"" for record in records],
            dispositions=[msgspec.json.encode(verdict)],
        )
        assert LineState(10_000, 3, 2, 0, MICRO) == await line_of(site)
        await site.judge(Verdict.SELLABLE, records[1].capture_id)
        assert LineState(10_000, 3, 2, 0, 0) == await line_of(site)
