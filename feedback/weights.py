"""How likely a capture was to be looked at, and what follows: weights, and estimates of what nobody looked at.

A stop is looked at for certain. A pass is looked at with the probability that its record names, drawn independently of
its score. A sum over the captures that were looked at, each weighted by one over its probability, is an unbiased
estimate of the sum over all of them (Horvitz and Thompson 1952).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from feedback.labels import Stop, truth_of
from schemas.messages import Decision
from schemas.words import MICRO, Divert, Verdict


def chance_ppm(decision: Decision) -> int:
    """Return how likely a diverted capture was to be diverted for what it was, in millionths: 0 where nobody knows."""
    match decision.divert:
        case Divert.DAMAGE | Divert.IDENTITY:
            return MICRO
        case Divert.AUDIT:
            return decision.audit_ppm
    return 0


def weight(decision: Decision) -> float:
    """Return how many captures a diverted one stands for.

    Raises:
        ValueError: its record does not say how likely it was.
    """
    chance = chance_ppm(decision)
    if chance == 0:
        raise ValueError(f"capture {decision.capture_id} was looked at with no known probability")
    return MICRO / chance


@dataclass(frozen=True, slots=True)
class Estimate:
    """What audits say of the passes, and so of all that was damaged. The numbers are captures.

    `passes_estimated` should be near `passes`: it is made from audits alone, and shows whether they can be believed.
    Errors are standard errors; with fewer than five damaged audits they mean little.
    """

    passes: int
    passes_estimated: float
    passes_error: float
    damaged_stopped: int
    damaged_audited: int
    damaged_passed: float
    damaged_passed_error: float

    @property
    def recall(self) -> float | None:
        """The share of all damaged captures that were stopped; None where none is known."""
        damaged = self.damaged_stopped + self.damaged_passed
        return self.damaged_stopped / damaged if damaged else None


def estimate(labelled: Iterable[Stop], passes: int) -> Estimate:
    """Estimate from the stops with a verdict; `passes` were counted, audited ones among them."""
    stopped, audited, damaged = 0, [], []
    for stop in labelled:
        if stop.first is None or chance_ppm(stop.decision) == 0:
            continue
        bad = bool(truth_of(stop.first.disposition).damaged)
        if stop.decision.divert is Divert.AUDIT:
            audited.append(weight(stop.decision))
            damaged += audited[-1:] if bad else []
        elif stop.first.disposition.verdict is not Verdict.UNSURE:
            stopped += bad
    return Estimate(
        passes=passes,
        passes_estimated=math.fsum(audited),
        passes_error=_error(audited),
        damaged_stopped=stopped,
        damaged_audited=len(damaged),
        damaged_passed=math.fsum(damaged),
        damaged_passed_error=_error(damaged),
    )


def _error(weights: Iterable[float]) -> float:
    """Return the standard error of a weighted count under independent draws: the variance is the sum of w (w - 1)."""
    return math.sqrt(math.fsum(w * (w - 1) for w in weights))
