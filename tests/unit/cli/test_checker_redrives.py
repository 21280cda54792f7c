"""What the checker makes of captures that were refused and redriven: one legal history, and each way to break it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cli.checker.charge import Charge
from cli.checker.check import check
from cli.checker.findings import Rule
from cli.checker.reading import read
from cli.tape import Tape
from schemas.codec import decode, encode, rfc3339
from schemas.messages import Decision, Rejection
from streams.delivery import Delivery

Play = Callable[..., tuple[Tape, Charge]]
PLACE = 60  # of the capture on its topic, and of its decision on its own
REDRIVEN = ("sideline-redrives", b"1")


def rules(tape: Tape, charge: Charge) -> set[Rule]:
    """Return which rules a run breaks."""
    return {finding.rule for finding in check(read(tape), charge)}


def letter(delivery: Delivery, reason: str, failed_at: datetime, redrives: int = 0) -> Delivery:
    """Return the dead letter of a record."""
    headers = {
        "__connect.errors.topic": delivery.topic,
        "__connect.errors.partition": str(delivery.partition),
        "__connect.errors.offset": str(delivery.offset),
        "__connect.errors.exception.class.name": "Poison",
        "__connect.errors.exception.message": "as the test says",
        "__connect.errors.stage": "TASK_PUT",
        "__connect.errors.connector.name": "inspector",
        "sideline-reason": reason,
        "sideline-failed-at": rfc3339(failed_at),
        "sideline-redrives": str(redrives),
    }
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return dataclasses.replace(delivery, topic="sideline.paper.dead.v1", headers=pairs)


@dataclasses.dataclass
class History:
    """A run in which one capture was rejected twice, redriven each time, and then decided."""

    tape: Tape
    charge: Charge

    def __post_init__(self) -> None:
        """Take a capture and its decision from the middle of an honest run."""
        self.capture, self.emitted = self.tape.captures[PLACE], self.tape.decisions[PLACE]
        self.decision = decode(Decision, self.emitted.value)
        at = self.decision.decided_at
        self.times = [at - timedelta(seconds=left) for left in (40, 30, 20, 10)]
        self.redriven = [dataclasses.replace(self.capture, offset=offset) for offset in (10_000, 10_001)]
        self.letters = [
            letter(self.capture, "view_missing", self.times[0]),
            letter(self.redriven[0], "view_sha256", self.times[2], redrives=1),
        ]
        self.chain = [
            Rejection(reason="view_missing", rejected_at=self.times[0], redriven_at=self.times[1]),
            Rejection(reason="view_sha256", rejected_at=self.times[2], redriven_at=self.times[3]),
        ]

    def broken(self, *, chain: list[Rejection] | None = None, letters: list[Delivery] | None = None) -> set[Rule]:
        """Return what the checker says with another chain or other letters."""
        told = self.chain if chain is None else chain
        decisions = [*self.tape.decisions]
        value = encode(msgspec.structs.replace(self.decision, rejections=told))
        decisions[PLACE] = dataclasses.replace(self.emitted, value=value)
        tape = dataclasses.replace(
            self.tape,
            captures=(*self.tape.captures, *self.redriven),
            decisions=tuple(decisions),
            dead=tuple(self.letters if letters is None else letters),
        )
        return rules(tape, self.charge)


@pytest.fixture
def history(play: Play) -> History:
    """The legal history."""
    return History(*play())


class TestRecorded:
    """A capture whose rejections are on record."""

    def test_a_chain_that_tells_all_is_legal(self, history: History) -> None:
        """Two rejections, two redrives, one decision; copies of letters and of the capture change nothing."""
        assert set() == history.broken()
        copies = [dataclasses.replace(one, offset=one.offset + 50) for one in history.letters]
        assert set() == history.broken(letters=[*history.letters, *copies])

    def test_a_decision_without_its_chain(self, history: History) -> None:
        """Decided after a rejection as if nothing had been: two outcomes."""
        assert {Rule.ONE_OUTCOME} == history.broken(chain=[])

    def test_a_chain_that_leaves_one_out_or_adds_one(self, history: History) -> None:
        """Every rejection stands in it once, and none that never was."""
        assert {Rule.ONE_OUTCOME} == history.broken(chain=history.chain[:1])
        assert {Rule.ONE_OUTCOME} == history.broken(letters=history.letters[:1])
        assert {Rule.ONE_OUTCOME} == history.broken(letters=[])

    def test_a_chain_that_says_otherwise(self, history: History) -> None:
        """Another reason, or another time."""
        first, second = history.chain
        assert {Rule.ONE_OUTCOME} == history.broken(chain=[msgspec.structs.replace(first, reason="no_picture"), second])
        moved = msgspec.structs.replace(first, rejected_at=first.rejected_at + timedelta(milliseconds=1))
        assert {Rule.ONE_OUTCOME} == history.broken(chain=[moved, second])

    def test_rejected_twice_without_a_redrive(self, history: History) -> None:
        """The second rejection says that there was none before it: a second outcome, whatever the decision says."""
        second = letter(history.redriven[0], "view_sha256", history.times[2])
        assert {Rule.REDRIVES} == history.broken(letters=[history.letters[0], second])

    def test_two_rejections_of_one_record(self, history: History) -> None:
        """Redelivered under a permission the same record is rejected anew: both letters count."""
        again = letter(history.capture, "view_sha256", history.times[2], redrives=1)
        assert set() == history.broken(letters=[history.letters[0], again])

    def test_an_impossible_order(self, history: History) -> None:
        """Redriven before it was rejected."""
        first, second = history.chain
        early = msgspec.structs.replace(second, redriven_at=history.times[0])
        assert {Rule.REDRIVES} == history.broken(chain=[first, early])


class TestAtTheDoor:
    """A capture that was refused before it could have an outcome, and came again."""

    def test_with_a_redrive_it_is_legal(self, history: History) -> None:
        """What was sent again says so; without that it has a decision and was refused as well."""
        refused = letter(history.capture, "unknown_line", datetime(2027, 1, 15, tzinfo=UTC))
        assert {Rule.ONE_OUTCOME} == history.broken(chain=[], letters=[refused])
        sent = history.redriven[0]
        history.redriven = [dataclasses.replace(sent, headers=(*sent.headers, REDRIVEN))]
        assert set() == history.broken(chain=[], letters=[refused])
