"""What a unit is: a scan, else a code read from its pixels, else the product whose references it looks like.

Pure: claims go in, one `Identity` comes out, with every source that spoke in `claims` (`evidence.claims`).

Confidence is the chance in millionths that the product is right. For one source it is the share of right answers
measured for that source (`IdentityLimits`); sources that agree multiply their doubts; of sources that disagree the
first is kept with the chance that it is right *given* that exactly one of them is, and the conflict is flagged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from evidence.claims import Claim
from evidence.discrepancy import Patches, StoredPatches, patch_similarity
from evidence.identity_limits import IdentityLimits, ImageTier, LookWeights
from schemas.messages import Identity
from schemas.words import MICRO, IdentityMethod

MAX_CLAIMS: Final = 8  # a decision record stays below 2 kB whatever a picture full of codes says
MAX_SCANS: Final = 3  # of them of one pass
SAME_PASS_MS: Final = 500  # nothing gets another unit's id within half a second: two scans so close are of one unit
VERIFIED: Final = 8  # products whose keypoints are compared with a capture's
_BLUR: Final = 0.02  # no two pictures of one thing are more alike than this leaves room for
_FEW: Final = 6  # keypoints added to each number: on so many any two pictures agree


@dataclass(frozen=True, slots=True)
class ScanClaim:
    """What a fixed scanner read for the unit; `product_id` is None where the catalogue does not know the code."""

    code: str
    product_id: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class CodeClaim:
    """A code read from the pixels, in canonical form, and the product that has it."""

    code: str
    product_id: str | None
    confirmed: bool  # two different transforms of the picture agree, or the symbology leaves no room for doubt


@dataclass(frozen=True, slots=True)
class ImageCandidate:
    """A product that the capture may show: cosine of the pooled vectors, chamfer similarity of the patch maps.

    `agree` is on how many keypoints capture and references agree, `laid` how alike they are where they lie over each
    other, 0 .. 1 (`evidence.prints`); None where nobody looked.
    """

    product_id: str
    similarity: float
    patch: float
    agree: int | None = None
    laid: float | None = None


class Foremost(msgspec.Struct, frozen=True, array_like=True):
    """How the likeliest of some candidates looks: all that tells whether it is believed. Millionths, and keypoints."""

    similarity: int  # cosine of pooled vectors
    lead: int  # of patch similarity over the most alike of the others; the one candidate of a list has none
    agree: int | None = None  # keypoints, None where nobody looked
    next_agree: int = 0  # the most that another candidate agrees on
    laid: int | None = None

    @classmethod
    def of(cls, ordered: Sequence[ImageCandidate]) -> Foremost:
        """Take it from candidates, likeliest first."""
        best, others = ordered[0], ordered[1:]
        return cls(
            similarity=_micro(best.similarity),
            lead=_micro(best.patch - max(each.patch for each in others)) if others else 0,
            agree=best.agree,
            next_agree=max((each.agree or 0 for each in others), default=0),
            laid=None if best.laid is None else _micro(best.laid),
        )


class Verifier(Protocol):
    """Lays one capture over references of products: what keypoints and pictures of references are for."""

    def agree(self, product_id: str, /) -> int | None:
        """Return on how many keypoints capture and references agree; None where the product has no keypoints."""

    def likeness(self, product_id: str, /) -> float | None:
        """Return how alike the capture is where it lies over the product's most alike reference, 0 .. 1.

        0 where it cannot be laid over any; None where the product has no references that it could be laid over.
        """


@dataclass(frozen=True, slots=True)
class Shortlisted:
    """A product of the gallery's shortlist with the patch maps int8[V, N, C] of some of its references."""

    product_id: str
    similarity: float
    patches: tuple[StoredPatches, ...]


def rank(query: Patches, shortlist: Sequence[Shortlisted]) -> list[ImageCandidate]:
    """Order a shortlist by what the patch maps say, most alike first; a product counts as its most alike reference.

    Products without patch maps are left out. About 0.4 ms for each reference of three views on one core: call it in a
    thread.

    Args:
        query: float32[V, N, C], unit length per cell.
        shortlist: the pooled vectors' nearest products, and the product that a scan or code names.
    """
    candidates = [
        ImageCandidate(entry.product_id, entry.similarity, max(patch_similarity(query, each) for each in entry.patches))
        for entry in shortlist
        if entry.patches
    ]
    return sorted(candidates, key=lambda candidate: (-candidate.patch, candidate.product_id))


def verify(candidates: Sequence[ImageCandidate], verifier: Verifier, *, most: int = VERIFIED) -> list[ImageCandidate]:
    """Order the first `most` candidates of `rank` by keypoints, and lay the capture over the first of those.

    Patch maps choose among all products, keypoints among those that are much alike, laying over tells strangers off
    (decision 0076). A product without references to lay over keeps its place behind those with.
    """
    first = sorted((replace(each, agree=verifier.agree(each.product_id)) for each in candidates[:most]), key=_first)
    over = [replace(each, laid=verifier.likeness(each.product_id)) for each in first[:1]]
    return [*over, *first[1:], *candidates[most:]]


