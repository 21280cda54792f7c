"""`sideline run`: the whole line on the booth's pictures, live, judged at the end by what lies on its topics."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import Annotated, Final

import typer
from rich.console import Console

from booth.turns import Goods
from budget.config import BudgetConfig
from budget.records import BudgetState
from cli.checker.charge import Charge
from cli.checker.check import check
from cli.checker.findings import Finding, Rule
from cli.checker.reading import Reading, read
from cli.checker.takeover import check_takeover, takeover
from cli.checker.tokens import Accounts, Terms
from cli.faults import lasts_s, parse
from cli.here import Line, calibration_at_hand
from cli.live import showing, wide_console
from cli.play import Played, Script, play
from cli.scenarios import DAMAGE_RATE, ENDLESS, SCENARIOS, Aftermath, Scenario
from cli.summary import Summary, Takeover, summarise, write_summary
from cli.summary_table import render
from cli.tape import read_tape
from cli.upkeep import Wanted, running_line
from cli.watch import Watch, watching
from deploy.local.parts import Parts
from evidence.calibration import Calibration
from schemas.words import MICRO
from settings.line import Settings

RATE_PER_S: Final = 6.0  # what two cores carry with booth, broker, models and workers on them
VERDICT_DELAY_S: Final = 2.0
INTERRUPTED: Final = 130  # exit status, as shells use it
TAKEOVER_SLACK_S: Final = 3.0  # beyond the session timeout
_EPOCH_S: Final = 1_735_689_600  # 2025-01-01: keeps the names of sites short
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


SCENARIO_HELP: Final = (
    "`flood` raises every score, so that the cap must bind; `redesign`: products change their design; `poison`: two "
    "liars clear damaged units of one product; `wrong-labels`: other products' codes."
)
_EXAMPLES: Final = """Examples:

  sideline run --captures 500 --seed 7

  sideline run --captures 500 --scenario flood

  sideline run --captures 2000 --inspectors 2 --faults inspector-kill,redis-stop,triton-stop,kafka-stop

  sideline run        (until Ctrl-C)
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(run)


def run(
    captures: Annotated[int | None, typer.Option(min=1, help="How many; default: until Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Of the booth: the same seed, the same products and damage.")] = 7,
    rate: Annotated[float, typer.Option(min=0.1, help="Captures per second.")] = RATE_PER_S,
    inspectors: Annotated[int, typer.Option(min=1, max=16, help="How many inspectors share the work.")] = 1,
    scenario: Annotated[Scenario, typer.Option(help=SCENARIO_HELP)] = (Scenario.STEADY),
    faults: Annotated[
        str, typer.Option(help="Comma-separated: inspector-kill, redis-stop, triton-stop, kafka-stop (20 s each).")
    ] = "",
    site: Annotated[str | None, typer.Option(help="A new name; default: demo- and the time.")] = None,
    keep_up: Annotated[bool, typer.Option("--keep-up", help="Leave the parts running afterwards.")] = False,
) -> None:
    """Play the booth's captures through the whole line, watch it live, and check its promises at the end.

    Starts Kafka, Redis, Triton and the workers if they do not run, and stops at the end what it started. Each run has
    a site of its own, so its budget starts full and its windows are its own; earlier ones stay readable with
    `sideline tail`. 4 % of the units are damaged, and the budget is 5 false alarms + 2 % of the captures: far more
    than a real line has, so that something happens in 500 captures.

    The summary goes to the terminal and to summary.json in the run folder. All of it is computed from the topics, read
    back from their beginning. The exit status is 1 and what failed is listed unless every capture has exactly one
    outcome, at most 1 % are undetermined (outages made with --faults excepted), damage was found more often than by
    chance, false alarms stay within the budget in every window, and the token accounts add up.
    """
    chosen = parse(faults)
    if captures is not None and chosen:
        rate = min(rate, captures / lasts_s(chosen))
    plot = SCENARIOS[scenario]
    script = Script(
        site=site or f"demo-{_base36(int(time.time()) - _EPOCH_S)}",
        seed=seed,
        captures=captures,
        rate_per_s=rate,
        faults=chosen,
        verdict_delay_s=VERDICT_DELAY_S,
        people=plot.people,
        lies=plot.lies,
    )
    world = plot.world(seed, captures or ENDLESS)
    wanted = Wanted(
        site=script.site,
        lines=world.lines,
        config=plot.budget(demo_budget(rate, calibration_at_hand(Settings()))).check(),
        inspectors=inspectors,
        env=dict(plot.env),
    )
    console = wide_console()
    with running_line(wanted, keep_up=keep_up, say=partial(console.print, soft_wrap=True, highlight=False)) as (
        parts,
        line,
    ):
        summary, interrupted = asyncio.run(_session(script, scenario, world, parts, line, console))
        path = write_summary(summary, line.folder.root)
    console.print(render(summary))
    console.print(f"summary: {path}", highlight=False, soft_wrap=True)
    if summary.failures:
        raise typer.Exit(1)
    if interrupted and captures is not None:
        raise typer.Exit(INTERRUPTED)


