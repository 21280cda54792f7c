"""From what the models say of one capture to its evidence and identity: the only way there, on the line and in the lab.

An inspector calls it with patch maps from the gallery's Redis, an evaluation with maps in its own memory. Whatever is
measured by the one is therefore what the other does. Nothing here waits for pictures, scans or models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Final, Protocol

from evidence.assemble import assemble, combine_views
from evidence.calibration import Calibration
from evidence.codes import Code, normalise
from evidence.discrepancy import Discrepancy, Patches, StoredPatches, compare
from evidence.frame import Inset
from evidence.identity import (
    VERIFIED,
    CodeClaim,
    ImageCandidate,
    ScanClaim,
    Shortlisted,
    Verifier,
    identify,
    rank,
    verify,
)
from evidence.prints import Overlay, Print, Squares
from evidence.triton import Embeddings, Scores
from gallery.index import GalleryIndex
from schemas.messages import Evidence, Identity

SHORTLIST: Final = 8  # products by pooled vectors; vision.md: the top 10 of 31 hold the answer 86-94 % of the time
REFERENCES_COMPARED: Final = 4

Ranking = Callable[[Patches, Sequence[Shortlisted]], list[ImageCandidate]]
Overlaying = Callable[[Squares, Mapping[str, Sequence[Print]]], Verifier]
Stage = Callable[[str], AbstractContextManager[object]]
Turn = Callable[[], AbstractAsyncContextManager[object]]


class PatchSource(Protocol):
    """Where patch maps and prints of references come from."""

    async def get(self, reference_ids: Sequence[str], /) -> Mapping[str, StoredPatches]:
        """Return int8[V, cells, numbers] of each reference; those that are not there are left out."""

    async def prints(self, reference_ids: Sequence[str], /) -> Mapping[str, Sequence[Print]]:
        """Return the prints of each reference's views; those that have none are left out."""


def untimed(_stage: str) -> AbstractContextManager[object]:
    """Measure nothing."""
    return nullcontext()


