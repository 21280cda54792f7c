"""A starting threshold with a certificate, from the vetted negatives that come with a model."""

from __future__ import annotations

from pathlib import Path

from budget.warm import certified_threshold
from evidence.calibration import Calibration
from schemas.faults import Fatal


def certified_start(file: Path, *, alpha_ppm: int) -> int:
    """Return the lowest threshold, micro-log-odds, that keeps false alarms at or below alpha with 95 % confidence.

    Raises:
        Fatal: `file` is no calibration, or its negatives are too few to certify alpha, naming how many it needs.
    """
    negatives = Calibration.load(file).negatives
    try:
        return certified_threshold(negatives, fpr_ppm=alpha_ppm)
    except ValueError as error:
        raise Fatal(f"{file}: {error}; raise alpha_ppm, or evaluate more intact captures") from error
