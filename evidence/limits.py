"""Measure when a look is enough to name a product, from captures with known products.

The open set is made from the known one: for every capture its own product is taken out of the choice, and whatever is
accepted then is a false accept. Choices are made by the line's own code (`training.evaluation.examination`), one of
each size for a capture, so that each tier of `IdentityLimits` is measured at its own size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.identity import Foremost, belief, signs
from evidence.identity_limits import IdentityLimits, ImageTier, LookWeights
from evidence.logistic import logistic
from schemas.faults import Fatal
from schemas.words import MICRO

MARGIN_WEIGHTS: Final = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
STRANGERS: Final = 0.25  # captures of products without references, for each one with: what an accepted look is worth
LEAST: Final = 50  # choices of a size
FALSE_CONFLICTS: Final = 0.001  # of captures with a right scan, so many may look like something else, clearly
POOR: Final = 0.02  # of captures, so many look unlike their own references
APART: Final = 0.9  # likewise, by pooled vectors alone: at 0.95 twice as many new designs are taken for another product
STRONG: Final = 0.95  # of captures, so many look like their own product as strongly as another has to, to contradict

Floats = NDArray[np.float64]


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """Which of some products a capture looks like, once with its own product among them and once without."""

    right: bool  # with its own among them, that one looks likeliest
    mated: Foremost
    stranger: Foremost


class Choice(msgspec.Struct, frozen=True, array_like=True):
    """A choice among so many products: by patch maps, and where captures were laid over references, by keypoints."""

    products: int
    plain: Outcome
    verified: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """How alike, in millionths, a capture and two products are: its own one, and of all others the likeliest."""

    own_patch: int
    own_similarity: int
    other_patch: int
    other_similarity: int
    redesigned: bool = False  # shows another design than its references


def fit_limits(choices: Sequence[Choice], scanned: Sequence[Scanned], *, false_accepts: int = 20_000) -> IdentityLimits:
    """Return the limits at which strangers are accepted no more often than stated.

    Among the weights of the lead in patch similarity, the one that recognises most captures at that rate is taken, for
    each size. What speaks for captures that were laid over is weighted by logistic regression on the largest choice.

    Args:
        choices: of captures (damaged ones, too) none of which is a reference. Those of the largest size are of the
            whole gallery, and their tier holds for any larger one.
        scanned: one for each capture. An unlike look is to be expected of the redesigned, so how unlike one's own
            product one may look is measured on the others.
        false_accepts: of strangers, millionths.

    Raises:
        Fatal: too few captures to measure the rate, or none in the design of its references.
    """
    of_size = {
        size: [each for each in choices if each.products == size] for size in {each.products for each in choices}
    }
    if not scanned or min(map(len, of_size.values()), default=0) < LEAST:
        sizes = ", ".join(f"{len(each)} among {size}" for size, each in sorted(of_size.items())) or "none"
        raise Fatal(
            f"limits need {LEAST} captures of products with references, among at least 2 such products, and as many "
            f"choices of each size; these are {sizes}: render more captures, or give more of them"
        )
    whole = max(of_size)
    look = _weights([each.verified for each in of_size[whole] if each.verified is not None])
    tiers: list[ImageTier] = []
    for size, found in sorted(of_size.items()):
        tiers.append(_tier(MICRO if size == whole else size, found, look, false_accepts, tiers[-1:]))
    own = np.array([[each.own_patch, each.own_similarity] for each in scanned], np.float64) / MICRO
    other = np.array([[each.other_patch, each.other_similarity] for each in scanned], np.float64) / MICRO
    familiar = ~np.array([each.redesigned for each in scanned], bool)
    if not familiar.any():
        raise Fatal("every capture shows a new design: limits need some that look like their references")
    poor = float(np.quantile(own[:, 0], POOR))
    lead = np.where(own[:, 0] <= poor, other[:, 0] - own[:, 0], 0.0)
    ahead = np.where(other[:, 0] > own[:, 0], other[:, 1] - own[:, 1], 0.0)[familiar]
    return IdentityLimits(
        false_accepts=false_accepts,
        tiers=tuple(tiers),
        look=look,
        strong_similarity=_micro(float(np.quantile(own[:, 1], 1 - STRONG))),
        strong_margin=_micro(max(float(np.quantile(lead, 1 - FALSE_CONFLICTS, method="higher")), 0.0) + 0.02),
        poor_patch=_micro(poor),
        apart_similarity=_micro(float(np.quantile(own[familiar, 1], 1 - APART))),
        apart_lead=_micro(max(float(np.quantile(ahead, 1 - FALSE_CONFLICTS, method="higher")), 0.0) + 0.02),
    )


def _weights(outcomes: Sequence[Outcome]) -> LookWeights | None:
    """Weigh the signs that tell captures' own products from strangers; None if too few were laid over.

    A sign that seems to speak against likeness, because others say the same better, gets no weight.
    """
    own = [signs(each.mated) for each in outcomes if each.right and each.mated.laid is not None]
    strange = [signs(each.stranger) for each in outcomes if each.stranger.laid is not None]
    if min(len(own), len(strange)) < LEAST:
        return None
    found = np.array([*own, *strange])
    features = np.column_stack([found - found.mean(axis=0), np.ones(len(found))])
    positive = np.arange(len(features)) < len(own)
    kept = np.ones(features.shape[1], bool)
    while True:
        weights = np.zeros(features.shape[1])
        weights[kept] = logistic(features[:, kept], positive, np.zeros(len(features)), prior=np.zeros(int(kept.sum())))
        if (weights[:-1] >= 0).all():
            return LookWeights(
                **{name: _micro(weight) for name, weight in zip(LookWeights.__struct_fields__, weights, strict=False)}
            )
        kept[weights[:-1].argmin()] = False


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Scores of captures among products with their own one, of strangers, and whether the former are right."""

    mated: Floats
    right: NDArray[np.bool_]
    strangers: Floats

    def limit(self, false_accepts: int, floor: float) -> float:
        """Return what so few strangers reach, and at least `floor`."""
        allowed = len(self.strangers) * false_accepts // MICRO
        return max(float(np.sort(self.strangers)[::-1][allowed]) + 2, floor)

    def recognised(self, limit: float) -> int:
        """Count the captures that are named, and rightly."""
        return int((self.right & (self.mated >= limit)).sum())

    def worth(self, limit: float, false_accepts: int) -> int:
        """Return the share of right names among those given, strangers' included, in millionths.

        The rule of succession: nothing is right without any doubt because few were tried.
        """
        recognised = self.recognised(limit)
        wrong = int((self.mated >= limit).sum()) - recognised + STRANGERS * len(self.mated) * false_accepts / MICRO
        return _micro((recognised + 1) / (recognised + wrong + 2))


