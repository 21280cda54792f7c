"""The token accounts, recomputed from the balances that the decisions themselves record.

Each decision says what the accounts were before and after it. Within a decision only a refill and the debit of a stop
may have moved them; between two decisions only verdicts may: one that confirms a stop moves a token from pending back
to the balance, any other destroys it. So every double or skipped debit, every token returned twice and every token from
nowhere shows as a sum that does not come out, also when each single record looks innocent.
All amounts are integers of millionths of a token.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cli.checker.findings import Finding, Rule, each
from schemas.messages import Decision
from schemas.words import MICRO, Divert


@dataclass(frozen=True, slots=True)
class Terms:
    """What the site was promised, in millionths.

    `alpha` per decision and `burst` cap the false alarms, `alpha_identity` and `burst_identity` the false stops for
    identity, `beta` and `station_burst` all diverts. A verdict counts for `verdict_timeout_ms`.
    """

    alpha: int
    burst: int
    alpha_identity: int | None = None
    burst_identity: int | None = None
    beta: int | None = None
    station_burst: int | None = None
    verdict_timeout_ms: int = 8 * 3_600_000

    def allowed(self, decisions: int) -> float:
        """Return how many false alarms so many decisions may hold, in tokens."""
        return (self.alpha * decisions + self.burst) / MICRO


@dataclass(frozen=True, slots=True)
class Accounts:
    """The two accounts of a site at one moment."""

    balance: int
    pending: int

    @property
    def total(self) -> int:
        """A of the theorem: what can still become a false alarm."""
        return self.balance + self.pending


@dataclass(frozen=True, slots=True)
class Settlement:
    """The verdicts processed between two decisions, as the accounts show them: tokens returned and tokens destroyed."""

    returned: int
    destroyed: int


def check_tokens(
    decisions: Sequence[Decision],
    *,
    terms: Terms,
    confirmed: Mapping[str, bool],
    opening: Accounts | None = None,
    closing: Accounts | None = None,
    restored: Collection[int] = (),
) -> list[Finding]:
    """Follow the accounts through `decisions`, which are in the order of seq.

    `confirmed` says for each stopped capture with a verdict whether the verdict confirmed the stop. `opening` is the
    state before the first decision, `closing` the store's own state when all verdicts were in; either may be unknown.
    After each seq in `restored` the store was lost and rebuilt: the balance starts at 0 there, and which verdicts came
    in between is not told by the accounts, so `closing` says nothing any more.
    """
    broken: list[str] = []
    returned = destroyed = stopped = 0
    confirmations = refusals = 0
    accounts = opening
    for decision in decisions:
        before, after = accounts_before(decision), accounts_after(decision)
        if before is None or after is None:
            broken.append(f"seq {decision.seq} records no accounts")
            continue
        if accounts is not None and decision.seq is not None and decision.seq - 1 in restored:
            accounts = None
            if before.balance:
                broken.append(f"seq {decision.seq} found {_say(before)} in a store just restored")
        if accounts is not None:
            settled = settlement(accounts, before)
            if settled is None:
                broken.append(
                    f"before seq {decision.seq} the accounts moved from {_say(accounts)} to {_say(before)}, "
                    "which no verdicts explain"
                )
            else:
                returned, destroyed = returned + settled.returned, destroyed + settled.destroyed
        if returned > confirmations or returned + destroyed > stopped:
            broken.append(
                f"by seq {decision.seq} {returned} tokens were returned and {destroyed} destroyed for "
                f"{stopped} stops, {confirmations} of them confirmed"
            )
            returned, destroyed = min(returned, confirmations), 0
        broken += _within(decision, before, after, terms)
        if decision.divert == Divert.DAMAGE:
            stopped += 1
            confirmations += confirmed.get(decision.capture_id, False)
            refusals += not confirmed.get(decision.capture_id, True)
        accounts = after
    if closing is not None and accounts is not None and not restored:
        broken += _closing(accounts, closing, Settlement(confirmations - returned, refusals - destroyed))
    return each(Rule.TOKENS, broken, "times the accounts do not add up")


def settlement(earlier: Accounts, later: Accounts) -> Settlement | None:
    """Return which verdicts turn `earlier` into `later`; None when none can."""
    returned, odd = divmod(later.balance - earlier.balance, MICRO)
    freed, odd_too = divmod(earlier.pending - later.pending, MICRO)
    if odd or odd_too or returned < 0 or freed < returned:
        return None
    return Settlement(returned, freed - returned)


def accounts_before(decision: Decision) -> Accounts | None:
    """Return the accounts a decision found; None when it does not record them."""
    if decision.balance_before is None or decision.pending_before is None:
        return None
    return Accounts(decision.balance_before, decision.pending_before)


def accounts_after(decision: Decision) -> Accounts | None:
    """Return the accounts a decision left; None when it does not record them."""
    if decision.balance_after is None or decision.pending_after is None:
        return None
    return Accounts(decision.balance_after, decision.pending_after)


def _within(decision: Decision, before: Accounts, after: Accounts, terms: Terms) -> list[str]:
    debit = MICRO if decision.divert == Divert.DAMAGE else 0
    refill = max(0, min(terms.alpha, terms.burst - before.total))
    expected = Accounts(before.balance + refill - debit, before.pending + debit)
    broken = []
    if after != expected:
        broken.append(f"seq {decision.seq} ({decision.divert.value}) left {_say(after)}, not {_say(expected)}")
    if after.balance < 0 or after.pending < 0 or after.total > terms.burst:
        broken.append(f"seq {decision.seq} left {_say(after)}, outside 0 to the burst of {terms.burst / MICRO:g}")
    return broken


def _closing(last: Accounts, closing: Accounts, due: Settlement) -> list[str]:
    found = settlement(last, closing)
    if found == due:
        return []
    said = f"at the end the store holds {_say(closing)} after {_say(last)}"
    return [f"{said}, with {due.returned} tokens due back and {due.destroyed} to be destroyed"]


def _say(accounts: Accounts) -> str:
    return f"{accounts.balance / MICRO:.6f} + {accounts.pending / MICRO:g} pending"
