"""The records of a site in their order: no number missing or twice, and accounts that go on where they were left.

Between two decisions only verdicts, expiries and a new configuration may move an account: a token leaves pending and
comes back to the balance or is destroyed. What the station can take moves with the decisions alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from budget.config import BudgetConfig, LineBudget
from schemas.messages import Decision
from schemas.words import MICRO, Divert


@dataclass(frozen=True, slots=True)
class Link:
    """What a decision says of its place and of the accounts before and after it. Tokens are millionths."""

    seq: int
    capture_id: str
    config_version: int
    balance: tuple[int, int]
    pending: tuple[int, int]
    identity: tuple[int, int] | None  # balance and pending before; None in records of older builds
    diverts: int | None  # before
    divert: Divert
    line: str
    own: tuple[int, int, int] | None  # the line's own seq, balance and pending, after; None where it has no budget


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the records do not follow from each other."""

    seq: int
    capture_id: str
    why: str


def link_of(decision: Decision) -> Link | None:
    """Return the place of a decision in the sequence; None where it has none, or not all it needs."""
    before, after = decision.balance_before, decision.balance_after
    pending, left = decision.pending_before, decision.pending_after
    if decision.seq is None or before is None or after is None or pending is None or left is None:
        return None
    identity = None
    if decision.identity_balance is not None and decision.identity_pending is not None:
        identity = decision.identity_balance, decision.identity_pending
    own = None
    if decision.line_seq is not None:
        own = decision.line_seq, decision.line_balance or 0, decision.line_pending or 0
    return Link(
        seq=decision.seq,
        capture_id=decision.capture_id,
        config_version=decision.config_version or 0,
        balance=(before, after),
        pending=(pending, left),
        identity=identity,
        diverts=decision.diverts_balance,
        divert=decision.divert,
        line=decision.line,
        own=own,
    )


def breaks(links: Iterable[Link], configs: Mapping[int, BudgetConfig]) -> Iterator[Break]:
    """Yield the places where `links`, in any order, do not make one sequence."""
    in_order = sorted(links, key=lambda link: (link.seq, link.capture_id))
    for earlier, later in itertools.pairwise(in_order):
        for why in _between(earlier, later, configs):
            yield Break(later.seq, later.capture_id, why)
    yield from _breaks_of_lines(in_order, configs)


def _breaks_of_lines(in_order: Iterable[Link], configs: Mapping[int, BudgetConfig]) -> Iterator[Break]:
    """Yield the places where the accounts of a line's own budget do not go on; a new configuration begins anew."""
    last: dict[str, Link] = {}
    for link in in_order:
        earlier = last.get(link.line)
        last[link.line] = link
        config = configs.get(link.config_version)
        if earlier is None or earlier.config_version != link.config_version or config is None or link.own is None:
            continue
        own = config.lines.get(link.line)
        if own is None or earlier.own is None or not _line_goes_on(earlier.own, link, own):
            yield Break(link.seq, link.capture_id, f"line {link.line} had {earlier.own}, now it has {link.own}")


def _line_goes_on(earlier: tuple[int, int, int], link: Link, own: LineBudget) -> bool:
    """Whether verdicts, one refill and the debit of this decision lead from one state of a line to the next."""
    seq, balance, pending = link.own or (0, 0, 0)
    debit = MICRO if link.divert is Divert.DAMAGE else 0
    filled, held = balance + debit, pending - debit  # what it was once refilled, before the debit
    freed, odd = divmod(earlier[2] - held, MICRO)
    if seq != earlier[0] + 1 or odd or freed < 0:
        return False
    room = own.burst_tokens * MICRO - held
    # A refill is one token at most, so two numbers can explain it; a record may claim millions that were freed.
    most = (filled - earlier[1]) // MICRO
    came_back = (earlier[1] + returned * MICRO for returned in (most - 1, most) if 0 <= returned <= freed)
    return any(found + min(own.alpha_ppm, max(0, room - found)) == filled for found in came_back)


def _between(earlier: Link, later: Link, configs: Mapping[int, BudgetConfig]) -> Sequence[str]:
    if later.seq == earlier.seq:
        return [f"seq {later.seq} is also that of {earlier.capture_id}"]
    if later.seq > earlier.seq + 1:
        return [f"seq {earlier.seq + 1} to {later.seq - 1} are missing before it"]
    if later.config_version != earlier.config_version:  # a lowered burst or a restoration may have taken tokens away
        gained = later.balance[0] - earlier.balance[1]
        freed = earlier.pending[1] - later.pending[0]
        return [] if gained <= max(0, freed) else [f"the balance grew by {gained} between two configurations"]
    found = []
    if not _settled(earlier.balance[1], earlier.pending[1], later.balance[0], later.pending[0]):
        found.append(
            f"seq {earlier.seq} left {earlier.balance[1]} and {earlier.pending[1]} pending, this found "
            f"{later.balance[0]} and {later.pending[0]}, which no verdicts explain"
        )
    config = configs.get(later.config_version)
    if config is None:
        return found
    if earlier.identity is not None and later.identity is not None:
        left = _identity_after(earlier, config)
        if not _settled(*left, *later.identity):
            found.append(f"seq {earlier.seq} left {left} for identity, this found {later.identity}")
    if earlier.diverts is not None and later.diverts is not None:
        room = min(earlier.diverts + config.beta_ppm, config.burst_diverts * MICRO)
        expected = room - MICRO * (earlier.divert is not Divert.NONE)
        if later.diverts != expected:
            found.append(f"the station's account is {later.diverts}, {expected} by the decision before")
    return found


def _identity_after(link: Link, config: BudgetConfig) -> tuple[int, int]:
    balance, pending = link.identity or (0, 0)
    balance += min(config.alpha_identity_ppm, max(0, config.burst_identity * MICRO - balance - pending))
    debit = MICRO if link.divert is Divert.IDENTITY else 0
    return balance - debit, pending + debit


def _settled(balance: int, pending: int, balance_next: int, pending_next: int) -> bool:
    """Whether whole tokens left pending, and some of them came back to the balance."""
    returned, odd = divmod(balance_next - balance, MICRO)
    freed, odd_too = divmod(pending - pending_next, MICRO)
    return not odd and not odd_too and 0 <= returned <= freed
