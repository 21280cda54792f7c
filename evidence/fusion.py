"""One score from all evidence: log-odds of damage in millionths, from recorded integers to an integer.

    score = line(classifier) + weight x clip(ln [q f1 + (1-q) fw] / [q f0 + (1-q) fw]) + prior

The line may bend at a knee. `f1`, `f0`, `fw` are the densities of the discrepancy for damaged, intact and wrongly
identified units, `q` is the confidence of the identity. As q falls to zero the fraction tends to one and the line to
that of the classifier alone: an unsure identity cannot raise an alarm. On a conflict the gallery does not speak at all.
Nothing here is a float, so a decision replays bit for bit on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from evidence.assemble import assemble, combine_views
from evidence.calibration import DEFAULT_PATH, Calibration, Line
from evidence.fit import FitRow, fit
from evidence.ratio import gallery_log_ratio
from schemas.messages import Evidence, Identity
from schemas.words import MICRO, Pattern

__all__ = [
    "DEFAULT_PATH",
    "MAX_SCORE",
    "Calibration",
    "FitRow",
    "assemble",
    "combine_views",
    "fit",
    "fuse",
    "words",
]

MAX_SCORE: Final = 40 * MICRO  # e^40: beyond any evidence, and far within the integers that Redis and Lua keep exact


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of a fused score, in micro-log-odds; they add up to it."""

    pattern: Pattern
    classifier: int
    gallery: int
    prior: int

    @property
    def score(self) -> int:
        """Return the sum, bounded."""
        return _clamp(self.classifier + self.gallery + self.prior, MAX_SCORE)


def fuse(evidence: Evidence, identity: Identity, calibration: Calibration) -> int:
    """Return the fused score in micro-log-odds, within ±40,000,000 for any integers in the record."""
    return terms(evidence, identity, calibration).score


def terms(evidence: Evidence, identity: Identity, calibration: Calibration) -> Terms:
    """Return the score in its parts."""
    logit = _clamp(evidence.classifier, MAX_SCORE)
    alone = _apply(calibration.alone, logit)
    gallery = None if identity.conflict else calibration.gallery(evidence.pattern)
    if gallery is None or evidence.discrepancy is None:
        return Terms(Pattern.CLASSIFIER, alone, 0, calibration.prior)
    sure = min(max(identity.confidence_ppm, 0), MICRO)
    # The line, too, moves from the classifier's own to the one fitted beside the gallery as the identity gets sure.
    classifier = alone + _scale(_apply(gallery.line, logit) - alone, sure)
    ratio = gallery_log_ratio(evidence.discrepancy, sure, gallery.densities)
    return Terms(
        evidence.pattern, classifier, _scale(_clamp(ratio, calibration.clip), gallery.weight), calibration.prior
    )


def words(evidence: Evidence, identity: Identity, calibration: Calibration) -> list[str]:
    """Say in plain words what each piece of evidence adds to the score, in log-odds, and by which coefficients."""
    parts = terms(evidence, identity, calibration)
    gallery = calibration.gallery(parts.pattern)
    sure = f"{identity.confidence_ppm / 10_000:.1f} % sure of {identity.product_id or 'no product'}"
    lines = [
        f"{_signed(parts.prior)} before looking: so rare is damage on the line",
        f"{_signed(parts.classifier)} from the pictures alone: the classifier says {_signed(evidence.classifier)}, "
        f"{_line(calibration.alone)}"
        + ("" if gallery is None else f", with references {_line(gallery.line)} as far as they are the product's"),
    ]
    if gallery is not None:
        by = "its code" if parts.pattern is Pattern.GALLERY_BY_CODE else "its looks"
        lines.append(
            f"{_signed(parts.gallery)} from comparing with {len(evidence.references)} references: {sure} by {by}, "
            f"discrepancy {(evidence.discrepancy or 0) / MICRO:.3f}, by weight {gallery.weight / MICRO:.3f} and at "
            f"most {calibration.clip / MICRO:.2f} either way"
        )
    elif identity.conflict:
        lines.append("+0.00 from references: sources of identity disagree, so none was believed")
    elif evidence.discrepancy is None:
        lines.append("+0.00 from references: none was compared")
    lines.append(f"{_signed(parts.score)} fused score ({calibration.version}), log-odds of damage")
    return lines


def _line(line: Line) -> str:
    above = f" and {line.bend / MICRO:.3f} for each above {_signed(line.knee)}" if line.bend else ""
    return f"times {line.slope / MICRO:.3f} {_signed(line.intercept)}{above}"


def _apply(line: Line, logit: int) -> int:
    rise = line.slope * logit + line.bend * max(0, logit - line.knee)  # rounded once, so that it never falls
    return (rise + MICRO // 2) // MICRO + line.intercept


def _scale(value: int, millionths: int) -> int:
    """Multiply by millionths, halves rounded up."""
    return (value * millionths + MICRO // 2) // MICRO


def _clamp(value: int, bound: int) -> int:
    return min(max(value, -bound), bound)


def _signed(micro: int) -> str:
    return f"{micro / MICRO:+.2f}"
