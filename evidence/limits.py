"""Measure when a look is enough to name a product, from captures with known products.

The open set is made from the known one: for every capture its own product is taken out of the choice, and whatever is
accepted then is a false accept. A choice among few products is drawn at random from all, so that each tier of
`IdentityLimits` is measured at its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.identity_limits import IdentityLimits, ImageTier
from schemas.faults import Fatal
from schemas.words import MICRO

SIZES: Final = (1, 3, 10, 30, 100)  # of expected lists; beyond the last one measured, the whole gallery's limits hold
MARGIN_WEIGHTS: Final = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
STRANGERS: Final = 0.25  # captures of products without references, for each one with: what an accepted look is worth
DRAWS: Final = 8  # random choices for each capture and size
LEAST: Final = 50
FALSE_CONFLICTS: Final = 0.001  # of captures with a right scan, so many may look like something else, clearly
POOR: Final = 0.02  # of captures, so many look unlike their own references
APART: Final = 0.9  # likewise, by pooled vectors alone: at 0.95 twice as many new designs are taken for another product
STRONG: Final = 0.95  # of captures, so many look like their own product as strongly as another has to, to contradict
_NOTHING: Final = -4.0  # below any similarity

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What was chosen for each of N captures: float64[N] pooled similarity and lead of the first, and whether right.

    Of captures that were `laid` over references: how alike they lie, and the pooled similarity.
    """

    similarity: Floats
    lead: Floats
    right: NDArray[np.bool_]
    laid: bool = False

    def score(self, weight: float) -> Floats:
        """Return what `evidence.identity.look_score` says, as cosines."""
        scored = self.similarity + weight * self.lead
        return scored / (1 + weight) if self.laid else scored


def fit_limits(
    patch: NDArray[np.float32],
    similarity: NDArray[np.float32],
    own: Sequence[int],
    *,
    agree: NDArray[np.float32] | None = None,
    laid: NDArray[np.float32] | None = None,
    redesigned: Sequence[bool] | None = None,
    false_accepts: int = 20_000,
    seed: int = 0,
) -> IdentityLimits:
    """Return the limits at which strangers are accepted no more often than stated.

    Among the weights of the lead, the one that recognises most captures at that rate is taken, for each size.

    Args:
        patch: float32[captures, products], the patch similarity of each capture (damaged ones, too) to the best
            reference of each product, as `evidence.identity.rank` makes it; none of the captures is a reference.
        similarity: float32[captures, products], of the pooled vectors, as `gallery.index` makes it.
        own: the column of each capture's own product.
        agree: float32[captures, products], on how many keypoints each capture and a product's references agree
            (`evidence.identity.Verifier`), NaN of captures and products that nobody tried.
        laid: float32[captures, products], how alike they are where they lie over each other, likewise. From those
            captures of which all is known tiers get a limit for that as well, if they are enough, and `right` is that
            of looks believed by it.
        redesigned: which captures show another design than their references: an unlike look is to be expected of
            them, so how unlike one's own product one may look is measured on the others. None: no capture does.
        false_accepts: of strangers, millionths.
        seed: of the random choices.

    Raises:
        Fatal: too few captures to measure the rate.
    """
    captures, products = patch.shape
    if captures < LEAST or products < 2:  # noqa: PLR2004 - one product leaves nothing to take for it
        raise Fatal(f"limits need {LEAST} captures and 2 products, these are {captures} and {products}")
    looks, pooled, column = patch.astype(np.float64), similarity.astype(np.float64), np.asarray(own)
    over = None if agree is None or laid is None else _known(agree, laid, looks, pooled, column)
    tiers: list[ImageTier] = []
    for size in (size for size in SIZES if size < products):
        known, strangers = _drawn(column, products, size, seed)
        rows = np.repeat(np.arange(captures), DRAWS)[:, None]
        few = _choose(looks[rows, known], pooled[rows, known], right=0)
        apart = _choose(looks[rows, strangers], pooled[rows, strangers])
        weights = MARGIN_WEIGHTS if size > 1 else (0.0,)  # the one of a list has no lead
        tier = _tier(size, few, apart, false_accepts, tiers[-1:], weights)
        if over is not None:
            tier = over.limited(tier, false_accepts, tiers[-1:], seed)
        tiers.append(tier)
    others = looks.copy()
    others[np.arange(captures), column] = _NOTHING
    mated, apart = _choose(looks, pooled, right=column), _choose(others, pooled)
    whole = _tier(MICRO, mated, apart, false_accepts, tiers[-1:], MARGIN_WEIGHTS)
    if over is not None:
        whole = over.limited(whole, false_accepts, tiers[-1:], seed)
    mine = looks[np.arange(captures), column]
    poor = float(np.quantile(mine, POOR))
    lead = np.where(mine <= poor, others.max(axis=1) - mine, 0.0)
    similarity_of_own = pooled[np.arange(captures), column]
    familiar = ~np.array(redesigned if redesigned is not None else [False] * captures, bool)
    rival = others.argmax(axis=1)
    ahead = np.where(others.max(axis=1) > mine, pooled[np.arange(captures), rival] - similarity_of_own, 0.0)[familiar]
    return IdentityLimits(
        false_accepts=false_accepts,
        tiers=(*tiers, whole),
        strong_similarity=_micro(float(np.quantile(similarity_of_own, 1 - STRONG))),
        strong_margin=_micro(max(float(np.quantile(lead, 1 - FALSE_CONFLICTS, method="higher")), 0.0) + 0.02),
        poor_patch=_micro(poor),
        apart_similarity=_micro(float(np.quantile(similarity_of_own[familiar], 1 - APART))),
        apart_lead=_micro(max(float(np.quantile(ahead, 1 - FALSE_CONFLICTS, method="higher")), 0.0) + 0.02),
    )


