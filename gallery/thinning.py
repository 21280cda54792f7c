"""Which references a product can do without."""

from __future__ import annotations

from collections.abc import Sequence

from gallery.likeness import likenesses, similar
from gallery.rules import Rules
from gallery.seen import Look


def thin(references: Sequence[Look], rules: Rules) -> tuple[str, ...]:
    """Return which references a product can do without; the newest come first in `references` and are kept longest.

    Near-duplicates of newer ones go, and of what is then still too many, the ones most like another.
    """
    kept: list[Look] = []
    surplus: list[str] = []
    for each in references:
        double = any(similar(each, other) >= rules.duplicate for other in kept)
        (surplus.append(each.reference_id) if double else kept.append(each))
    while len(kept) > rules.max_references:
        likest = likenesses(kept).max(axis=1)
        place = len(kept) - 1 - int(likest[::-1].argmax())  # of equals the oldest
        surplus.append(kept.pop(place).reference_id)
    return tuple(surplus)
