"""What a run watches, shows, does to the line, and measures."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from budget.records import BudgetState
from cli.checker.charge import Charge
from cli.checker.findings import Rule
from cli.checker.reading import read
from cli.checker.takeover import Takeover, check_takeover, takeover
from cli.faults import Fault, lasts_s, parse
from cli.live import gauge, line, screen
from cli.run import demo_budget, terms_of
from cli.scenarios import FLOOD_OFFSET
from cli.tape import Tape
from cli.watch import Gauges, Watch, gauges_of
from deploy.local.parts import PartStatus
from schemas.codec import decode, encode
from schemas.faults import Fatal
from schemas.messages import Capture, Decision
from schemas.words import MICRO
from telemetry.metrics import Metrics

Play = Callable[..., tuple[Tape, Charge]]
WELL = Gauges(away=(), in_work=3, partitions=4, references=80, products=40)


def part(name: str, *, state: str = "running", healthy: bool | None = True, detail: str = "") -> PartStatus:
    """Return a part's status."""
    return PartStatus(name, state, 1, 10.0, (1234,), healthy, detail)


class TestFaults:
    """Faults on request."""

    def test_parsed_in_order(self) -> None:
        """Faults are done in the order they are named in."""
        assert (Fault.TRITON_STOP, Fault.INSPECTOR_KILL) == parse("triton-stop, inspector-kill")

    def test_unknown(self) -> None:
        """A fault that does not exist is an error that lists those that do."""
        with pytest.raises(Fatal, match="inspector-kill, redis-stop"):
            parse("meteor")

    def test_a_run_is_long_enough(self) -> None:
        """Captures must come in for longer than all outages together."""
        assert lasts_s(tuple(Fault)) > 3 * 20
        assert 0.0 == lasts_s(())


class TestTakeover:
    """How long a dead inspector's partitions are silent."""

    def test_silence_is_measured_per_partition(self, play: Play) -> None:
        """The partition that stayed silent counts, one that went on does not."""
        tape, _ = play(400)
        killed_ms = tape.captures[100].append_ms
        captures = [dataclasses.replace(one, partition=number % 2) for number, one in enumerate(tape.captures)]
        delayed = {
            decode_id(one.value): timedelta(seconds=7)
            for number, one in enumerate(captures)
            if one.partition == 0 and 98 <= number < 300
        }
        decisions = tuple(
            dataclasses.replace(one, value=later(one.value, delayed.get((one.key or b"").decode(), timedelta())))
            for one in tape.decisions
        )

        found = takeover(
            read(dataclasses.replace(tape, captures=tuple(captures), decisions=decisions)), killed_ms=killed_ms
        )

        assert 1 == found.partitions
        assert 6_800 < found.longest_ms < 7_200

    def test_limit(self) -> None:
        """A takeover beyond the limit is a finding."""
        assert [] == check_takeover(Takeover(2, 8_900.0), limit_ms=9_000)
        assert [Rule.TAKEOVER] == [one.rule for one in check_takeover(Takeover(2, 9_100.0), limit_ms=9_000)]


def decode_id(value: bytes | None) -> str:
    """Return a capture's id."""
    return decode(Capture, value).capture_id


def later(value: bytes | None, by: timedelta) -> bytes:
    """Return a decision that was made later."""
    decision = decode(Decision, value)
    return encode(msgspec.structs.replace(decision, decided_at=decision.decided_at + by))


class TestWatch:
    """What can be seen of a running line."""

    def test_metrics_page(self) -> None:
        """Gauges are read off the page that workers really serve."""
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        metrics.breaker_open.labels(dependency="redis").set(1)
        metrics.breaker_open.labels(dependency="triton").set(0)
        metrics.in_work.set(12)
        metrics.partitions.set(4)
        metrics.gallery_references.set(80)
        metrics.gallery_products.set(40)

        assert Gauges(("redis",), 12, 4, 80, 40) == gauges_of(generate_latest(registry).decode())

    def test_waiting_in_words(self) -> None:
        """What is away is named with the number of captures that wait for it, in all inspectors together."""
        watch = Watch("demo")
        watch.gauges = {
            "inspector-1": dataclasses.replace(WELL, away=("redis",), in_work=12),
            "inspector-2": dataclasses.replace(WELL, away=("redis",), in_work=1),
        }

        assert ["Redis (decisions): 13 captures held"] == watch.waiting_for()

    def test_stopped_part(self) -> None:
        """A part that does not run is waited for."""
        watch = Watch("demo")
        watch.parts = [part("kafka", state="stopped", healthy=None), part("triton")]

        assert ["kafka to run"] == watch.waiting_for()

    def test_no_partitions(self) -> None:
        """Inspectors without partitions wait for their group."""
        watch = Watch("demo")
        watch.gauges = {"inspector-1": dataclasses.replace(WELL, partitions=0), "tracker": WELL}

        assert ["the inspectors' group to agree on partitions"] == watch.waiting_for()

    def test_nothing(self) -> None:
        """A line that is well waits for nothing."""
        watch = Watch("demo")
        watch.gauges, watch.parts = {"inspector-1": WELL}, [part("kafka")]

        assert [] == watch.waiting_for()

    def test_answers_count_once(self, play: Play) -> None:
        """A decision that is emitted again is not counted again."""
        tape, charge = play(50)
        watch = Watch("paper")
        watch.sent = {key: datetime(2027, 1, 15, 8, 0, tzinfo=UTC) for key in charge.truth}

        for delivery in (*tape.decisions, *tape.decisions):
            watch.see_decision(decode(Decision, delivery.value))

        assert (50, 0) == (sum(watch.words.values()), watch.unanswered)


class TestLiveView:
    """The view of a running line."""

    def test_line(self) -> None:
        """Without a terminal a line says how far it is and what it waits for."""
        watch = Watch("demo", asked_for=500, phase="playing")
        watch.words["pass"] = 7

        said = line(watch)

        assert "playing: 0 of 500 sent" in said
        assert said.endswith("waiting for nothing")

    def test_screen(self) -> None:
        """In a terminal the screen shows answers, budget, parts and what is waited for."""
        watch = Watch("demo", asked_for=500, phase="playing")
        watch.budget = BudgetState(
            "demo", demo_budget(12, None), 1, seq=9, balance=2 * MICRO, pending=MICRO,
            identity_balance=0, identity_pending=0, diverts_balance=0,
        )  # fmt: skip
        watch.parts = [part("kafka"), part("triton", state="stopped")]
        console = Console(width=120, file=io.StringIO(), record=True)

        console.print(screen(watch))

        text = console.export_text()
        assert "of 5" in text
        assert "triton to run" in text

    @pytest.mark.parametrize(("balance", "pending"), [(5.0, 0.0), (2.5, 1.0), (0.0, 5.0), (0.0, 0.0)])
    def test_gauge_has_one_width(self, balance: float, pending: float) -> None:
        """The budget's gauge is as wide whatever it shows."""
        assert 24 == len(gauge(balance, pending, 5).plain)


class TestDemoBudget:
    """The budget that runs are held to."""

    @pytest.mark.parametrize("rate", [0.5, 12.0, 40.0])
    def test_holds(self, rate: float) -> None:
        """It passes its own checks at every rate a laptop can play, and promises 5 + 2 %."""
        terms = terms_of(demo_budget(rate, None).check())

        assert 15.0 == terms.allowed(500)

    def test_a_flood_goes_beyond_the_ceiling(self) -> None:
        """Raised as in a flood, even the score of the surest intact unit asks for a stop, whatever was learned."""
        surest = -10 * MICRO

        assert demo_budget(12, None).ceiling <= surest + FLOOD_OFFSET
