"""Measure when a look is enough to name a product, from captures with known products.

The open set is made from the known one: for every capture its own product is taken out of the choice, and whatever is
accepted then is a false accept. A choice among few products is drawn at random from all, so that each tier of
`IdentityLimits` is measured at its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.identity import IdentityLimits, ImageTier
from schemas.faults import Fatal
from schemas.words import MICRO

SIZES: Final = (1, 3, 10, 30, 100)  # of expected lists; beyond the last one measured, the whole gallery's limits hold
MARGINS: Final = np.linspace(0.0, 0.3, 61)
DRAWS: Final = 8  # random choices for each capture and size
LEAST: Final = 50
FALSE_CONFLICTS: Final = 0.001  # of captures with a right scan, so many may look like something else, clearly
_NOTHING: Final = -1.0  # patch similarity of the second best where there is none

Floats = NDArray[np.float64]


def fit_limits(
    patch: NDArray[np.float32], own: Sequence[int], *, false_accepts: int = 10_000, seed: int = 0
) -> IdentityLimits:
    """Return the limits at which strangers are accepted no more often than stated.

    Among the pairs of limits that hold the false-accept rate, the one that recognises most captures is taken.

    Args:
        patch: float32[captures, products], the patch similarity of each capture (damaged ones, too) to the best
            reference of each product, as `evidence.identity.rank` makes it; none of the captures is a reference.
        own: the column of each capture's own product.
        false_accepts: of strangers, millionths.
        seed: of the random choices.

    Raises:
        Fatal: too few captures to measure the rate.
    """
    captures, products = patch.shape
    if captures < LEAST or products < 2:  # noqa: PLR2004 - one product leaves nothing to take for it
        raise Fatal(f"limits need {LEAST} captures and 2 products, these are {captures} and {products}")
    scores, columns = patch.astype(np.float64), np.asarray(own)
    sizes = [size for size in SIZES if size < products]
    tiers = [_tier(size, *_choices(scores, columns, size, seed), false_accepts / MICRO) for size in sizes]
    tiers.append(_tier(MICRO, *_whole(scores, columns), false_accepts / MICRO))
    mine = scores[np.arange(captures), columns]
    theirs = _without(scores, columns).max(axis=1)
    poor = float(np.quantile(mine, 0.02))
    # Among captures that look poor, so far above is another product by chance, rarely enough over all captures.
    lead = np.where(mine <= poor, theirs - mine, -1.0)
    return IdentityLimits(
        false_accepts=false_accepts,
        tiers=tuple(tiers),
        strong_patch=tiers[-1].patch,
        strong_margin=_micro(max(float(np.quantile(lead, 1 - FALSE_CONFLICTS, method="higher")), 0.0) + 0.02),
        poor_patch=_micro(poor),
    )


def _whole(scores: Floats, own: NDArray[np.intp]) -> tuple[Floats, Floats, NDArray[np.bool_], Floats, Floats]:
    """Return best and margin of each capture among all products, whether that is right, and both as a stranger."""
    best, margin, winner = _best(scores)
    stranger_best, stranger_margin, _ = _best(_without(scores, own))
    return best, margin, winner == own, stranger_best, stranger_margin


def _choices(
    scores: Floats, own: NDArray[np.intp], size: int, seed: int
) -> tuple[Floats, Floats, NDArray[np.bool_], Floats, Floats]:
    """Return the same for random choices of `size` products, with the own one in it, and without it."""
    rng = np.random.default_rng(seed)
    known, strangers = [], []
    for capture, column in enumerate(own):
        others = np.delete(scores[capture], column)
        for _ in range(DRAWS):
            drawn = rng.permutation(others)[:size]
            strangers.append(drawn)
            known.append(np.append(scores[capture, column], drawn[: size - 1]))
    best, margin, winner = _best(np.array(known))
    stranger_best, stranger_margin, _ = _best(np.array(strangers))
    return best, margin, winner == 0, stranger_best, stranger_margin


def _best(scores: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return for each row its best score, its lead over the second, and its column."""
    winner = scores.argmax(axis=1)
    best = scores.max(axis=1)
    rest = scores.copy()
    rest[np.arange(len(scores)), winner] = _NOTHING
    return best, best - rest.max(axis=1), winner


def _without(scores: Floats, own: NDArray[np.intp]) -> Floats:
    """Return the scores with each capture's own product made unlike anything."""
    others = scores.copy()
    others[np.arange(len(scores)), own] = _NOTHING
    return others


def _tier(
    size: int,
    best: Floats,
    margin: Floats,
    right: NDArray[np.bool_],
    stranger_best: Floats,
    stranger_margin: Floats,
    false_accepts: float,
) -> ImageTier:
    """Return the pair of limits that recognises most captures while so few strangers pass."""
    allowed = int(false_accepts * len(stranger_best))
    found: tuple[int, float, float] | None = None
    for least in MARGINS:
        passing = np.sort(stranger_best[stranger_margin >= least])[::-1]
        limit = float(passing[allowed]) + 1e-6 if len(passing) > allowed else _NOTHING
        recognised = int((right & (margin >= least) & (best >= limit)).sum())
        if found is None or recognised > found[0]:
            found = recognised, limit, float(least)
    recognised, limit, least = found or (0, 1.0, 1.0)
    accepted = int(((margin >= least) & (best >= limit)).sum())
    # The rule of succession: no product is recognised without any doubt because few were tried.
    return ImageTier(
        products=size, patch=_micro(limit), margin=_micro(least), right=MICRO * (recognised + 1) // (accepted + 2)
    )


def _micro(value: float) -> int:
    return round(value * MICRO)
