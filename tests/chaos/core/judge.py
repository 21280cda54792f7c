"""The judgement of a schedule: the checker of every run, and P1 at each commit, which topics alone do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from budget.records import BudgetState
from cli.checker.charge import Charge, Known, Outage
from cli.checker.check import check
from cli.checker.reading import Place, Reading, place_of, read
from cli.checker.tokens import Accounts
from cli.run import terms_of
from schemas.codec import decode, read_dead_letter
from schemas.faults import Poison
from schemas.messages import Capture
from schemas.words import Divert
from streams.delivery import Delivery
from streams.topics import Entity
from tests.chaos.core.broker import Broker

EVER = Outage("captures come in overdue on purpose", 0, 2**62)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a schedule left behind. `steps` it took to come to rest, 0: it never did."""

    seed: int
    broker: Broker
    acknowledged: AbstractSet[str]
    state: BudgetState
    steps: int
    deaths: Counter[str]
    troubles: tuple[str, ...]  # workers that stopped by themselves, handlers that failed for no declared reason


def judge(ended: Ended) -> list[str]:
    """Return what the schedule broke, in words; each begins with the rule."""
    tape = ended.broker.tape()
    reading = read(tape)
    terms = terms_of(ended.state.config)
    charge = Charge(
        truth={capture_id: Known(damaged=False) for capture_id in ended.acknowledged},
        terms=terms,
        outages=(EVER,),
        opening=Accounts(terms.burst, 0),
        closing=Accounts(ended.state.balance, ended.state.pending),
    )
    numbered = len(reading.in_sequence())
    return [
        *map(str, check(reading, charge)),
        *committed_too_far(ended.broker, reading),
        *([f"P4: {ended.state.seq} numbers given out, {numbered} sent"] if ended.state.seq != numbered else []),
        *([] if ended.steps else [f"P6: not at rest, {ended.broker.lag} captures not committed"]),
        *ended.troubles,
    ]


def committed_too_far(broker: Broker, reading: Reading) -> list[str]:
    """P1 and P4: whatever lies below a committed offset had its whole outcome on the topics at that moment."""
    decisions = {key: min(one.delivery.offset for one in sent) for key, sent in reading.decisions.items()}
    sidelined = {key: min(one.delivery.offset for one in sent) for key, sent in reading.sidelined.items()}
    diverted = {key for key, one in reading.decided().items() if one.divert != Divert.NONE}
    letters: dict[Place, int] = {}
    for number, record in enumerate(broker.rest[Entity.DEAD]):
        letter = read_dead_letter(record.headers)
        letters.setdefault((letter.topic, letter.partition, letter.offset), number)
    broken = []
    for commit in broker.commits:
        for record in broker.captures[commit.partition][: commit.offset]:
            if letters.get(place_of(record), commit.dead) < commit.dead:
                continue
            capture_id = _id_of(record)
            announced = capture_id not in diverted or sidelined.get(capture_id, commit.sidelined) < commit.sidelined
            if decisions.get(capture_id, commit.decisions) < commit.decisions and announced:
                continue
            broken.append(
                f"P1: partition {commit.partition} was committed to {commit.offset}, "
                f"offset {record.offset} ({capture_id or 'unreadable'}) had no durable outcome"
            )
    return broken[:3]


def _id_of(record: Delivery) -> str:
    try:
        return decode(Capture, record.value).capture_id
    except Poison:
        return ""
