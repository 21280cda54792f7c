"""The two promises checked from the outside: from decisions and verdicts alone, in every window of `seq`.

Nothing here shares arithmetic with the script or the model. `make run` ends with these checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from budget.config import BudgetConfig
from schemas.messages import Decision
from schemas.words import MICRO, Divert, Outcome


@dataclass(frozen=True, slots=True)
class Excess:
    """The worst window of one promise: `used` events in seq `first`..`last` where `allowed` millionths were allowed."""

    promise: str
    first: int
    last: int
    used: int
    allowed: int

    @property
    def over(self) -> int:
        """How far it is over, in millionths; negative is what was left."""
        return self.used * MICRO - self.allowed


def in_order(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that have a `seq`, by it; repeated ones once."""
    return [known for _, known in sorted({one.seq: one for one in decisions if one.seq is not None}.items())]


def worst_window(
    promise: str, decisions: Sequence[Decision], counted: AbstractSet[str], limits: Sequence[tuple[int, int]]
) -> Excess:
    """Return the window in which most captures of `counted` exceed what is allowed.

    `limits` are (rate in ppm, burst in tokens) of each decision. A window is allowed its rates' sum and the largest
    burst in force within it. With one burst this takes one pass; each further value of the burst costs one more.
    """
    worst: Excess | None = None
    for burst in sorted({tokens for _, tokens in limits}):
        start, used, rates = 0, 0, 0
        for at, (decision, (rate, tokens)) in enumerate(zip(decisions, limits, strict=True)):
            if tokens > burst:  # windows across this decision belong to a larger burst
                start, used, rates = at + 1, 0, 0
                continue
            if used * MICRO - rates <= 0:  # what came before only gives room: the worst window ending here starts here
                start, used, rates = at, 0, 0
            used += decision.capture_id in counted
            rates += rate
            first, last = decisions[start].seq or 0, decision.seq or 0
            found = Excess(promise, first, last, used, rates + burst * MICRO)
            if worst is None or found.over > worst.over:
                worst = found
    return worst or Excess(promise, 0, 0, 0, 0)


def _lines(ordered: Sequence[Decision], counted: AbstractSet[str], configs: Mapping[int, BudgetConfig]) -> list[Excess]:
    """Return the worst window of each line with a budget of its own, in its own captures.

    A window does not reach across a time in which the line had none.
    """
    found = []
    for line in sorted({one.line for one in ordered if one.line_seq is not None}):
        stretch: list[Decision] = []
        last = 0
        for one in [*(each for each in ordered if each.line == line and each.line_seq is not None), None]:
            version = one.config_version or 0 if one is not None else last
            broken = any(line not in configs[between].lines for between in range(last or version, version + 1))
            if stretch and (one is None or broken):
                limits = [configs[each.config_version or 0].lines[line] for each in stretch]
                pairs = [(each.alpha_ppm, each.burst_tokens) for each in limits]
                found.append(worst_window(f"P5a {line}", stretch, counted, pairs))
                stretch = []
            if one is not None:
                stretch.append(one)
            last = version
    return found


def check_promises(
    decisions: Iterable[Decision], confirmed: AbstractSet[str], configs: Mapping[int, BudgetConfig]
) -> list[Excess]:
    """Return the worst window of P5a, of the identity budget, of P5b, and of lines with budgets: each `over` <= 0.

    `confirmed` are the captures whose first in-time verdict was `damaged` or `wrong_item`; `configs` the
    configurations by version.
    """
    ordered = in_order(decisions)
    under = [configs[one.config_version or 0] for one in ordered]
    damage = {one.capture_id for one in ordered if one.divert is Divert.DAMAGE} - confirmed
    identity = {one.capture_id for one in ordered if one.divert is Divert.IDENTITY} - confirmed
    every = {one.capture_id for one in ordered if one.divert is not Divert.NONE}
    return [
        worst_window("P5a", ordered, damage, [(c.alpha_ppm, c.burst_tokens) for c in under]),
        worst_window("P5a identity", ordered, identity, [(c.alpha_identity_ppm, c.burst_identity) for c in under]),
        worst_window("P5b", ordered, every, [(c.beta_ppm, c.burst_diverts) for c in under]),
        *_lines(ordered, damage, configs),
    ]


def check_ledger(decisions: Iterable[Decision], configs: Mapping[int, BudgetConfig]) -> list[str]:
    """Return what is wrong with the decisions as an account: gaps in `seq`, doubled debits, tokens from nowhere.

    Between two decisions verdicts and expiries move tokens; within one, the refill is at most alpha, a damage sideline
    moves exactly one token from balance to pending, and nothing else moves.
    """
    faults: list[str] = []
    seen: dict[str, Decision] = {}
    faults += [
        f"{one.capture_id} has two different decisions"
        for one in decisions
        if seen.setdefault(one.capture_id, one) != one
    ]
    ordered = in_order(seen.values())
    numbers = [one.seq for one in seen.values() if one.seq is not None]
    if numbers and sorted(numbers) != list(range(min(numbers), min(numbers) + len(numbers))):
        faults.append("seq has gaps or repeats")
    faults += [
        f"{one.capture_id}: outcome {one.outcome} with seq {one.seq}" for one in seen.values() if _misplaced(one)
    ]
    for one in ordered:
        faults += [f"seq {one.seq}: {text}" for text in _account(one, configs[one.config_version or 0])]
    return faults


def _misplaced(decision: Decision) -> bool:
    return (decision.outcome is Outcome.DECIDED) != (decision.seq is not None)


def _account(decision: Decision, config: BudgetConfig) -> list[str]:
    balance_before, balance_after = decision.balance_before or 0, decision.balance_after or 0
    pending_before, pending_after = decision.pending_before or 0, decision.pending_after or 0
    debit = MICRO if decision.divert is Divert.DAMAGE else 0
    refill = min(config.alpha_ppm, max(0, config.burst_tokens * MICRO - balance_before - pending_before))
    faults = []
    if pending_after - pending_before != debit:
        faults.append(f"pending moved by {pending_after - pending_before}, the divert {decision.divert} takes {debit}")
    if balance_after - balance_before != refill - debit:
        faults.append(f"balance moved by {balance_after - balance_before}, not by the refill {refill} less {debit}")
    if balance_after < 0 or (balance_after and balance_after + pending_after > config.burst_tokens * MICRO):
        faults.append(f"balance {balance_after} and pending {pending_after} do not fit burst {config.burst_tokens}")
    if decision.withheld and (decision.score or 0) < (decision.threshold or 0):
        faults.append("withheld below the threshold")
    return faults