def demo_budget(rate_per_s: float, calibration: Calibration | None) -> BudgetConfig:
    """Return a budget under which 500 captures show everything: stops, refills, withheld units, an audit or two.

    Nothing is reserved for major damage: with a burst of 5, a reserve would hide how the cap itself binds. Scores are
    log-odds at the prevalence that the calibration expects, far below the booth's. Until the threshold knows better it
    is where, at the booth's prevalence, a unit is as likely damaged as not. The ceiling is beyond any evidence, but not
    beyond a flood.
    """
    prior = calibration.prior if calibration is not None else 0
    return BudgetConfig(
        alpha_ppm=20_000,
        burst_tokens=5,
        reserve=0,
        beta_ppm=60_000,
        burst_diverts=40,
        audit_ppm=5_000,
        floor=prior - 4 * MICRO,
        ceiling=prior + 15 * MICRO,
        start_threshold=prior - round(math.log(DAMAGE_RATE / (1 - DAMAGE_RATE)) * MICRO),
        captures_per_s=rate_per_s,
        verdict_delay_ms=round(VERDICT_DELAY_S * 1000),
    )


def terms_of(config: BudgetConfig) -> Terms:
    """Return what a configuration promises."""
    return Terms(
        alpha=config.alpha_ppm,
        burst=config.burst_tokens * MICRO,
        alpha_identity=config.alpha_identity_ppm,
        burst_identity=config.burst_identity * MICRO,
        beta=config.beta_ppm,
        station_burst=config.burst_diverts * MICRO,
        verdict_timeout_ms=config.verdict_timeout_ms,
    )


async def _session(
    script: Script, scenario: Scenario, world: Goods, parts: Parts, line: Line, console: Console
) -> tuple[Summary, bool]:
    """Play and judge; return the summary and whether somebody ended the playing."""
    watch = Watch(script.site, asked_for=script.captures)
    began = time.monotonic()
    async with watching(watch, line, parts), showing(watch, console):
        played = await play(script, world, parts=parts, line=line, watch=watch)
        watch.phase = "reading the topics back"
        closing, reading = await _read_back(line, script.site)
    plot = SCENARIOS[scenario]
    charge = _charge(played, closing, flood=plot.flood)
    findings = check(reading, charge)
    told = await plot.judge(Aftermath(reading, charge, played.sent, script.captures or ENDLESS, line))
    findings += told.findings
    takeovers = []
    for kill in played.disturbances.kills:
        found = takeover(reading, killed_ms=kill.at_ms)
        limit_ms = (Settings().session_timeout_s + TAKEOVER_SLACK_S) * 1000
        findings += check_takeover(found, limit_ms=limit_ms)
        takeovers.append(Takeover(killed=kill.name, partitions=found.partitions, seconds=found.longest_ms / 1000))
    findings += _sequence_agrees(closing, len(reading.in_sequence()))
    summary = summarise(
        reading,
        charge,
        findings,
        site=script.site,
        seed=script.seed,
        scenario=scenario.value,
        takeovers=takeovers,
        story=told.rows,
        seconds=time.monotonic() - began,
    )
    return summary, played.interrupted


async def _read_back(line: Line, site: str) -> tuple[BudgetState, Reading]:
    """Return the topics and the budget of one and the same moment: no verdict settled between the two looks."""
    store = line.store()
    try:
        before = await store.state(site)
        while True:
            reading = read(await read_tape(line.bootstrap, site))
            after = await store.state(site)
            if after == before:
                return after, reading
            before = after
    finally:
        await store.close()


def _charge(played: Played, closing: BudgetState, *, flood: bool) -> Charge:
    terms = terms_of(closing.config)
    return Charge(
        truth=played.truth,
        terms=terms,
        flood=flood,
        outages=tuple(played.disturbances.outages),
        opening=Accounts(terms.burst, 0),  # a new site starts with a full burst
        closing=Accounts(closing.balance, closing.pending),
    )


def _sequence_agrees(closing: BudgetState, on_topic: int) -> list[Finding]:
    """Nothing may be recorded that was never emitted."""
    if closing.seq == on_topic:
        return []
    return [
        Finding(Rule.SEQ, f"the store gave out {closing.seq} numbers, {on_topic} decisions with one are on the topic")
    ]


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits or "0"
