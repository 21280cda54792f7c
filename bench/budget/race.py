"""The escrow of design section 5, compiled, with any controller in it."""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

TOKEN: Final = 1_000_000
kernel: Final = numba.njit(error_model="numpy")

# What a race is left with, and goes on from after a change of models.
BALANCE, PENDING, THRESHOLD, CAUGHT, ALARMS, WITHHELD, EXCESS, WORST, LOST = range(9)
FIELDS: Final = 9
# The rules a controller may read.
ALPHA, TOKENS, FLOOR, CEILING = range(4)


@kernel
def race(  # type: ignore[no-untyped-def]
    step, state, memory, rules, scores, damaged, delays, begin, end, run, returning, spending, trace
):
    """Let `step` choose thresholds for captures begin..end; all that changes is in the arrays.

    `step(state, memory, rules, score, balance, pending, threshold)` returns the next threshold and sees what the line's
    controller sees: no truth, no verdicts. `run` int64[FIELDS] is counted on; tokens, excesses in millionths.
    `returning`, `spending` int64[N + longest delay + 2]: tokens whose verdict comes at that capture. `trace` int64[N]
    takes the threshold in force.
    """
    alpha, burst = rules[ALPHA], rules[TOKENS] * TOKEN
    for at in range(begin, end):
        run[PENDING] -= (returning[at] + spending[at]) * TOKEN
        run[BALANCE] = min(burst - run[PENDING], run[BALANCE] + returning[at] * TOKEN)
        room = burst - run[BALANCE] - run[PENDING]
        run[BALANCE] += min(alpha, room)
        run[LOST] += max(0, alpha - room)
        run[EXCESS] = max(0, run[EXCESS] - alpha)
        score = scores[at]
        trace[at] = run[THRESHOLD]
        if score >= run[THRESHOLD]:
            if run[BALANCE] >= TOKEN:
                run[BALANCE] -= TOKEN
                run[PENDING] += TOKEN
                if damaged[at]:
                    run[CAUGHT] += 1
                    returning[at + 1 + delays[at]] += 1
                else:
                    run[ALARMS] += 1
                    spending[at + 1 + delays[at]] += 1
                    run[EXCESS] += TOKEN
                    run[WORST] = max(run[WORST], run[EXCESS])
            else:
                run[WITHHELD] += 1
        run[THRESHOLD] = step(state, memory, rules, score, run[BALANCE], run[PENDING], run[THRESHOLD])