def identify(
    *,
    scan: ScanClaim | None,
    codes: Sequence[CodeClaim],
    candidates: Sequence[ImageCandidate],
    expected: Sequence[str],
    limits: IdentityLimits,
    other_scans: Sequence[ScanClaim] = (),
) -> Identity:
    """Decide what the unit is.

    Args:
        scan: the nearest scan in time, if any.
        other_scans: the unit's other scans, nearest first. Those within SAME_PASS_MS of the nearest are of the same
            unit and count like it; the others were of whatever had this id before or has it next, and are recorded.
        codes: codes read from the pixels.
        candidates: products by looks, in any order. Those of the scan and of the codes should be among them, however
            unlike they look: only then can looks contradict a scan.
        expected: the products the event says it can be; empty if it does not say.
        limits: measured limits and rates.
    """
    ordered = sorted(candidates, key=likeliest_first)
    together = [] if scan is None else [scan, *(each for each in other_scans if _one_pass(scan, each))]
    named = _named(together, codes, limits)
    look = _look(ordered, expected, limits)
    contradiction = _contradiction(named[0].product_id, ordered, limits) if named else None
    claims = _claims(
        together, [each for each in other_scans if each not in together], codes, look or contradiction, ordered
    )
    if contradiction is not None and named[0].weak:
        named = []  # a code read once was misread, more likely
    if not named:
        if look is None:
            return Identity(claims=claims)
        return Identity(
            product_id=look.product_id, method=IdentityMethod.IMAGE, confidence_ppm=look.chance, claims=claims
        )
    first = named[0]
    agree = [claim for claim in named[1:] if claim.product_id == first.product_id]
    if look is not None and look.product_id == first.product_id:
        agree.append(look)
    confidence = first.chance
    for claim in agree:
        confidence = MICRO - _product(MICRO - confidence, MICRO - claim.chance)
    against = [claim for claim in named[1:] if claim.product_id != first.product_id and not claim.weak]
    if any(claim.method is IdentityMethod.BARCODE and not claim.weak for claim in agree):
        # The scanned label is in the picture, beside a label of something else. Two scans need more to be told apart.
        against = [claim for claim in against if claim.method is IdentityMethod.SCAN]
    if contradiction is not None:
        against.append(contradiction)
    for claim in against:
        confidence = _given_one_is_right(confidence, claim.chance)
    return Identity(
        product_id=first.product_id,
        method=first.method,
        confidence_ppm=confidence,
        conflict=bool(against),
        claims=claims,
    )


def _one_pass(one: ScanClaim, other: ScanClaim) -> bool:
    """Tell whether two scans of one unit id are of one passing of one unit."""
    return abs(one.at_ms - other.at_ms) <= SAME_PASS_MS


def _first(candidate: ImageCandidate) -> tuple[bool, int]:
    """Put first what agrees on most keypoints, last what nobody knows of; those alike keep their order."""
    return candidate.agree is None, -(candidate.agree or 0)


def signs(seen: Foremost) -> tuple[float, float, float, float]:
    """Return what speaks for a candidate that was laid over, in the order of `LookWeights`; each grows with likeness.

    Likeness and cosine count as the logarithm of what they lack: 0.95 to 0.97 is about as much as 0.5 to 0.63.
    Keypoints count as a logarithm, too, so their lead is one of a ratio: siblings agree on nearly as many.
    """
    agree, others = (seen.agree or 0) + _FEW, seen.next_agree + _FEW
    lacking = [-math.log(max(1 - value / MICRO, 0.0) + _BLUR) for value in (seen.laid or 0, seen.similarity)]
    return lacking[0], lacking[1], math.log(agree), math.log(agree / others)


def look_margin(seen: Foremost, limits: IdentityLimits, tier: ImageTier) -> int:
    """Return by how much a look passes the limits of its tier, in millionths; below 0 it is not believed.

    Where the capture was laid over and the tier has a limit for that, it is told in log-odds, and a lead in patch
    similarity does not count.
    """
    if tier.laid is not None and seen.laid is not None:
        if limits.look is not None:
            return belief(seen, limits.look) - tier.laid
        weighted = seen.laid * MICRO + seen.similarity * tier.laid_weight
        return weighted // (MICRO + tier.laid_weight) - tier.laid
    return seen.similarity + seen.lead * tier.margin_weight // MICRO - tier.score


def belief(seen: Foremost, weights: LookWeights) -> int:
    """Return how much speaks for a candidate that was laid over: the weighted sum of its signs, millionths."""
    likeness, similarity, keypoints, lead = signs(seen)
    return round(
        weights.likeness * likeness
        + weights.similarity * similarity
        + weights.keypoints * keypoints
        + weights.lead * lead
    )


