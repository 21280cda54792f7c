"""From what the models say of one capture to its evidence and identity: the only way there, on the line and in the lab.

An inspector calls it with patch maps from the gallery's Redis, an evaluation with maps in its own memory. Whatever is
measured by the one is therefore what the other does. Nothing here waits for pictures, scans or models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from evidence.assemble import assemble, combine_views
from evidence.calibration import Calibration
from evidence.codes import Code, normalise
from evidence.discrepancy import Discrepancy, Patches, StoredPatches, compare
from evidence.frame import Inset
from evidence.identity import CodeClaim, ImageCandidate, ScanClaim, Shortlisted, identify, rank
from evidence.triton import Embeddings, Scores
from gallery.index import GalleryIndex
from schemas.messages import Evidence, Identity

SHORTLIST: Final = 8  # products by pooled vectors; vision.md: the top 10 of 31 hold the answer 86-94 % of the time
REFERENCES_COMPARED: Final = 4

Ranking = Callable[[Patches, Sequence[Shortlisted]], list[ImageCandidate]]
Stage = Callable[[str], AbstractContextManager[object]]


class PatchSource(Protocol):
    """Where patch maps of references come from."""

    async def get(self, reference_ids: Sequence[str], /) -> Mapping[str, StoredPatches]:
        """Return int8[V, cells, numbers] of each reference; those that are not there are left out."""


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
        stage: Stage = untimed,
    ) -> None:
        """Take the gallery and the calibration.

        Args:
            index: products and pooled vectors.
            patches: patch maps of the references that `index` knows.
            calibration: limits of identification.
            ranking: as `evidence.identity.rank`; who asks of one capture several times may remember its answers.
            stage: entered as `identify` and `compare`, for whoever measures how long they take.
        """
        self._index = index
        self._patches = patches
        self._ranking = ranking
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
        other_scans: Sequence[ScanClaim] = (),
    ) -> tuple[Evidence, Identity]:
        """Return what is recorded of a capture. The evidence's view is the number of a row of `scores`.

        Args:
            scores: of the capture's RGB views.
            embeddings: of the same views.
            scan: what the scanner read for the unit, see `claim`.
            codes: read from the pixels.
            expected: product ids that the event says it can be; empty where it does not say.
            insets: where each view lies in its square.
            other_scans: what else scanners read for the unit, nearest first.

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
                candidates=await self.looks(embeddings, named=named, expected=expected),
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
        self, embeddings: Embeddings, *, named: Sequence[str] = (), expected: Sequence[str] = ()
    ) -> list[ImageCandidate]:
        """Compare the patch maps of the products it may be, most alike first.

        Args:
            embeddings: of the capture.
            named: products to compare however unlike they look: those of scan and codes.
            expected: if given, only these and the named ones are compared.

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
        return await asyncio.to_thread(self._ranking, embeddings.patches, shortlist)

    def _code_claim(self, read: Code) -> CodeClaim:
        canonical = normalise(read.text, read.symbology)
        product = self._index.product_of(canonical) if canonical else None
        return CodeClaim(canonical or read.text, product, read.confirmed)

    async def _compare(self, identity: Identity, embeddings: Embeddings) -> Discrepancy | None:
        """Compare with references of the product it is thought to be; None where there are none or sources disagree."""
        if identity.product_id is None or identity.conflict:
            return None
        wanted = self._index.references_of(identity.product_id)[:REFERENCES_COMPARED]
        maps = await self._patches.get(wanted)
        references = [(each, maps[each]) for each in wanted if each in maps]
        return await asyncio.to_thread(compare, embeddings.patches, references) if references else None
