"""From the models' arrays to the integers a decision records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import Discrepancy
from evidence.frame import Inset
from evidence.place import Place, around_peak, in_picture
from schemas.messages import Evidence, Identity
from schemas.words import MICRO, IdentityMethod, Pattern, Severity


@dataclass(frozen=True, slots=True)
class ClassifierEvidence:
    """What the classifier says about a capture, all views together, in micro-log-odds."""

    damage: int
    kinds: tuple[int, ...]  # in the order of schemas.words.KINDS
    severity: Severity
    major: bool
    view: int  # the view that looks most damaged
    place: Place  # of that evidence, in millionths of the square the model saw


def combine_views(
    damage: NDArray[np.float32],
    kinds: NDArray[np.float32],
    severity: NDArray[np.float32],
    heat: NDArray[np.float32],
) -> ClassifierEvidence:
    """Combine the views of a capture: damage is seen where it is, so the most damaged view speaks.

    Each kind counts by its own strongest view, a unit can be torn on one side and dented on another. Severity is that
    of the most damaged view; `none` where no view looks damaged.

    Args:
        damage: float32[V] logits.
        kinds: float32[V, 7] logits.
        severity: float32[V] logits of "major given damaged".
        heat: float32[V, 14, 14] logits per cell.
    """
    view = int(damage.argmax())
    damaged, major = float(damage[view]) > 0, float(severity[view]) > 0
    return ClassifierEvidence(
        damage=_micro(damage[view]),
        kinds=tuple(_micro(logit) for logit in kinds.max(axis=0)),
        severity=(Severity.MAJOR if major else Severity.MINOR) if damaged else Severity.NONE,
        major=damaged and major,
        view=view,
        place=around_peak(heat[view]),
    )


def assemble(
    classifier: ClassifierEvidence,
    discrepancy: Discrepancy | None,
    identity: Identity,
    *,
    insets: Sequence[Inset] = (),
) -> Evidence:
    """Join everything the score is made of into the record of it.

    The place shown to people is the classifier's where it calls the unit damaged, else the references', if compared.

    Args:
        classifier: the combined views.
        discrepancy: None where no references were at hand, or the identity is in conflict.
        identity: how the product is known decides the calibration.
        insets: where each view lies in its square (`evidence.frame.inset`); without them places are in the square.
    """
    pattern = _pattern(discrepancy, identity)
    view, place = classifier.view, classifier.place
    if discrepancy is not None and classifier.damage <= 0:
        view, place = discrepancy.view, discrepancy.place
    if insets:
        place = in_picture(place, insets[view])
    return Evidence(
        pattern=pattern,
        classifier=classifier.damage,
        kinds=list(classifier.kinds),
        severity=classifier.severity,
        major=classifier.major,
        discrepancy=None if discrepancy is None else discrepancy.micro,
        references=[] if discrepancy is None else list(discrepancy.reference_ids),
        view=view,
        place=list(place),
    )


def _pattern(discrepancy: Discrepancy | None, identity: Identity) -> Pattern:
    """Return which evidence may be used."""
    if discrepancy is None or identity.conflict:
        return Pattern.CLASSIFIER
    if identity.method in {IdentityMethod.SCAN, IdentityMethod.BARCODE}:
        return Pattern.GALLERY_BY_CODE
    if identity.method is IdentityMethod.IMAGE:
        return Pattern.GALLERY_BY_IMAGE
    return Pattern.CLASSIFIER


def _micro(value: np.float32) -> int:
    return round(float(value) * MICRO)
