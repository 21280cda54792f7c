"""What is said about a photograph: five products, and whether the first is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from training.lookup.search import Find

SHOWN: Final = 5
SIBLING_WITHIN: Final = 0.04  # of likeness: photographs of one product differ by so much from one to the next
# How alike a photograph has to be to its first product, by the size of the choice: strangers pass 1 % of the time.
# From bench/identify_photos.py, products left out in turn, siblings of one brand left in (decision 0028); beyond 40
# nobody has measured, and the limits go on as they rose from 3 to 23 products.
LIMITS: Final = ((1, 0.61), (3, 0.70), (10, 0.77), (40, 0.79), (100, 0.81), (1_000, 0.83), (1_000_000_000, 0.85))


@dataclass(frozen=True, slots=True)
class Answer:
    """Products from the likeliest down, scores falling with them; those that may as well be it; is the first one?"""

    finds: tuple[Find, ...]
    siblings: tuple[str, ...]
    accepted: bool


def limit(products: int) -> float:
    """Return the likeness at which one of so many products is believed."""
    return next(score for size, score in LIMITS if products <= size)


def answer(finds: Sequence[Find], *, products: int) -> Answer:
    """Say what was found among so many products."""
    first = finds[0]
    siblings = tuple(
        find.product_id for find in finds[1:SHOWN] if find.inliers and find.score >= first.score - SIBLING_WITHIN
    )
    shown: list[Find] = []
    for find in finds[:SHOWN]:  # the order says more than the likeness alone, and scores must not contradict it
        shown.append(replace(find, score=min(find.score, shown[-1].score)) if shown else find)
    return Answer(tuple(shown), siblings, first.score >= limit(products))
