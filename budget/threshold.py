"""Which captures should use the tokens: the threshold of one fusion version, in plain Python.

`decision.lua` does the same on Redis and `bench/budget/ours.py` compiled; tests hold the three together, bit for bit.
Every number is an integer: scores in micro-log-odds, tokens in millionths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_high
from typing import Final

from budget.config import BudgetConfig
from budget.warm import BIN_OF_LOCATION, BINS, BINS_PER_SCALE, CLIP, SCALE_MIN, WEIGHT, WarmStart
from schemas.words import MICRO

BILLION: Final = 10**9
SETTLING: Final = 64  # first captures, of which only median and spread are taken
SPREAD_PPM: Final = 1_182_931  # mean absolute over median absolute deviation, of a normal distribution
EVERY: Final = 25  # captures between two moves
FIRST_MOVE: Final = 1_000  # captures known before the first
# docs/decisions/0040 says where the numbers below come from.
LOCATION_MEMORY: Final = 2_000
SCALE_MEMORY: Final = 1_000
FAST_MEMORY: Final = 200
FAST_CLIP: Final = 4
FAR_PERCENT: Final = 25  # of a scale between the two locations, and the slow one catches up
CATCH_UP: Final = 50
ASKING_MEMORY: Final = 250
SHIFT_PPB: Final = 150_000_000  # more asking than that is a shift of all scores, not damage
LOCATION_TRUST: Final = 2  # times alpha: asking at a higher rate than that, they count as if it were that
SHAPE_TRUST: Final = 4
WHOLE: Final = 1_024  # full trust
USUAL_MEMORY: Final = 20_000
WEIGHT_MAX: Final = 1 << 28
GROWTH_PPM: Final = 347  # per move: a capture's share of the histogram halves in 50,000 captures
PENDING_PERCENT: Final = 40  # how much of unusual pending counts as spent before its verdict
LOW: Final = 10  # below a tenth of the burst the share falls with the square of the balance
EAGER_FROM, EAGER_OVER = 3, 4  # alphas that ask: from 3 to 7 of them the share doubles, for damage comes in groups
# Tokens at hand as a share of the burst, and the share of captures to ask for them, in alphas; both in millionths.
PACE: Final = ((0, 900_000), (300_000, 900_000), (770_000, MICRO), (950_000, 1_500_000), (MICRO, 4_000_000))


@dataclass(slots=True)
class Threshold:
    """A quantile of scores made comparable over time, at the pace that the tokens allow."""

    value: int
    location: int = 0
    scale: int = SCALE_MIN
    captures: int = 0
    weight: int = WEIGHT
    since: int = 0
    moves: int = 0
    fast: int = 0  # a location that forgets ten times as fast
    asking: int = 0  # share of captures at or above the threshold of late, in billionths
    usual: int = 0  # pending tokens on average
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    first: list[int] = field(default_factory=list)

    @classmethod
    def warm(cls, start: WarmStart, *, balance: int, config: BudgetConfig, pending: int = 0) -> Threshold:
        """Start from vetted negatives; not below what they certify, until the first move."""
        threshold = cls(
            config.start_threshold,
            start.location,
            max(SCALE_MIN, start.scale),
            start.captures,
            fast=start.location,
            usual=pending,
            bins=[*start.masses],
        )
        threshold._move(balance, pending, config)
        if start.certified is not None:
            threshold.value = max(threshold.value, start.certified)
        return threshold

    def learn(self, score: int, *, balance: int, pending: int, config: BudgetConfig) -> None:
        """Let a score in, and move every 25th time. `balance` and `pending` are those after its decision."""
        if self.captures < SETTLING:
            self._gather(score)
        else:
            self._take(score, config)
        self.usual += _nearest(pending - self.usual, min(USUAL_MEMORY, self.captures))
        self.since += 1
        if self.since == EVERY:
            self.since = 0
            self.weight += self.weight * GROWTH_PPM // MICRO
            if self.weight > WEIGHT_MAX:
                self.weight >>= 8
                self.bins = [mass >> 8 for mass in self.bins]
            if self.captures >= FIRST_MOVE:
                self._move(balance, pending, config)

    def _gather(self, score: int) -> None:
        """Wait for the first captures, then take their median and the median of their deviations."""
        self.first.append(score)
        self.captures += 1
        if self.captures == SETTLING:
            self.location = self.fast = median_high(self.first)
            spread = median_high([abs(known - self.location) for known in self.first])
            self.scale = max(SCALE_MIN, spread * SPREAD_PPM // MICRO)

    def _take(self, score: int, config: BudgetConfig) -> None:
        """Let a score into the histogram, then into location and scale; those that ask as far as they are trusted."""
        asks = score >= self.value
        self.asking += _nearest(asks * BILLION - self.asking, ASKING_MEMORY)
        located = shaped = WHOLE
        if asks and self.captures >= FIRST_MOVE:
            shaped = self._trust(SHAPE_TRUST, config)
            if self.asking < SHIFT_PPB:
                located = self._trust(LOCATION_TRUST, config)
        place = (score - self.location) * BINS_PER_SCALE // self.scale + BIN_OF_LOCATION
        self.bins[min(max(place, 0), BINS - 1)] += self.weight * shaped // WHOLE
        self.captures += 1
        self._track(score, located)

    def _trust(self, alphas: int, config: BudgetConfig) -> int:
        return min(WHOLE, alphas * config.alpha_ppm * 1_000 * WHOLE // self.asking)

    def _track(self, score: int, trust: int) -> None:
        far = score - self.location
        near = min(max(far, -CLIP * self.scale), CLIP * self.scale)
        leap = min(max(score - self.fast, -FAST_CLIP * self.scale), FAST_CLIP * self.scale)
        self.location += _nearest(near * trust, min(LOCATION_MEMORY, self.captures) * WHOLE)
        self.fast += _nearest(leap * trust, FAST_MEMORY * WHOLE)
        apart = self.fast - self.location
        if abs(apart) * 100 > FAR_PERCENT * self.scale:
            self.location += _nearest(apart, CATCH_UP)
        wider = _nearest((abs(near) - self.scale) * trust, min(SCALE_MEMORY, self.captures) * WHOLE)
        self.scale = max(SCALE_MIN, self.scale + wider)

    def _share(self, balance: int, pending: int, config: BudgetConfig) -> int:
        """Return the share of captures that should lie above, in billionths."""
        at_hand = balance + pending - (pending - self.usual) * PENDING_PERCENT // 100
        level = min(max(at_hand // config.burst_tokens, 0), MICRO)
        low = min(MICRO, LOW * balance // config.burst_tokens)
        crowd = (self.asking * 1_000 // config.alpha_ppm - EAGER_FROM * MICRO) // EAGER_OVER
        eager = MICRO + min(max(crowd, 0), MICRO)
        alphas = pace(level) * (low * low // MICRO) // MICRO * eager // MICRO
        return min(BILLION, config.alpha_ppm * alphas // 1_000)

    def _move(self, balance: int, pending: int, config: BudgetConfig) -> None:
        """Put the threshold where that share of the mass lies above it."""
        self.moves += 1
        left = sum(self.bins) // MICRO * self._share(balance, pending, config) // 1_000
        self.value = config.ceiling
        if left == 0:
            return
        for place in reversed(range(BINS)):
            mass = self.bins[place]
            if mass and mass >= left:
                edge = (place + 1 - BIN_OF_LOCATION) * 1024 - left * 1024 // mass
                self.value = self.location + self.scale * edge // (BINS_PER_SCALE * 1024)
                return
            left -= mass


def pace(level_ppm: int) -> int:
    """Return how many alphas of the captures should ask while so much of the burst is at hand, both in millionths."""
    for (below, slow), (above, fast) in pairwise(PACE):
        if level_ppm <= above:
            return slow + (fast - slow) * (level_ppm - below) // (above - below)
    return PACE[-1][1]


def _nearest(distance: int, over: int) -> int:
    return (2 * distance + over) // (2 * over)
