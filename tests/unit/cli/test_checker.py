"""The checker finds what it should, and nothing on an honest run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.checker.catch import Catch, catch
from cli.checker.charge import Charge, Outage
from cli.checker.check import check
from cli.checker.findings import Rule
from cli.checker.reading import read
from cli.checker.tokens import Accounts, Settlement, Terms, settlement
from cli.checker.windows import Window, worst_window
from cli.tape import Tape
from schemas.codec import decode, encode
from schemas.messages import Decision, Sidelined
from schemas.words import MICRO, Divert, Outcome
from streams.delivery import Delivery

Play = Callable[..., tuple[Tape, Charge]]
BURST = 5 * MICRO


def rules(tape: Tape, charge: Charge) -> set[Rule]:
    """Return which rules a run breaks."""
    return {finding.rule for finding in check(read(tape), charge)}


def position(tape: Tape, divert: Divert, *, outcome: Outcome = Outcome.DECIDED) -> int:
    """Return where the first decision of a kind lies on the decisions topic, away from the run's beginning."""
    for index, delivery in enumerate(tape.decisions):
        decision = decode(Decision, delivery.value)
        if index > 50 and decision.divert == divert and decision.outcome == outcome:
            return index
    raise LookupError(divert)


def altered(tape: Tape, index: int, **changes: object) -> Tape:
    """Return the tape with one decision changed, keeping its key and headers."""
    delivery = tape.decisions[index]
    value = encode(msgspec.structs.replace(decode(Decision, delivery.value), **changes))
    records = [*tape.decisions]
    records[index] = dataclasses.replace(delivery, value=value)
    return dataclasses.replace(tape, decisions=tuple(records))


def letter(delivery: Delivery, reason: str) -> Delivery:
    """Return the dead letter of a record."""
    errors = {
        "topic": delivery.topic,
        "partition": str(delivery.partition),
        "offset": str(delivery.offset),
        "exception.class.name": "Poison",
        "exception.message": "as the test says",
        "stage": "TASK_PUT",
        "connector.name": "inspector",
    }
    headers = [(f"__connect.errors.{name}", text.encode()) for name, text in errors.items()]
    headers += [("sideline-reason", reason.encode()), ("sideline-failed-at", b"2027-01-15T08:00:00Z")]
    return dataclasses.replace(delivery, topic="sideline.paper.dead.v1", headers=tuple(headers))


class TestHonestRuns:
    """What an honest line leaves behind passes."""

    @pytest.mark.parametrize("seed", [1, 7, 11])
    def test_no_findings(self, play: Play, seed: int) -> None:
        """An honest run has no findings, whatever the seed."""
        tape, charge = play(500, seed=seed)

        assert [] == check(read(tape), charge)

    def test_flood(self, play: Play) -> None:
        """With every score raised the cap binds, is used up, and holds."""
        tape, charge = play(500, raised=8 * MICRO)

        assert [] == check(read(tape), dataclasses.replace(charge, flood=True))

    def test_copies_are_no_findings(self, play: Play) -> None:
        """A decision emitted again with the same bytes is a redelivery, not a second decision."""
        tape, charge = play()
        again = dataclasses.replace(tape.decisions[3], offset=10_000)

        assert set() == rules(dataclasses.replace(tape, decisions=(*tape.decisions, again)), charge)