def likeliest_first(candidate: ImageCandidate) -> tuple[bool, int, float, str]:
    """Order by keypoints, where they are known, then by patch maps."""
    return *_first(candidate), -candidate.patch, candidate.product_id


@dataclass(frozen=True, slots=True)
class _Claim:
    """One source's product and the chance that it is right."""

    method: IdentityMethod
    product_id: str
    chance: int
    weak: bool = False  # supports, but never contradicts


def _named(scans: Sequence[ScanClaim], codes: Sequence[CodeClaim], limits: IdentityLimits) -> list[_Claim]:
    """Return the sources that name a product of the catalogue, the most trusted first, each product once a source.

    Of several products that were scanned in one pass, the only one whose code is in the picture as well is the unit's.
    """
    scanned = list(dict.fromkeys(scan.product_id for scan in scans if scan.product_id is not None))
    confirmed = {code.product_id for code in codes if code.confirmed and code.product_id is not None}
    single = {code.product_id for code in codes if code.product_id is not None} - confirmed
    seen = [product for product in scanned if product in confirmed]
    claims = [_Claim(IdentityMethod.SCAN, product, limits.scan) for product in (seen if len(seen) == 1 else scanned)]
    claims += [_Claim(IdentityMethod.BARCODE, product, limits.barcode) for product in sorted(confirmed)]
    weak = [_Claim(IdentityMethod.BARCODE, product, limits.unconfirmed, weak=True) for product in sorted(single)]
    if not claims and len(weak) > 1:
        return []  # several single reads and nothing to choose between them
    return claims + weak


def _look(ordered: Sequence[ImageCandidate], expected: Sequence[str], limits: IdentityLimits) -> _Claim | None:
    """Return the product the unit looks like, if the looks pass the limits for a choice of this size."""
    allowed = set(expected)
    if not ordered or (allowed and ordered[0].product_id not in allowed):
        return None  # it looks more like something that is not expected than like anything that is
    tier = limits.tier_of(allowed)
    if look_margin(Foremost.of(ordered), limits, tier) < 0:
        return None
    return _Claim(IdentityMethod.IMAGE, ordered[0].product_id, tier.right)


def _contradiction(product_id: str, ordered: Sequence[ImageCandidate], limits: IdentityLimits) -> _Claim | None:
    """Return the other product that the unit clearly is by its looks, where it clearly is not the one named.

    Without references of the product named there is nothing to say: a look alone is a guess.
    """
    own = next((candidate for candidate in ordered if candidate.product_id == product_id), None)
    if own is None or ordered[0].product_id == product_id:
        return None
    alike, patch_lead = _micro(ordered[0].similarity), _micro(ordered[0].patch - own.patch)
    by_patches = (
        alike >= limits.strong_similarity
        and patch_lead >= limits.strong_margin
        and _micro(own.patch) <= limits.poor_patch
    )
    by_vectors = alike >= limits.apart_similarity and alike - _micro(own.similarity) >= limits.apart_lead
    if not by_patches and not by_vectors:
        return None
    return _Claim(IdentityMethod.IMAGE, ordered[0].product_id, limits.tiers[-1].right)


def _claims(
    together: Sequence[ScanClaim],
    apart: Sequence[ScanClaim],
    codes: Sequence[CodeClaim],
    look: _Claim | None,
    ordered: Sequence[ImageCandidate],
) -> list[str]:
    """Write down every source that spoke, the look last."""
    scan, barcode = IdentityMethod.SCAN, IdentityMethod.BARCODE
    said = list(dict.fromkeys(str(Claim(scan, each.product_id, each.code)) for each in together))[:MAX_SCANS]
    said += [
        str(Claim(barcode, code.product_id, code.code, weak=not code.confirmed))
        for code in sorted(codes, key=lambda code: (not code.confirmed, code.product_id or "~", code.code))
    ]
    said += [str(Claim(scan, each.product_id, each.code, weak=True)) for each in apart]
    said = list(dict.fromkeys(said))[: MAX_CLAIMS - 1]
    if look is not None:
        said.append(str(Claim(IdentityMethod.IMAGE, look.product_id)))
    elif ordered:
        said.append(str(Claim(IdentityMethod.IMAGE, ordered[0].product_id, weak=True)))
    return said


def _given_one_is_right(chance: int, against: int) -> int:
    """Return the chance of a claim when another with chance `against` names something else: not both are right."""
    only_this, only_that = _product(chance, MICRO - against), _product(MICRO - chance, against)
    return MICRO * only_this // (only_this + only_that) if only_this + only_that else MICRO // 2


def _product(left: int, right: int) -> int:
    """Multiply two chances in millionths."""
    return (left * right + MICRO // 2) // MICRO


def _micro(value: float) -> int:
    return round(value * MICRO)