def _drawn(own: NDArray[np.intp], products: int, size: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw choices of `size` products for each capture: int[N, size] with the own one first, and without it."""
    rng = np.random.default_rng(seed)
    strangers = np.array(
        [rng.permutation(np.delete(np.arange(products), column))[:size] for column in own for _ in range(DRAWS)]
    )
    known = np.column_stack([np.repeat(own, DRAWS), strangers[:, : size - 1]])
    return known, strangers


def _choose(looks: Floats, pooled: Floats, right: NDArray[np.intp] | int = -1) -> _Choice:
    """Take the product whose patch maps are most alike, of each row; `right` is the column of the true one, if any."""
    rows, first = np.arange(len(looks)), looks.argmax(axis=1)
    rest = looks.copy()
    rest[rows, first] = _NOTHING
    lead = looks[rows, first] - rest.max(axis=1) if looks.shape[1] > 1 else np.zeros(len(looks))
    # With one rival left out as the capture's own there may be none: no lead then, as in `look_score`.
    return _Choice(pooled[rows, first], np.where(lead > 2, 0.0, lead), first == right)  # noqa: PLR2004 - cosines


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """How captures lie over every product, float64[N, products] each, and the column of their own.

    `agree` grows with keypoints, and with patch maps where those are as many.
    """

    agree: Floats
    likeness: Floats
    pooled: Floats
    own: NDArray[np.intp]

    def limited(self, tier: ImageTier, false_accepts: int, smaller: Sequence[ImageTier], seed: int) -> ImageTier:
        """Return a tier with the limit for captures that were laid over."""
        captures, products = self.agree.shape
        if tier.products < products:
            known, strangers = _drawn(self.own, products, tier.products, seed)
            rows = np.repeat(np.arange(captures), DRAWS)[:, None]
            mated, apart = self._chosen(rows, known, right=0), self._chosen(rows, strangers)
        else:
            rows, everyone = np.arange(captures)[:, None], np.arange(products)[None].repeat(captures, 0)
            others = everyone[everyone != self.own[:, None]].reshape(captures, products - 1)
            mated, apart = self._chosen(rows, everyone, right=self.own), self._chosen(rows, others)
        floor = [msgspec.structs.replace(each, score=each.laid) for each in smaller if each.laid is not None]
        over = _tier(tier.products, mated, apart, false_accepts, floor, MARGIN_WEIGHTS)
        return msgspec.structs.replace(tier, laid=over.score, laid_weight=over.margin_weight, right=over.right)

    def _chosen(self, rows: NDArray[np.intp], columns: NDArray[np.intp], right: NDArray[np.intp] | int = -1) -> _Choice:
        """Take the product that each capture agrees with on most keypoints: how alike it lies, and its cosine."""
        first = self.agree[rows, columns].argmax(axis=1)
        place = rows[:, 0], columns[np.arange(len(columns)), first]
        return _Choice(self.likeness[place], self.pooled[place], first == right, laid=True)


def _known(
    agree: NDArray[np.float32], laid: NDArray[np.float32], looks: Floats, pooled: Floats, own: NDArray[np.intp]
) -> _Laid | None:
    """Return those captures of which everything is known; None if too few are."""
    whole = ~np.isnan(laid).any(axis=1) & ~np.isnan(agree).any(axis=1)
    if whole.sum() < LEAST:
        return None
    order = agree[whole] + looks[whole] / 4  # a patch similarity is less than 1, a keypoint is 1
    return _Laid(order, laid[whole].astype(np.float64), pooled[whole], own[whole])


def _tier(
    size: int,
    mated: _Choice,
    strangers: _Choice,
    false_accepts: int,
    smaller: Sequence[ImageTier],
    weights: Sequence[float],
) -> ImageTier:
    """Return the weight and limit that recognise most captures while so few strangers pass.

    The limit is at least that of smaller choices: what is too little among few is too little among many.
    """
    floor = max((each.score / MICRO for each in smaller), default=-np.inf)
    allowed = len(strangers.similarity) * false_accepts // MICRO
    found: tuple[int, int, float, float] | None = None
    for weight in weights:
        limit = max(float(np.sort(strangers.score(weight))[::-1][allowed]) + 2 / MICRO, floor)  # above, after rounding
        accepted = mated.score(weight) >= limit
        recognised = int((accepted & mated.right).sum())
        if found is None or recognised > found[0]:
            found = recognised, int(accepted.sum()), weight, limit
    recognised, names, weight, limit = found or (0, 0, 0.0, 1.0)
    # The rule of succession: nothing is right without any doubt because few were tried. Strangers are wrong, too.
    wrong = names - recognised + STRANGERS * len(mated.right) * false_accepts / MICRO
    return ImageTier(
        products=size,
        margin_weight=_micro(weight),
        score=_micro(limit),
        right=round(MICRO * (recognised + 1) / (recognised + wrong + 2)),
    )


def _micro(value: float) -> int:
    return round(value * MICRO)
