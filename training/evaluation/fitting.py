"""From the rows of a trial to a calibration: first the limits of identification, then lines and densities of fusion.

The rows hold what no calibration changes: the classifier's logit, discrepancies, likeness to every product. So a trial
scored with a makeshift calibration is enough to fit a real one, and no picture is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evidence.assemble import ClassifierEvidence, assemble
from evidence.calibration import Calibration, Densities, Gallery, Line
from evidence.discrepancy import Discrepancy
from evidence.fit import FitRow, fit
from evidence.identity import ImageCandidate, ScanClaim, identify
from evidence.identity_limits import IdentityLimits, ImageTier, LookWeights
from evidence.limits import Scanned, fit_limits
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.faults import Fatal
from schemas.messages import Identity
from schemas.words import MICRO, Severity
from training.evaluation.rows import Likeness, Row, usable

_NOWHERE: Final = (0, 0, 0, 0)


def makeshift() -> Calibration:
    """Return a calibration to run the trial with whose rows a real one is fitted on: it changes nothing they keep.

    It has a limit for captures that are laid over references, so that the line's code lays them over.
    """
    line = Line(slope=MICRO, intercept=0)
    gallery = Gallery(
        line=line, weight=0, densities=Densities(origin=0, step=MICRO, damaged=[1, 1], intact=[1, 1], other=[1, 1])
    )
    return Calibration(
        version="makeshift",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
        prior=0,
        alone=line,
        by_code=gallery,
        by_image=gallery,
        weight_cap=MICRO,
        clip=MICRO,
        limits=IdentityLimits(
            tiers=(ImageTier(products=MICRO, margin_weight=0, score=0, laid=0, right=MICRO),),
            look=LookWeights(likeness=0, similarity=0, keypoints=0, lead=0),
        ),
    )


def fitted(rows: Sequence[Row]) -> Calibration:
    """Fit a calibration; each capture counts with a right scan and, where its looks suffice, without one.

    Raises:
        Fatal: too few captures, or rows made without `likeness`.
    """
    kept = [row for row in usable(rows) if row.product_id in row.likeness and row.classifier is not None]
    if not kept:
        raise Fatal("a calibration is fitted on rows with the likeness to a shortlist: run the trial with likeness")
    limits = fit_limits([each for row in kept for each in row.looks], [_scanned(row) for row in kept])
    return fit(
        [_fit_row(row, limits, scanned=scanned) for row in kept for scanned in (True, False)],
        version="not yet saved",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
        limits=limits,
    )


def _scanned(row: Row) -> Scanned:
    """Return how alike a capture is to its own product, and to the most alike of the others."""
    own = row.likeness[row.product_id or ""]
    others = [alike for product, alike in row.likeness.items() if product != row.product_id]
    other = max(others, key=lambda alike: alike.patch, default=Likeness(pooled=-MICRO, patch=-MICRO))
    return Scanned(
        own_patch=own.patch,
        own_similarity=own.pooled,
        other_patch=other.patch,
        other_similarity=other.pooled,
        redesigned=row.facts.get("redesigned") == "yes",
    )


def _fit_row(row: Row, limits: IdentityLimits, *, scanned: bool) -> FitRow:
    identity = identified(row, limits, scanned=scanned)
    right = identity.product_id == row.product_id and not identity.conflict
    own = (
        None
        if row.own is None or not right
        else Discrepancy(micro=row.own, view=0, place=(0, 0, 0, 0), reference_ids=())
    )
    classifier = ClassifierEvidence(row.classifier or 0, (), Severity.UNKNOWN, major=False, view=0, place=(0, 0, 0, 0))
    evidence = assemble(classifier, own, identity)
    return FitRow(
        damaged=bool(row.damaged),
        classifier=evidence.classifier,
        pattern=evidence.pattern,
        confidence_ppm=identity.confidence_ppm,
        discrepancy=evidence.discrepancy,
        other=None if evidence.discrepancy is None else row.stranger,
    )


def identified(row: Row, limits: IdentityLimits, *, scanned: bool) -> Identity:
    """Identify a capture with a right scan, when nothing is laid over anything, or by its looks alone."""
    return identify(
        scan=ScanClaim(row.product_id or "", row.product_id, 0) if scanned else None,
        codes=[],
        candidates=[
            ImageCandidate(
                product,
                alike.pooled / MICRO,
                alike.patch / MICRO,
                None if scanned else alike.agree,
                None if scanned or alike.laid is None else alike.laid / MICRO,
            )
            for product, alike in row.likeness.items()
        ],
        expected=[],
        limits=limits,
    )