class TestOutcomes:
    """Each capture one outcome of one value."""

    def test_lost_decision(self, play: Play) -> None:
        """A capture without a decision or dead letter is found, and so is the gap in seq."""
        tape, charge = play()
        index = position(tape, Divert.NONE)
        lost = dataclasses.replace(tape, decisions=tape.decisions[:index] + tape.decisions[index + 1 :])

        assert {Rule.ONE_OUTCOME, Rule.SEQ} <= rules(lost, charge)

    def test_second_value(self, play: Play) -> None:
        """A second, different value for a capture is found."""
        tape, charge = play()
        index = position(tape, Divert.NONE)
        twisted = dataclasses.replace(altered(tape, index, reason="twisted").decisions[index], offset=10_000)

        assert {Rule.ONE_VALUE} == rules(dataclasses.replace(tape, decisions=(*tape.decisions, twisted)), charge)

    def test_headers_are_part_of_the_value(self, play: Play) -> None:
        """A copy with other CloudEvents headers is a second value."""
        tape, charge = play()
        twisted = dataclasses.replace(tape.decisions[3], offset=10_000, headers=(("ce_id", b"another"),))

        assert {Rule.ONE_VALUE} == rules(dataclasses.replace(tape, decisions=(*tape.decisions, twisted)), charge)

    def test_decision_about_nothing(self, play: Play) -> None:
        """A decision for a capture that was never sent is found."""
        tape, charge = play()
        truth = {key: fact for key, fact in charge.truth.items() if key.encode() != tape.decisions[0].key}
        unsent = dataclasses.replace(tape, captures=tape.captures[1:])

        assert {Rule.NEVER_SENT} == rules(unsent, dataclasses.replace(charge, truth=truth))

    def test_acknowledged_but_gone(self, play: Play) -> None:
        """A capture that the broker acknowledged and that is not on its topic is found."""
        tape, charge = play()

        assert Rule.LANDED in rules(dataclasses.replace(tape, captures=tape.captures[1:]), charge)

    def test_garbage_needs_a_dead_letter(self, play: Play) -> None:
        """A record that cannot be read is fine with a dead letter and a finding without."""
        tape, charge = play()
        garbage = dataclasses.replace(tape.captures[0], offset=10_000, value=b"{")
        fouled = dataclasses.replace(tape, captures=(*tape.captures, garbage))

        assert {Rule.DEAD_LETTER} == rules(fouled, charge)
        assert set() == rules(dataclasses.replace(fouled, dead=(letter(garbage, "unreadable"),)), charge)

    def test_decided_and_refused(self, play: Play) -> None:
        """A capture with a decision and a dead letter has two outcomes."""
        tape, charge = play()

        refused = dataclasses.replace(tape, dead=(letter(tape.captures[0], "view_missing"),))

        assert {Rule.ONE_OUTCOME} == rules(refused, charge)

    def test_reused_id(self, play: Play) -> None:
        """Another capture under a used id is refused, and the first keeps its decision."""
        tape, charge = play()
        value = tape.captures[0].value
        assert value is not None
        impostor = dataclasses.replace(tape.captures[0], offset=10_000, value=value.replace(b"station-1", b"station-2"))
        fouled = dataclasses.replace(tape, captures=(*tape.captures, impostor))

        assert {Rule.ONE_OUTCOME} == rules(fouled, charge)
        assert set() == rules(dataclasses.replace(fouled, dead=(letter(impostor, "id_reused"),)), charge)

    def test_dead_letter_without_reason(self, play: Play) -> None:
        """A dead letter must say why."""
        tape, charge = play()
        nameless = dataclasses.replace(tape.captures[0], topic="sideline.paper.dead.v1", headers=())

        assert {Rule.DEAD_LETTER} == rules(dataclasses.replace(tape, dead=(nameless,)), charge)


class TestDiverts:
    """The sidelined topic tells exactly what the decisions say."""

    def test_missing_event(self, play: Play) -> None:
        """A divert nobody is told about is found."""
        tape, charge = play()

        assert {Rule.DIVERTS} == rules(dataclasses.replace(tape, sidelined=tape.sidelined[1:]), charge)

    def test_event_without_divert(self, play: Play) -> None:
        """An event for a unit that passes is found."""
        tape, charge = play()
        index = position(tape, Divert.AUDIT)

        assert Rule.DIVERTS in rules(altered(tape, index, divert=Divert.NONE), charge)

    def test_other_reason(self, play: Play) -> None:
        """An event that gives another reason than the decision is found."""
        tape, charge = play()
        event = decode(Sidelined, tape.sidelined[0].value)
        twisted = dataclasses.replace(
            tape.sidelined[0], value=encode(msgspec.structs.replace(event, divert=Divert.IDENTITY))
        )

        assert {Rule.DIVERTS} == rules(dataclasses.replace(tape, sidelined=(twisted, *tape.sidelined[1:])), charge)


