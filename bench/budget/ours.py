"""Our controller compiled: the same integers as `budget.threshold.Threshold`, which a test proves."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from bench.budget.race import ALPHA, CEILING, TOKENS, kernel
from budget import threshold as plain
from budget.warm import BIN_OF_LOCATION, BINS, BINS_PER_SCALE, CLIP, SCALE_MIN, WEIGHT
from schemas.words import MICRO

# The state, int64[FIELDS]; the memory is int64[BINS + SETTLING], the first captures behind the bins.
CAPTURES, LOCATION, SCALE, STRENGTH, SINCE, FAST, ASKING, USUAL = range(8)
FIELDS: Final = 8
SETTLING, SPREAD_PPM, EVERY, FIRST_MOVE = plain.SETTLING, plain.SPREAD_PPM, plain.EVERY, plain.FIRST_MOVE
LOCATION_MEMORY, SCALE_MEMORY, FAST_MEMORY = plain.LOCATION_MEMORY, plain.SCALE_MEMORY, plain.FAST_MEMORY
FAST_CLIP, FAR_PERCENT, CATCH_UP = plain.FAST_CLIP, plain.FAR_PERCENT, plain.CATCH_UP
ASKING_MEMORY, SHIFT_PPB, WHOLE = plain.ASKING_MEMORY, plain.SHIFT_PPB, plain.WHOLE
LOCATION_TRUST, SHAPE_TRUST, USUAL_MEMORY = plain.LOCATION_TRUST, plain.SHAPE_TRUST, plain.USUAL_MEMORY
WEIGHT_MAX, GROWTH_PPM, PENDING_PERCENT, LOW = plain.WEIGHT_MAX, plain.GROWTH_PPM, plain.PENDING_PERCENT, plain.LOW
EAGER_FROM, EAGER_OVER = plain.EAGER_FROM, plain.EAGER_OVER
PACE: Final = plain.PACE


def cold() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return state and memory that know nothing."""
    state = np.zeros(FIELDS, np.int64)
    state[SCALE], state[STRENGTH] = SCALE_MIN, WEIGHT
    return state, np.zeros(BINS + SETTLING, np.int64)


def warmed(threshold: plain.Threshold) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return state and memory of a threshold that was given vetted negatives."""
    state, memory = cold()
    state[CAPTURES], state[LOCATION], state[SCALE] = threshold.captures, threshold.location, threshold.scale
    state[FAST], state[ASKING], state[USUAL] = threshold.fast, threshold.asking, threshold.usual
    memory[:BINS] = threshold.bins
    return state, memory


@kernel
def _nearest(distance, over):  # type: ignore[no-untyped-def]
    return (2 * distance + over) // (2 * over)


@kernel
def _gather(state, memory, score):  # type: ignore[no-untyped-def]
    memory[BINS + state[CAPTURES]] = score
    state[CAPTURES] += 1
    if state[CAPTURES] == SETTLING:
        first = memory[BINS:].copy()
        state[LOCATION] = state[FAST] = np.sort(first)[SETTLING // 2]
        spread = np.sort(np.abs(first - state[LOCATION]))[SETTLING // 2]
        state[SCALE] = max(SCALE_MIN, spread * SPREAD_PPM // MICRO)


@kernel
def _take(state, memory, rules, score, threshold):  # type: ignore[no-untyped-def]
    asks = score >= threshold
    state[ASKING] += _nearest((1_000_000_000 if asks else 0) - state[ASKING], ASKING_MEMORY)
    located = shaped = WHOLE
    if asks and state[CAPTURES] >= FIRST_MOVE:
        shaped = min(WHOLE, SHAPE_TRUST * rules[ALPHA] * 1_000 * WHOLE // state[ASKING])
        if state[ASKING] < SHIFT_PPB:
            located = min(WHOLE, LOCATION_TRUST * rules[ALPHA] * 1_000 * WHOLE // state[ASKING])
    scale = state[SCALE]
    place = (score - state[LOCATION]) * BINS_PER_SCALE // scale + BIN_OF_LOCATION
    memory[min(max(place, 0), BINS - 1)] += state[STRENGTH] * shaped // WHOLE
    state[CAPTURES] += 1
    near = min(max(score - state[LOCATION], -CLIP * scale), CLIP * scale)
    leap = min(max(score - state[FAST], -FAST_CLIP * scale), FAST_CLIP * scale)
    state[LOCATION] += _nearest(near * located, min(LOCATION_MEMORY, state[CAPTURES]) * WHOLE)
    state[FAST] += _nearest(leap * located, FAST_MEMORY * WHOLE)
    apart = state[FAST] - state[LOCATION]
    if abs(apart) * 100 > FAR_PERCENT * scale:
        state[LOCATION] += _nearest(apart, CATCH_UP)
    wider = _nearest((abs(near) - scale) * located, min(SCALE_MEMORY, state[CAPTURES]) * WHOLE)
    state[SCALE] = max(SCALE_MIN, scale + wider)


@kernel
def _pace(level):  # type: ignore[no-untyped-def]
    for at in range(1, len(PACE)):
        below, slow = PACE[at - 1]
        above, fast = PACE[at]
        if level <= above:
            return slow + (fast - slow) * (level - below) // (above - below)
    return PACE[len(PACE) - 1][1]


@kernel
def _move(state, memory, rules, balance, pending):  # type: ignore[no-untyped-def]
    at_hand = balance + pending - (pending - state[USUAL]) * PENDING_PERCENT // 100
    level = min(max(at_hand // rules[TOKENS], 0), MICRO)
    low = min(MICRO, LOW * balance // rules[TOKENS])
    crowd = (state[ASKING] * 1_000 // rules[ALPHA] - EAGER_FROM * MICRO) // EAGER_OVER
    eager = MICRO + min(max(crowd, 0), MICRO)
    alphas = _pace(level) * (low * low // MICRO) // MICRO * eager // MICRO
    share = min(1_000_000_000, rules[ALPHA] * alphas // 1_000)
    left = memory[:BINS].sum() // MICRO * share // 1_000
    if left == 0:
        return rules[CEILING]
    for place in range(BINS - 1, -1, -1):
        mass = memory[place]
        if mass > 0 and mass >= left:
            edge = (place + 1 - BIN_OF_LOCATION) * 1024 - left * 1024 // mass
            return state[LOCATION] + state[SCALE] * edge // (BINS_PER_SCALE * 1024)
        left -= mass
    return rules[CEILING]


@kernel
def step(state, memory, rules, score, balance, pending, threshold):  # type: ignore[no-untyped-def]
    """Let a score in and return the threshold of the next capture."""
    if state[CAPTURES] < SETTLING:
        _gather(state, memory, score)
    else:
        _take(state, memory, rules, score, threshold)
    state[USUAL] += _nearest(pending - state[USUAL], min(USUAL_MEMORY, state[CAPTURES]))
    state[SINCE] += 1
    if state[SINCE] < EVERY:
        return threshold
    state[SINCE] = 0
    state[STRENGTH] += state[STRENGTH] * GROWTH_PPM // MICRO
    if state[STRENGTH] > WEIGHT_MAX:
        state[STRENGTH] >>= 8
        memory[:BINS] >>= 8
    if state[CAPTURES] < FIRST_MOVE:
        return threshold
    return _move(state, memory, rules, balance, pending)
