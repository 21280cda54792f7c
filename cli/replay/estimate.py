"""How many of the captures nobody had to look at were damaged: estimated from audits, which are drawn by lot.

An audited capture stands for 1/p others, where p is the probability with which it was drawn and judged (Horvitz and
Thompson, A generalization of sampling without replacement from a finite universe, 1952). The interval is that of a
weighted sum of Poisson counts (Fay and Feuer, Confidence intervals for directly standardized rates, 1997), which also
holds where no audit found damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy.stats import chi2

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of captures with its interval of 95 %."""

    value: float
    low: float
    high: float

    def plus(self, known: int) -> Estimate:
        """Return the estimate with captures added of which the truth is known."""
        return Estimate(self.value + known, self.low + known, self.high + known)

    def within(self, least: int, most: int) -> Estimate:
        """Return the estimate cut to what is possible."""
        return Estimate(*(min(max(each, least), most) for each in (self.value, self.low, self.high)))

    def out_of(self, whole: int) -> Estimate:
        """Return how many of `whole` are not among those estimated."""
        return Estimate(whole - self.value, whole - self.high, whole - self.low)

    def __str__(self) -> str:
        return f"{self.value:,.0f} ({self.low:,.0f} to {self.high:,.0f})"


def weighted_count(weights: Sequence[float], largest: float) -> Estimate:
    """Estimate how many there are, from the weights of those that were found.

    `largest` is the largest weight that any capture could have had, found or not.
    """
    total, variance = sum(weights), sum(weight * weight for weight in weights)
    doubt = (1 - CONFIDENCE) / 2
    low = float(chi2.ppf(doubt, 2 * total**2 / variance)) * variance / (2 * total) if weights else 0.0
    total_more, variance_more = total + largest, variance + largest**2
    degrees = 2 * total_more**2 / variance_more
    high = float(chi2.ppf(1 - doubt, degrees)) * variance_more / (2 * total_more)
    return Estimate(total, low, high)
