"""The measured numbers of identification: when a look counts, and how often each source is right.

Part of the calibration file (`triton_models/fusion.json`), made by `evidence.limits.fit_limits`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.words import MICRO

Cosine = Annotated[int, Meta(ge=-4 * MICRO, le=4 * MICRO, description="Millionths of a cosine, a difference or sum.")]
LogOdds = Annotated[int, Meta(ge=-1000 * MICRO, le=1000 * MICRO, description="Millionths of a log-odds.")]
Weight = Annotated[int, Meta(ge=0, le=100 * MICRO, description="Millionths.")]
Chance = Annotated[int, Meta(ge=0, le=MICRO, description="Millionths.")]


class ImageTier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a look counts, among so many products: the more there are, the likelier a stranger looks like one.

    The patch maps choose the product; whether it is believed depends on the cosine of its pooled vectors plus
    `margin_weight` times its lead in patch similarity over the second best. Either alone accepts far fewer captures at
    the same rate of strangers (decision 0025).
    """

    products: Annotated[int, Meta(ge=1, description="Holds for up to this many products to choose from.")]
    margin_weight: Annotated[int, Meta(ge=0, le=10 * MICRO, description="Millionths.")]
    score: Cosine  # at least this much in all
    # Where the capture was laid over references at least this much is needed, and nothing else counts.
    laid: LogOdds | None = None
    # Of a file without `look`, from before decision 0080: the weight of the cosine in a mean with the likeness.
    laid_weight: Annotated[int, Meta(ge=0, le=10 * MICRO, description="Millionths.")] = 0
    right: Chance  # measured share of right answers among those accepted


class LookWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What each sign says for a capture that was laid over references (`evidence.identity.signs`), never against it."""

    likeness: Weight  # of windows, where it lies over the reference
    similarity: Weight  # of pooled vectors
    keypoints: Weight  # on which capture and reference agree
    lead: Weight  # of them over those of the next product


class IdentityLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of identification, measured on booth captures by the training recipe (`evidence.limits.fit_limits`)."""

    scan: Chance = 990_000  # a scan is right this often: a neighbour's label, a reused tote
    barcode: Chance = 995_000  # a code read alike from two transforms of the picture, or by a strong symbology
    unconfirmed: Chance = 900_000  # read once, but a product of the catalogue has it
    false_accepts: Chance = 20_000  # of units whose product is not in the gallery, so many get a name by their looks
    tiers: Annotated[tuple[ImageTier, ...], Meta(min_length=1)] = (  # widest last; it also holds beyond its size
        ImageTier(products=MICRO, margin_weight=500_000, score=950_000, right=950_000),
    )
    look: LookWeights | None = None  # what `laid` of the tiers is a limit of
    # Looks contradict a scan or code where another product is clearly more alike (decision 0053). By patch maps: its
    # pooled vectors are at least so alike, its patch maps by so much more alike than those of the product named, and
    # those are at most so alike.
    strong_similarity: Cosine = 900_000
    strong_margin: Cosine = 150_000
    poor_patch: Cosine = 700_000
    # By pooled vectors: at least so alike, and by so much more alike than those of the product named.
    apart_similarity: Cosine = 940_000
    apart_lead: Cosine = 200_000

    def __post_init__(self) -> None:
        """Refuse tiers in which more products to choose from would need less.

        Raises:
            ValueError: naming the tiers. While decoding, msgspec turns this into its own error.
        """
        for one, other in itertools.pairwise(self.tiers):
            if other.products <= one.products:
                raise ValueError(
                    f"tiers must grow: one for {one.products} products is followed by one for {other.products}"
                )
            for name in ("score", "laid"):
                few, many = getattr(one, name), getattr(other, name)
                if few is not None and many is not None and many < few:
                    raise ValueError(
                        f"a look among {other.products} products needs less {name} ({many}) than one among "
                        f"{one.products} ({few}): the more there are, the likelier a stranger looks like one"
                    )

    def tier(self, products: int) -> ImageTier:
        """Return the limits for a choice among so many products."""
        return next((tier for tier in self.tiers if products <= tier.products), self.tiers[-1])

    def tier_of(self, expected: Collection[str]) -> ImageTier:
        """Return the limits for a choice among the products expected; among all, where none are."""
        return self.tier(len(set(expected)) if expected else MICRO)
