"""How sure the line is of what a unit is, and why: from the claims of a record to plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evidence.claims import Claim
from evidence.identity_limits import IdentityLimits
from schemas.messages import Identity
from schemas.words import MICRO, IdentityMethod

_SAYS: Final = {
    IdentityMethod.SCAN: "the scanner read a code of {}",
    IdentityMethod.BARCODE: "the picture shows a code of {}",
    IdentityMethod.IMAGE: "it looks like {}",
}


def claim_words(text: str) -> str:
    """Say one claim of a record: who spoke, and of what."""
    claim = Claim.read(text)
    code = f"{'label of another unit' if claim.stray else 'unknown code'} {claim.code}"
    return f"{claim.method.value}: {code if claim.product_id is None else claim.product_id}{' (weak)' * claim.weak}"


def wrong_item_words(claims: Sequence[str]) -> str:
    """Say what a wrong item is taken for: `the scanner read a code of A, but it looks like B`; empty if all agree."""
    by_product: dict[str, list[str]] = {}
    for claim in _strong(claims):
        by_product.setdefault(claim.product_id or "", []).append(_says(claim))
    if len(by_product) < 2:  # noqa: PLR2004 - it takes two to disagree
        return ""
    return ", but ".join(" and ".join(words) for words in by_product.values())


def identity_story(identity: Identity, limits: IdentityLimits | None) -> list[str]:
    """Say why a unit is thought to be what it is, or why it is not known.

    `limits` are those the identity was found with; without them nothing is said of how often a source is right.
    """
    if identity.product_id is None:
        return ["no source that counts names a product; weak ones are too often wrong"]
    strong = _strong(identity.claims)
    agree = [each for each in strong if each.product_id == identity.product_id]
    others = [each for each in strong if each.product_id != identity.product_id]
    sure = f"{identity.confidence_ppm / 10_000:.4g} %"
    if identity.conflict:
        return [
            f"a wrong item, perhaps: {wrong_item_words(identity.claims)}",
            f"{sure} is its chance given that exactly one of them is right; no reference speaks of its damage",
        ]
    methods = list(dict.fromkeys(each.method for each in agree))
    if len(methods) > 1:
        lines = [f"{len(methods)} sources agree: {', '.join(map(_says, agree))}; all of them would have to be wrong"]
    else:
        lines = [_alone(identity, limits)]
    lines += [f"{_says(each)}, too, but not so clearly that it contradicts" for each in others]
    return lines


def _alone(identity: Identity, limits: IdentityLimits | None) -> str:
    """Say what one source is worth."""
    said = _SAYS.get(identity.method, "a source names {}").format(identity.product_id)
    if limits is None:
        return f"{said}; nothing else confirms it"
    share = f"{identity.confidence_ppm / 10_000:.4g} % of such answers are right"
    if identity.method is IdentityMethod.IMAGE:
        return f"{said} more than at most {limits.false_accepts / MICRO:.0%} of strangers look like anything; {share}"
    return f"{said}; {share}"


def _strong(claims: Sequence[str]) -> list[Claim]:
    """Return the claims that count and name a product."""
    read = [Claim.read(each) for each in claims]
    return [each for each in read if each.product_id is not None and not each.weak and not each.stray]


def _says(claim: Claim) -> str:
    return _SAYS.get(claim.method, "a source names {}").format(claim.product_id)
