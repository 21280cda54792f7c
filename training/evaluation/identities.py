"""How well products are told by their looks, those that the gallery does not know included.

An open set: for each capture its own product is taken out of the choice, and whatever is named then is a false accept.
The more products there are to choose from, the likelier a stranger looks like one of them, so limits are told for each
size of choice. DIR (detection and identification rate) is the share of captures named, and named right, at a limit at
which strangers are named no more often than a stated rate (FAR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evidence.identity import look_margin
from evidence.identity_limits import IdentityLimits
from evidence.limits import Choice
from schemas.words import MICRO, IdentityMethod
from training.evaluation.intervals import Interval, exact
from training.evaluation.rows import Row
from training.evaluation.table import Table, Way

FAR: Final = 0.01


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Choices among so many products."""

    products: int
    captures: int
    top1: float  # with the own product in the choice, it looks most alike
    top1_may_be: Interval
    dir_at_far: float  # at the limit below
    dir_may_be: Interval  # that limit taken as given
    dir_damaged: float  # at the same limit, of captures that show damage; NaN if none does
    dir_familiar: float  # ... of those in the design of their references, as far as anybody said otherwise
    far: float  # stated
    limit: float  # found on these very strangers: so far above the calibration's own (`evidence.identity.look_margin`)
    shipped_dir: float
    shipped_dir_may_be: Interval
    shipped_far: float
    shipped_far_may_be: Interval


@dataclass(frozen=True, slots=True)
class Named:
    """How a way of examining names products."""

    captures: int
    named: int
    wrong: int
    wrong_rate: float  # of those named
    wrong_rate_may_be: Interval
    conflicts: int


def open_sets(rows: Sequence[Row], limits: IdentityLimits, *, gallery: int, far: float = FAR) -> list[OpenSet]:
    """Return the figures of each size of choice, smallest first.

    Args:
        rows: of captures, some of which had their looks tried.
        limits: of the calibration.
        gallery: products in the gallery: a choice of that size has the limits for the whole of it.
        far: of strangers, so many may be named.
    """
    by_size: dict[int, list[tuple[Row, Choice]]] = {}
    for row in rows:
        for look in row.looks:
            by_size.setdefault(look.products, []).append((row, look))
    return [_open_set(size, looks, limits, gallery, far) for size, looks in sorted(by_size.items())]


def named(table: Table, way: Way) -> Named:
    """Return how often a way names a product, and how often a wrong one."""
    told = [
        (row, answer)
        for row, answer in zip(table.rows, table.answers(way), strict=True)
        if answer is not None and row.product_id is not None
    ]
    accepted = [(row, answer) for row, answer in told if answer.method is not IdentityMethod.NONE]
    wrong = sum(answer.product_id != row.product_id for row, answer in accepted)
    return Named(
        captures=len(told),
        named=len(accepted),
        wrong=wrong,
        wrong_rate=wrong / len(accepted) if accepted else float("nan"),
        wrong_rate_may_be=exact(wrong, len(accepted)),
        conflicts=sum(answer.conflict for _, answer in told),
    )


def _open_set(
    size: int, looks: Sequence[tuple[Row, Choice]], limits: IdentityLimits, gallery: int, far: float
) -> OpenSet:
    tier = limits.tier(size if size < gallery else MICRO)
    tried = [look.plain if tier.laid is None or look.verified is None else look.verified for _, look in looks]
    right = np.array([each.right for each in tried], bool)
    mated = np.array([look_margin(each.mated, limits, tier) for each in tried], np.float64)
    strangers = np.sort(np.array([look_margin(each.stranger, limits, tier) for each in tried], np.float64))[::-1]
    allowed = int(far * len(strangers) * (1 + 1e-12))
    limit = float(strangers[allowed]) if allowed < len(strangers) else -np.inf
    accepted = int((strangers >= 0).sum())
    named_right = right & (mated > limit)
    found, found_shipped = int(named_right.sum()), int((right & (mated >= 0)).sum())
    damaged = np.array([bool(row.damaged) for row, _ in looks], bool)
    familiar = np.array([row.facts.get("redesigned") != "yes" for row, _ in looks], bool)
    return OpenSet(
        products=size,
        captures=len(looks),
        top1=float(right.mean()),
        top1_may_be=exact(int(right.sum()), len(looks)),
        dir_at_far=found / len(looks),
        dir_may_be=exact(found, len(looks)),
        dir_damaged=float(named_right[damaged].mean()) if damaged.any() else math.nan,
        dir_familiar=float(named_right[familiar].mean()) if familiar.any() else math.nan,
        far=far,
        limit=limit / MICRO,
        shipped_dir=found_shipped / len(looks),
        shipped_dir_may_be=exact(found_shipped, len(looks)),
        shipped_far=accepted / len(strangers),
        shipped_far_may_be=exact(accepted, len(strangers)),
    )
