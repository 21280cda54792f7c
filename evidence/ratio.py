"""The gallery's likelihood ratio of damage, when it is not sure that the references are of the right product."""

from __future__ import annotations

from evidence.calibration import Densities
from evidence.logarithm import ln_micro
from schemas.words import MICRO


def gallery_log_ratio(discrepancy: int, confidence_ppm: int, densities: Densities) -> int:
    """Return ln [q f1 + (1-q) fw] / [q f0 + (1-q) fw] in millionths; monotone in q, zero at q = 0."""
    damaged, intact, other = heights(discrepancy, densities)
    unsure = (MICRO - confidence_ppm) * other
    return ln_micro(confidence_ppm * damaged + unsure, confidence_ppm * intact + unsure)


def heights(discrepancy: int, densities: Densities) -> tuple[int, int, int]:
    """Return f1, f0 and fw at a discrepancy, in a scale all three share."""
    last = len(densities.intact) - 1
    along = min(max(discrepancy - densities.origin, 0), last * densities.step)
    knot = min(along // densities.step, last - 1)
    after = along - knot * densities.step
    before = densities.step - after
    return (
        densities.damaged[knot] * before + densities.damaged[knot + 1] * after,
        densities.intact[knot] * before + densities.intact[knot + 1] * after,
        densities.other[knot] * before + densities.other[knot + 1] * after,
    )
