"""When references fade and retire: pure rules over how long they have been nobody's nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gallery.facts import Facts, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a reference may be nobody's nearest: both must have passed, twice until it retires."""

    captures: int = 1_000  # of its product, compared with its references
    seconds: float = 14 * 86_400.0


Mark = tuple[int, int]  # captures of the product compared up to then, and Unix milliseconds


def age(
    held: Mapping[str, Facts], last: Mapping[str, Mark], *, compared: int, now_ms: int, patience: Patience
) -> dict[str, tuple[State, str]]:
    """Return which references of a product change their state, and why.

    The last trusted one never fades, however long it was not needed: seasons and promotions come back.

    Args:
        held: trusted and fading references, the newest first.
        last: when each was last the nearest; one without a mark stays as it is.
        compared: captures compared with the product's references so far.
        now_ms: Unix milliseconds.
        patience: how long to wait.
    """
    changes: dict[str, tuple[State, str]] = {}
    trusted = sum(facts.state is State.TRUSTED for facts in held.values())
    for reference_id, facts in reversed(list(held.items())):
        if reference_id not in last:
            continue
        number, at_ms = last[reference_id]
        missed = compared - number
        waited = min(missed / patience.captures, (now_ms - at_ms) / (1000 * patience.seconds))
        if facts.state is State.FADING and at_ms > facts.since_ms:
            changes[reference_id] = State.TRUSTED, "it was the nearest again"
            trusted += 1
        elif facts.state is State.FADING and waited >= 2:  # noqa: PLR2004 - twice
            changes[reference_id] = State.RETIRED, f"not the nearest of the last {missed} captures"
        elif facts.state is State.TRUSTED and waited >= 1 and trusted > 1:
            changes[reference_id] = State.FADING, f"not the nearest of the last {missed} captures"
            trusted -= 1
    return changes
