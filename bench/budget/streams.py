"""Streams of scores whose truth is known: still, drifting, seasonal, bursty, and resampled from a real evaluation."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.words import MICRO

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

ALPHA_PPM: Final = 5_000
BURST: Final = 50
DELAY: Final = 2_000  # captures between a sideline and its verdict
PREVALENCE: Final = 0.001
GAP: Final = 3.5  # damaged units score this many standard deviations higher
GAP_HEAVY: Final = 8.0  # ... where the tails are heavy
LATE: Final = 20_000  # the longest delay tried, with the burst of 2 x alpha x delay that it needs
DAY: Final = 100_000  # captures of the seasonal stream's day
WAVE, HARD_FROM = 20_000, 15_000  # the last quarter of each wave is hard
GROUP, GROUP_WITHIN = 20, 400  # damaged units that come together, and among how many captures
CENTRE: Final = -4  # log-odds of an ordinary capture
VETTED: Final = 2_000  # negatives that a site or a new model starts with
SCORES: Final = Path(__file__).with_name("scores.json")


class Name(enum.StrEnum):
    """What the world does."""

    STATIONARY = "stationary"
    JUMP = "drift and a jump"
    SCALE = "scale drift"
    SEASONAL = "seasonal"
    HARD = "waves of hard products"
    BURSTS = "damage in bursts"
    HEAVY = "heavy tails"
    SILENT = "unannounced model"
    MODEL = "announced model"
    AT_ONCE = "verdicts at once"
    LATE = "verdicts 20000 late"
    MIXED = "verdicts 0 to 20000 late"
    REAL = "scores of the shipped models"


class Resampled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fused scores of a real evaluation, micro-log-odds, and where they come from."""

    source: str
    intact: list[int]
    damaged: list[int]


@dataclass(frozen=True, slots=True)
class Stream:
    """N captures in order, with everything that a controller, an oracle and the escrow need."""

    scores: Ints  # int64[N], micro-log-odds, as the line sees them
    damaged: Flags  # bool[N]
    known: Floats  # float64[N]: the same scores as one sees them who knows the drift
    delays: Ints  # int64[N]: captures until the verdict
    burst: int  # tokens
    vetted: Ints  # int64[M]: scores of intact units from before the first capture
    turn: int  # the capture at which a new model takes over; N where none does
    renewed: Ints  # int64[M]: scores of the same units by that model


def make(name: Name, seed: int, captures: int) -> Stream:
    """Return a stream, the same for the same seed."""
    rng = np.random.default_rng([seed, list(Name).index(name)])
    at = np.arange(captures)
    damaged = _in_bursts(rng, captures) if name is Name.BURSTS else rng.random(captures) < PREVALENCE
    noise, gap = _noise(name, rng, captures), GAP_HEAVY if name is Name.HEAVY else GAP
    before = _noise(name, rng, VETTED)
    known = np.where(damaged, noise + gap, noise)
    if name is Name.HARD:
        known = known + np.where((at % WAVE >= HARD_FROM) & ~damaged, 1.0, 0.0)
    elif name is Name.REAL:
        known, before = _real(rng, damaged), _real(rng, np.zeros(VETTED, np.bool_))
    seen, turn = known, captures
    if name is Name.JUMP:
        seen = known + 3 * np.sin(6 * at / captures) + np.where(at >= captures // 2, 2.0, 0.0)
    elif name is Name.SCALE:
        seen = known * np.exp(0.7 * np.sin(9 * at / captures))
    elif name is Name.SEASONAL:
        hour = 2 * np.pi * at / DAY
        seen = known * (1 + 0.2 * np.cos(hour)) + np.sin(hour)
    elif name in {Name.SILENT, Name.MODEL}:
        seen = np.where(at >= captures // 2, _remodelled(known), known)
        turn = captures // 2 if name is Name.MODEL else captures
    delays, burst = _delays(name, rng, captures)
    return Stream(
        scores=_micro(seen),
        damaged=damaged,
        known=known,
        delays=delays,
        burst=burst,
        vetted=_micro(before),
        turn=turn,
        renewed=_micro(_remodelled(before)),
    )


def hindsight(stream: Stream) -> int:
    """Return how many damaged units the best fixed threshold on `known` catches within alpha * N false alarms.

    Where nothing drifts this is the best fixed threshold in hindsight; else the oracle that knows the drift.
    """
    return _best(stream.known, stream.damaged)


def best_fixed(stream: Stream) -> int:
    """Return what the best fixed threshold in hindsight catches of the scores as the line sees them."""
    return _best(stream.scores.astype(np.float64), stream.damaged)


def _best(scores: Floats, damaged: Flags) -> int:
    allowed = ALPHA_PPM * len(scores) // MICRO
    intact = np.sort(scores[~damaged])[::-1]
    return int((scores[damaged] >= intact[min(allowed, len(intact) - 1)]).sum())


def _noise(name: Name, rng: np.random.Generator, count: int) -> Floats:
    return rng.standard_t(3, size=count) if name is Name.HEAVY else rng.normal(size=count)


def _remodelled(scores: Floats) -> Floats:
    """Return what another model says of the same captures: it finds as much, and says so in other numbers."""
    return 1.6 * scores + 1.5


def _delays(name: Name, rng: np.random.Generator, captures: int) -> tuple[Ints, int]:
    """Return captures until each verdict, and the burst that they need."""
    late = 2 * ALPHA_PPM * LATE // MICRO
    if name is Name.LATE:
        return np.full(captures, LATE, np.int64), late
    if name is Name.MIXED:
        return rng.integers(0, LATE + 1, captures), late
    return np.full(captures, 0 if name is Name.AT_ONCE else DELAY, np.int64), BURST


def _micro(scores: Floats) -> Ints:
    return np.asarray(np.round((scores + CENTRE) * MICRO), np.int64)


def _in_bursts(rng: np.random.Generator, captures: int) -> Flags:
    damaged = np.zeros(captures, np.bool_)
    for start in rng.integers(0, max(1, captures - GROUP_WITHIN), captures // WAVE):
        damaged[start + rng.choice(GROUP_WITHIN, GROUP, replace=False)] = True
    return damaged


@cache
def _resampled() -> tuple[Floats, Floats]:
    found = msgspec.json.decode(SCORES.read_bytes(), type=Resampled)
    return tuple(np.array(each, np.float64) / MICRO - CENTRE for each in (found.intact, found.damaged))  # type: ignore[return-value]


def _real(rng: np.random.Generator, damaged: Flags) -> Floats:
    """Draw scores with replacement and blur each a little (a tenth of the spread), or the tail would be a few atoms."""
    intact, harmed = _resampled()
    drawn = np.where(damaged, rng.choice(harmed, len(damaged)), rng.choice(intact, len(damaged)))
    return np.asarray(drawn + rng.normal(size=len(damaged)) * 0.1 * intact.std(), np.float64)
