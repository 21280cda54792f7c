"""From the rows of a trial to a calibration: first the limits of identification, then lines and densities of fusion.

The rows hold what no calibration changes: the classifier's logit, discrepancies, likeness to every product. So a trial
scored with a makeshift calibration is enough to fit a real one, and no picture is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from evidence.assemble import ClassifierEvidence, assemble
from evidence.calibration import Calibration, Densities, Gallery, Line
from evidence.discrepancy import Discrepancy
from evidence.fit import FitRow, fit
from evidence.identity import ImageCandidate, ScanClaim, identify
from evidence.identity_limits import IdentityLimits
from evidence.limits import fit_limits
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.faults import Fatal
from schemas.messages import Identity
from schemas.words import MICRO, Severity
from training.evaluation.rows import Row, usable

_NOWHERE: Final = (0, 0, 0, 0)


def makeshift() -> Calibration:
    """Return a calibration to run the trial with whose rows a real one is fitted on: it changes nothing they keep."""
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
        limits=IdentityLimits(),
    )


def fitted(rows: Sequence[Row]) -> Calibration:
    """Fit a calibration; each capture counts with a right scan and, where its looks suffice, without one.

    Raises:
        Fatal: too few captures, or rows made without `likeness`.
    """
    kept = [row for row in usable(rows) if row.product_id in row.likeness and row.classifier is not None]
    if not kept:
        raise Fatal("a calibration is fitted on rows with the likeness to every product: run the trial with likeness")
    products = sorted(kept[0].likeness)
    columns = {product: column for column, product in enumerate(products)}
    limits = fit_limits(
        np.array([[row.likeness[each].patch / MICRO for each in products] for row in kept], np.float32),
        np.array([[row.likeness[each].pooled / MICRO for each in products] for row in kept], np.float32),
        [columns[row.product_id] for row in kept if row.product_id is not None],
        agree=np.array([[_or_nan(row.likeness[each].agree) for each in products] for row in kept], np.float32),
        laid=np.array([[_or_nan(row.likeness[each].laid) / MICRO for each in products] for row in kept], np.float32),
        redesigned=[row.facts.get("redesigned") == "yes" for row in kept],
    )
    return fit(
        [_fit_row(row, limits, scanned=scanned) for row in kept for scanned in (True, False)],
        version="not yet saved",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
        limits=limits,
    )


def _or_nan(known: int | None) -> float:
    return float("nan") if known is None else known


def _fit_row(row: Row, limits: IdentityLimits, *, scanned: bool) -> FitRow:
    identity = _identified(row, limits, scanned=scanned)
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


def _identified(row: Row, limits: IdentityLimits, *, scanned: bool) -> Identity:
    """Identify a capture with a right scan, or by its looks alone."""
    return identify(
        scan=ScanClaim(row.product_id or "", row.product_id, 0) if scanned else None,
        codes=[],
        candidates=[
            ImageCandidate(
                product,
                alike.pooled / MICRO,
                alike.patch / MICRO,
                alike.agree,
                None if alike.laid is None else alike.laid / MICRO,
            )
            for product, alike in row.likeness.items()
        ],
        expected=[],
        limits=limits,
    )
