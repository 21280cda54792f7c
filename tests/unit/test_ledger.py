"""The ledger releases acknowledgements in delivery order, and only behind finished heads (P1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.ledger import Entry, Ledger


class LedgerMachine(RuleBasedStateMachine):
    """Deliveries come, finish in any order, finish twice; the released ones are always a prefix."""

    def __init__(self) -> None:
        """Start with an empty ledger."""
        super().__init__()
        self.ledger: Ledger[int] = Ledger()
        self.entries: list[Entry[int]] = []
        self.finished: set[int] = set()
        self.released: list[int] = []

    @rule()
    def enter(self) -> None:
        """Deliver the next offset."""
        self.entries.append(self.ledger.enter(len(self.entries), now=float(len(self.entries))))

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Finish any delivery, possibly one finished before."""
        entry = data.draw(st.sampled_from(self.entries))
        self.finished.add(entry.token)
        self.released += self.ledger.finish(entry)

    @invariant()
    def released_is_the_finished_prefix(self) -> None:
        """Exactly the offsets before the first unfinished one are released, once, in order."""
        prefix = 0
        while prefix in self.finished:
            prefix += 1
        assert list(range(prefix)) == self.released

    @invariant()
    def counts_agree(self) -> None:
        """What is counted is what is there."""
        assert len(self.entries) - len(self.released) == self.ledger.behind_head
        assert len(self.entries) - len(self.finished) == self.ledger.unfinished


TestLedgerMachine = LedgerMachine.TestCase


class TestHeadAge:
    """The age of the oldest entry that holds up acknowledgements."""

    @given(now=st.floats(min_value=0, max_value=1e6))
    def test_empty_ledger_has_no_age(self, now: float) -> None:
        """Nothing waits on an empty ledger."""
        assert Ledger[int]().head_age_s(now=now) == 0.0

    def test_head_ages_until_it_finishes(self) -> None:
        """A finished later entry does not make the head younger; finishing the head does."""
        ledger: Ledger[str] = Ledger()
        head = ledger.enter("head", now=10.0)
        later = ledger.enter("later", now=14.0)
        ledger.finish(later)
        assert ledger.head_age_s(now=15.0) == 5.0
        ledger.finish(head)
        assert ledger.head_age_s(now=15.0) == 0.0
