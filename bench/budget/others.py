"""What others would do: the two controllers of design section 5, two from conformal prediction, two fixed thresholds.

All are compiled steps as `race` wants them. Their rates were chosen on seeds that no table reports (1,001 to 1,008).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bench.budget.race import ALPHA, CEILING, TOKENS, kernel

TOKEN: Final = 1_000_000
EVERY: Final = 25
MEMORY: Final = 3_000
SETTLING: Final = 64
BINS: Final = 512
BINS_PER_SCALE: Final = 16
BIN_OF_LOCATION: Final = 64
QUOTA_WINDOW: Final = 10_000
WINDOW: Final = 5_000  # scores whose quantile ACI takes
TRACKER_RATE: Final = 0.05  # of 0.02, 0.05, 0.1, 0.2, 0.5
ACI_RATE: Final = 0.0002  # of 0.0002, 0.0005, 0.002, 0.005
PID_RATE: Final = 0.05  # of 0.02, 0.05, 0.1
PID_GAIN: Final = 5.0  # of 1, 5
PID_SATURATION: Final = 2 / np.pi * (1 - 1 / np.log(400_000))

COUNT, LOCATION, SCALE = 0, 1, 2  # of every state below


@kernel
def _track(state, score):  # type: ignore[no-untyped-def]
    """Running means of location and absolute deviation, clipped at four scales (float64 state)."""
    state[COUNT] += 1
    over = min(MEMORY, state[COUNT])
    far = min(max(score - state[LOCATION], -4 * state[SCALE]), 4 * state[SCALE])
    state[LOCATION] += far / over
    state[SCALE] = max(1_000, state[SCALE] + (abs(far) - state[SCALE]) / over)


@kernel
def tracker(state, _memory, rules, score, balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """The online quantile tracker: each capture moves the threshold by a share of the scale, up if it asks."""
    _track(state, score)
    share = rules[ALPHA] / 1e6 * (2 * balance / (rules[TOKENS] * TOKEN)) ** 2
    state[3] += TRACKER_RATE * state[SCALE] * ((1.0 if score >= threshold else 0.0) - share)
    return np.int64(state[3])


@kernel
def pid(state, _memory, rules, score, _balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """Conformal PID control (Angelopoulos, Candes, Tibshirani 2023): a quantile tracker and a saturating integrator.

    Without a scorecaster: nothing forecasts the next capture's score. It sees asks, not truth.
    """
    _track(state, score)
    wrong = (1.0 if score >= threshold else 0.0) - rules[ALPHA] / 1e6
    state[3] += PID_RATE * state[SCALE] * wrong
    state[4] += wrong
    angle = state[4] * np.log(state[COUNT] + 1) / (PID_SATURATION * (state[COUNT] + 1))
    angle = min(max(angle, -1.5), 1.5)
    return np.int64(state[3] + PID_GAIN * state[SCALE] * np.tan(angle))


@kernel
def aci(state, memory, rules, score, _balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """Adaptive conformal inference (Gibbs, Candes 2021): the quantile of the last scores at a level that learns."""
    alpha = rules[ALPHA] / 1e6
    memory[int(state[COUNT]) % WINDOW] = score
    state[COUNT] += 1
    state[3] += ACI_RATE * (alpha - (1.0 if score >= threshold else 0.0))
    known = int(min(state[COUNT], WINDOW))
    if state[COUNT] % EVERY:
        return threshold
    above = int(state[3] * known)
    if state[3] <= 0:
        return rules[CEILING]
    at = max(0, known - 1 - above)
    return np.int64(np.partition(memory[:known], at)[at])


@kernel
def bucket(_state, _memory, _rules, _score, _balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """A fixed threshold; the escrow is its token bucket."""
    return threshold


@kernel
def quota(state, _memory, rules, score, _balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """A fixed threshold, and at most alpha x 10,000 alarms in each window of 10,000 captures."""
    if state[COUNT] == 0:
        state[3] = threshold
    state[COUNT] += 1
    if score >= threshold:
        state[4] += 1
    if state[COUNT] % QUOTA_WINDOW == 0:
        state[4] = 0
    full = state[4] * 1_000_000 >= rules[ALPHA] * QUOTA_WINDOW
    return rules[CEILING] if full else np.int64(state[3])


@kernel
def histogram(state, memory, rules, score, balance, _pending, threshold):  # type: ignore[no-untyped-def]
    """The normalised histogram of design section 5: state captures, location, scale, weight, total, since (int64)."""
    if state[0] < SETTLING:
        memory[BINS + state[0]] = score
        state[0] += 1
        if state[0] == SETTLING:
            first = np.sort(memory[BINS:])
            state[1] = first[SETTLING // 2]
            state[2] = max(1_000, np.sort(np.abs(first - state[1]))[SETTLING // 2] * 1_182_931 // 1_000_000)
    else:
        place = (score - state[1]) * BINS_PER_SCALE // state[2] + BIN_OF_LOCATION
        memory[min(BINS - 1, max(0, place))] += state[3]
        state[4] += state[3]
        state[0] += 1
        far = min(max(score - state[1], -4 * state[2]), 4 * state[2])
        over = min(MEMORY, state[0])
        state[1] += (2 * far + over) // (2 * over)
        state[2] = max(1_000, state[2] + (2 * (abs(far) - state[2]) + over) // (2 * over))
    state[5] += 1
    if state[5] < EVERY:
        return threshold
    state[5] = 0
    state[3] += state[3] * 867 // 1_000_000
    if state[3] > 1 << 28:
        state[3] >>= 8
        memory[:BINS] >>= 8
        state[4] = memory[:BINS].sum()
    if state[0] < 1_000:
        return threshold
    ratio = 2 * balance // rules[TOKENS]
    left = state[4] // 1_000_000 * min(10**9, rules[ALPHA] * (ratio * ratio // 1_000_000) // 1_000) // 1_000
    if left > 0:
        for place in range(BINS - 1, -1, -1):
            mass = memory[place]
            if mass > 0 and mass >= left:
                edge = (place + 1 - BIN_OF_LOCATION) * 1024 - left * 1024 // mass
                return state[1] + state[2] * edge // (BINS_PER_SCALE * 1024)
            left -= mass
    return rules[CEILING]