class Examiner:
    """Joins scan, codes and looks into an identity, and compares the capture with what that product should be."""

    def __init__(
        self,
        *,
        index: GalleryIndex,
        patches: PatchSource,
        calibration: Calibration,
        ranking: Ranking = rank,
        overlaying: Overlaying = Overlay,
        stage: Stage = untimed,
    ) -> None:
        """Take the gallery and the calibration.

        Args:
            index: products and pooled vectors.
            patches: patch maps and prints of the references that `index` knows.
            calibration: limits of identification.
            ranking: as `evidence.identity.rank`; who asks of one capture several times may remember its answers.
            overlaying: as `evidence.prints.Overlay`, likewise.
            stage: entered as `identify` and `compare`, for whoever measures how long they take.
        """
        self._index = index
        self._patches = patches
        self._ranking = ranking
        self._overlaying = overlaying
        self._stage = stage
        self.calibration = calibration

    async def examine(
        self,
        scores: Scores,
        embeddings: Embeddings,
        *,
        scan: ScanClaim | None,
        codes: Sequence[Code],
        expected: Sequence[str],
        insets: Sequence[Inset],
        squares: Squares | None = None,
        other_scans: Sequence[ScanClaim] = (),
        turn: Turn,
    ) -> tuple[Evidence, Identity]:
        """Return what is recorded of a capture. The evidence's view is the number of a row of `scores`.

        Args:
            scores: of the capture's RGB views.
            embeddings: of the same views.
            scan: what the scanner read for the unit, see `claim`.
            codes: read from the pixels.
            expected: product ids that the event says it can be; empty where it does not say.
            insets: where each view lies in its square.
            squares: uint8[V, 224, 224, 3], the views, to lay over references; without them vectors alone are believed.
            other_scans: what else scanners read for the unit, nearest first.
            turn: held while the capture is laid over references, which takes a thread for a tenth of a second and more.
                Who examines one capture at a time needs none: `nullcontext`.

        Raises:
            Retryable: the patch maps' source is away.
        """
        with self._stage("identify"):
            claims = [self._code_claim(code) for code in codes]
            named = [
                each.product_id
                for each in (scan, *other_scans, *claims)
                if each is not None and each.product_id is not None
            ]
            identity = identify(
                scan=scan,
                codes=claims,
                candidates=await self.looks(embeddings, squares=squares, named=named, expected=expected, turn=turn),
                expected=expected,
                limits=self.calibration.limits,
                other_scans=other_scans,
            )
        with self._stage("compare"):
            discrepancy = await self._compare(identity, embeddings)
        classifier = combine_views(scores.damage, scores.kinds, scores.severity, scores.heat)
        return assemble(classifier, discrepancy, identity, insets=insets), identity

    def claim(self, code: str, symbology: str, *, at_ms: int) -> ScanClaim:
        """Return what a scanner read, as a claim: the code in canonical form, and the product that has it, if any."""
        canonical = normalise(code, symbology)
        product = self._index.product_of(canonical) if canonical else None
        return ScanClaim(canonical or code, product, at_ms)

    def knows(self, code: str, symbology: str) -> bool:
        """Tell whether a product of the catalogue has a code."""
        return self.claim(code, symbology, at_ms=0).product_id is not None

    async def looks(
        self,
        embeddings: Embeddings,
        *,
        squares: Squares | None = None,
        named: Sequence[str] = (),
        expected: Sequence[str] = (),
        turn: Turn = nullcontext,
    ) -> list[ImageCandidate]:
        """Compare the patch maps of the products it may be, most alike first.

        Where nothing but looks can name the unit, and there is a limit for it, keypoints order the first
        few and the capture is laid over the best.

        Args:
            embeddings: of the capture.
            squares: its views, see `examine`.
            named: products to compare however unlike they look: those of scan and codes.
            expected: if given, only these and the named ones are compared.
            turn: see `examine`.

        Raises:
            Retryable: the patch maps' source is away.
        """
        nearest = self._index.nearest(embeddings.vectors, k=SHORTLIST, expected=expected)
        similarity = {candidate.product_id: candidate.similarity for candidate in nearest}
        for candidate in self._index.nearest(embeddings.vectors, k=len(named), expected=named) if named else ():
            similarity.setdefault(candidate.product_id, candidate.similarity)
        references = {product: self._index.references_of(product) for product in similarity}
        maps = await self._patches.get([each for ids in references.values() for each in ids])
        shortlist = [
            Shortlisted(product, alike, tuple(maps[each] for each in references[product] if each in maps))
            for product, alike in similarity.items()
        ]
        ranked = await asyncio.to_thread(self._ranking, embeddings.patches, shortlist)
        if squares is None or named or not ranked or self.calibration.limits.tier_of(expected).laid is None:
            return ranked
        return await self._verified(ranked, squares, turn=turn)

    async def _verified(
        self, ranked: Sequence[ImageCandidate], squares: Squares, *, turn: Turn
    ) -> list[ImageCandidate]:
        """Lay the capture over references of some candidates, see `evidence.identity.verify` and `examine`.

        Raises:
            Retryable: the prints' source is away.
        """
        wanted = {each.product_id: self._compared_with(each.product_id) for each in ranked[:VERIFIED]}
        prints = await self._patches.prints([each for ids in wanted.values() for each in ids])
        of_product = {
            product: [each for reference in ids for each in prints.get(reference, ())]
            for product, ids in wanted.items()
        }
        async with turn():
            return await asyncio.to_thread(verify, ranked, self._overlaying(squares, of_product))

    def _compared_with(self, product_id: str) -> tuple[str, ...]:
        """Return the references of a product that captures are compared with."""
        return self._index.references_of(product_id)[:REFERENCES_COMPARED]

    def _code_claim(self, read: Code) -> CodeClaim:
        canonical = normalise(read.text, read.symbology)
        product = self._index.product_of(canonical) if canonical else None
        return CodeClaim(canonical or read.text, product, read.confirmed)

    async def _compare(self, identity: Identity, embeddings: Embeddings) -> Discrepancy | None:
        """Compare with references of the product it is thought to be; None where there are none or sources disagree."""
        if identity.product_id is None or identity.conflict:
            return None
        wanted = self._compared_with(identity.product_id)
        maps = await self._patches.get(wanted)
        references = [(each, maps[each]) for each in wanted if each in maps]
        return await asyncio.to_thread(compare, embeddings.patches, references) if references else None