class TestDecisions:
    """A decision agrees with itself and comes in time."""

    def test_late(self, play: Play) -> None:
        """A decision after its deadline is found."""
        tape, charge = play()
        index = position(tape, Divert.NONE)
        decision = decode(Decision, tape.decisions[index].value)

        assert {Rule.IN_TIME} == rules(altered(tape, index, decide_by=decision.captured_at), charge)

    def test_stop_below_threshold(self, play: Play) -> None:
        """A damage stop whose score is below the threshold is found."""
        tape, charge = play()

        assert {Rule.CONSISTENT} == rules(altered(tape, position(tape, Divert.DAMAGE), score=0), charge)

    def test_undetermined_does_not_act(self, play: Play) -> None:
        """An undetermined capture with an action is found."""
        tape, charge = play()
        index = position(tape, Divert.DAMAGE)

        assert Rule.CONSISTENT in rules(altered(tape, index, outcome=Outcome.UNDETERMINED), charge)

    def test_double_seq(self, play: Play) -> None:
        """A seq given twice is found."""
        tape, charge = play()
        index = position(tape, Divert.NONE)
        decision = decode(Decision, tape.decisions[index].value)
        assert decision.seq is not None

        assert Rule.SEQ in rules(altered(tape, index, seq=decision.seq - 1), charge)


class TestTokens:
    """The accounts add up, or the checker says where they do not."""

    @pytest.mark.parametrize("debit", [0, 2 * MICRO], ids=["skipped", "double"])
    def test_planted_debit(self, play: Play, debit: int) -> None:
        """A script that skips a debit or debits twice is found, though all its records agree with each other."""
        tape, charge = play(500, debits={3: debit})

        assert Rule.TOKENS in rules(tape, charge)

    def test_covered_up_debit(self, play: Play) -> None:
        """A skipped debit is found at the next decision when the record claims that it was made."""
        tape, charge = play(500, debits={3: 0})
        decisions = [decode(Decision, one.value) for one in tape.decisions]
        third = [index for index, one in enumerate(decisions) if one.divert == Divert.DAMAGE][2]
        left = decisions[third].balance_after
        assert left is not None

        found = check(read(altered(tape, third, balance_after=left - MICRO)), charge)

        assert [Rule.TOKENS] == [finding.rule for finding in found]
        assert f"before seq {third + 2}" in found[0].words or f"before seq {third + 1}" in found[0].words

    def test_token_from_nowhere(self, play: Play) -> None:
        """A store that ends with more than its decisions and verdicts explain is found."""
        tape, charge = play()
        assert charge.closing is not None
        richer = Accounts(charge.closing.balance + MICRO, charge.closing.pending)

        assert {Rule.TOKENS} == rules(tape, dataclasses.replace(charge, closing=richer))

    def test_token_returned_for_a_false_alarm(self, play: Play) -> None:
        """A token that comes back although the verdict was `sellable` is found."""
        tape, charge = play(500, raised=8 * MICRO)
        turned = tuple(
            dataclasses.replace(one, value=one.value.replace(b'"damaged"', b'"sellable"'))
            for one in tape.dispositions
            if one.value is not None
        )

        assert Rule.TOKENS in rules(dataclasses.replace(tape, dispositions=turned), charge)

    @given(returned=st.integers(0, 5), destroyed=st.integers(0, 5))
    def test_settlement_reads_verdicts_off_the_accounts(self, returned: int, destroyed: int) -> None:
        """Any mix of verdicts between two decisions is read back from the accounts alone."""
        earlier = Accounts(123_456, 10 * MICRO)
        later = Accounts(123_456 + returned * MICRO, (10 - returned - destroyed) * MICRO)

        assert Settlement(returned, destroyed) == settlement(earlier, later)