def _tier(
    size: int, choices: Sequence[Choice], look: LookWeights | None, false_accepts: int, smaller: Sequence[ImageTier]
) -> ImageTier:
    """Return the limits of a size: what is too little among fewer products is too little among so many."""
    floor = max((each.score for each in smaller), default=-math.inf)
    weights = MARGIN_WEIGHTS if size > 1 else (0.0,)  # the one of a list has no lead
    plain = [_scores([each.plain for each in choices], partial(_with_lead, weight=weight)) for weight in weights]
    limits = [scores.limit(false_accepts, floor) for scores in plain]
    best = max(range(len(weights)), key=lambda at: plain[at].recognised(limits[at]))
    tier = ImageTier(
        products=size,
        margin_weight=_micro(weights[best]),
        score=round(limits[best]),
        right=plain[best].worth(limits[best], false_accepts),
    )
    laid = [each.verified for each in choices if each.verified is not None]
    laid = [each for each in laid if each.mated.laid is not None and each.stranger.laid is not None]
    if look is None or len(laid) < LEAST:
        return tier
    verified = _scores(laid, lambda seen: belief(seen, look))
    floor = max((each.laid for each in smaller if each.laid is not None), default=-math.inf)
    over = verified.limit(false_accepts, floor)
    return msgspec.structs.replace(tier, laid=round(over), right=verified.worth(over, false_accepts))


def _with_lead(seen: Foremost, weight: float) -> float:
    return seen.similarity + weight * seen.lead


def _scores(outcomes: Sequence[Outcome], score: Callable[[Foremost], float]) -> _Scores:
    return _Scores(
        np.array([score(each.mated) for each in outcomes], np.float64),
        np.array([each.right for each in outcomes], bool),
        np.array([score(each.stranger) for each in outcomes], np.float64),
    )


def _micro(value: float) -> int:
    return round(value * MICRO)