class TestWindows:
    """The cap in every window."""

    @given(
        events=st.lists(st.booleans(), min_size=1, max_size=40),
        rate=st.integers(0, MICRO),
        burst=st.integers(0, 3 * MICRO),
    )
    def test_equals_brute_force(self, events: list[bool], rate: int, burst: int) -> None:
        """One pass finds a window exactly as bad as the worst of all n(n+1)/2."""
        worst = max(
            sum(events[first : last + 1]) * MICRO - rate * (last - first + 1) - burst
            for first in range(len(events))
            for last in range(first, len(events))
        )

        found = worst_window(events, rate=rate, burst=burst)

        assert found is not None
        assert worst == found.used - found.allowed
        assert sum(events[found.first : found.last + 1]) == found.events
        assert (worst <= 0) == found.holds

    def test_names_the_window(self) -> None:
        """The window that breaks the cap is named."""
        quiet, loud = [False] * 50, [True] * 4

        assert Window(50, 53, 4, 2 * MICRO + 4 * 10_000) == worst_window(
            [*quiet, *loud, *quiet], rate=10_000, burst=2 * MICRO
        )

    def test_false_alarms_beyond_the_cap(self, play: Play) -> None:
        """A line without a cap is found in the window where it was too loud."""
        tape, charge = play(300, raised=8 * MICRO, capped=False)

        assert Rule.FALSE_ALARMS in rules(tape, charge)

    def test_unjudged_stops_count(self, play: Play) -> None:
        """A stop nobody confirmed counts as a false alarm."""
        tape, charge = play(500, seed=7)
        tight = dataclasses.replace(charge, terms=dataclasses.replace(charge.terms, alpha=0, burst=BURST), closing=None)

        assert Rule.FALSE_ALARMS in rules(dataclasses.replace(tape, dispositions=()), tight)

    def test_diverts_beyond_the_station(self, play: Play) -> None:
        """More diverts of all kinds than the station can take are found."""
        tape, charge = play()
        tight = Terms(charge.terms.alpha, charge.terms.burst, beta=1_000, station_burst=2 * MICRO)

        assert Rule.STATION in rules(tape, dataclasses.replace(charge, terms=tight))


class TestUsefulness:
    """A run must also be worth something."""

    def test_undetermined(self, play: Play) -> None:
        """More than one percent undetermined is found, unless an outage explains them."""
        tape, charge = play(400)
        late = tape
        for index in range(100, 110):
            late = altered(
                late, index, outcome=Outcome.UNDETERMINED, action="none", divert=Divert.NONE, seq=None, withheld=False
            )
        from_ms, to_ms = tape.captures[100].append_ms, tape.captures[109].append_ms
        explained = dataclasses.replace(charge, outages=(Outage("redis stopped", from_ms, to_ms),))

        assert Rule.UNDETERMINED in rules(late, charge)
        assert Rule.UNDETERMINED not in rules(late, explained)

    def test_nothing_caught(self, play: Play) -> None:
        """A line that stops only sound units and passes the damaged ones is found."""
        tape, charge = play()
        swapped = {key: dataclasses.replace(fact, damaged=not fact.damaged) for key, fact in charge.truth.items()}

        assert Rule.CATCH in rules(tape, dataclasses.replace(charge, truth=swapped))

    def test_too_few_to_tell(self, play: Play) -> None:
        """A run that met hardly any damage proves nothing and is not blamed."""
        tape, charge = play(30)
        sound = {key: dataclasses.replace(fact, damaged=False) for key, fact in charge.truth.items()}

        assert Rule.CATCH not in rules(tape, dataclasses.replace(charge, truth=sound))

    def test_luck_is_the_hypergeometric_tail(self) -> None:
        """Chance is what drawing as many units blindly would give."""
        found = Catch(stops=10, hits=2, damaged=5, scored=50, in_hindsight=2)

        assert 1.0 == found.by_chance
        assert 0.2581 == pytest.approx(found.luck, abs=1e-4)

    @pytest.mark.parametrize("wrong", [0, 3, 8])
    def test_hindsight_is_the_best_of_all_thresholds(self, play: Play, wrong: int) -> None:
        """No threshold with as few stops of intact units as the line's catches more, and one catches as many."""
        tape, charge = play(400)
        decisions = read(tape).in_sequence()
        damaged = {one.capture_id: charge.truth[one.capture_id].damaged for one in decisions}
        stopped = {one.capture_id for one in [one for one in decisions if not damaged[one.capture_id]][:wrong]}
        stopped |= {one.capture_id for one in decisions if damaged[one.capture_id]}
        line = [
            msgspec.structs.replace(one, divert=Divert.DAMAGE if one.capture_id in stopped else Divert.NONE)
            for one in decisions
        ]
        scored = [(one.score, damaged[one.capture_id]) for one in decisions if one.score is not None]
        best = 0
        for threshold in (-1 << 40, *(score for score, _ in scored)):
            above = [hurt for score, hurt in scored if score > threshold]
            if len(above) - sum(above) <= wrong:
                best = max(best, sum(above))

        assert best == catch(line, charge.truth).in_hindsight

    def test_flood_without_withheld(self, play: Play) -> None:
        """A flood in which the cap never bound is found."""
        tape, charge = play(200)

        assert Rule.FLOOD in rules(tape, dataclasses.replace(charge, flood=True))
