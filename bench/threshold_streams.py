"""How much of what the best threshold could catch is caught, on streams that drift, jump, burst and have heavy tails.

    python -m bench.threshold_streams [--captures 400000] [--seeds 2]

The same escrow as live: alpha 0.5 %, burst 50, verdicts 2,000 captures late, 0.1 % damage. `caught` is recall divided
by that of the best fixed threshold in hindsight at the same cap; under drift, by that of one who knows the drift.
`worst` is the largest excess of false alarms over alpha * n in any window, to be compared with the burst.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from budget.config import BudgetConfig
from budget.model import Threshold
from schemas.words import MICRO

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CONFIG: Final = BudgetConfig(floor=-60 * MICRO, ceiling=60 * MICRO, start_threshold=0, reserve=0)
PREVALENCE: Final = 0.001
DELAY: Final = 2_000
GAP: Final = 3.5  # damaged units score this many standard deviations higher
STREAMS: Final = ("stationary", "drift and jump", "scale drift", "hard products", "damage in bursts", "heavy tails")


def stream(name: str, seed: int, captures: int) -> tuple[Floats, Flags, Floats]:
    """Return scores float64[N] in log-odds, damaged bool[N], and the scores as one who knows the drift sees them."""
    rng = np.random.default_rng(seed)
    at = np.arange(captures)
    damaged = rng.random(captures) < PREVALENCE
    if name == "damage in bursts":
        damaged[:] = False
        for start in rng.integers(0, captures - 400, captures // 20_000):
            damaged[start + rng.choice(400, 20, replace=False)] = True
    noise, gap = rng.normal(size=captures), GAP
    if name == "heavy tails":
        noise, gap = rng.standard_t(3, size=captures), 8.0
    known = np.where(damaged, noise + gap, noise)
    seen = known.copy()
    if name == "drift and jump":
        seen = known + 3 * np.sin(6 * at / captures) + np.where(at > captures // 2, 2.0, 0.0)
    if name == "scale drift":
        seen = known * np.exp(0.7 * np.sin(9 * at / captures))
    if name == "hard products":
        seen = known + np.where((at % 20_000 >= 15_000) & ~damaged, 1.0, 0.0)  # noqa: PLR2004
        known = seen
    return seen - 4, damaged, known


def hindsight(scores: Floats, damaged: Flags) -> int:
    """Return how many damaged units the best fixed threshold catches within alpha * N false alarms."""
    intact = np.sort(scores[~damaged])[::-1]
    threshold = intact[CONFIG.alpha_ppm * len(scores) // MICRO]
    return int((scores[damaged] >= threshold).sum())


def line(scores: Sequence[int], damaged: Sequence[bool]) -> tuple[int, float, float]:
    """Run the budget and return units caught, the false-alarm rate, and the worst excess of a window in tokens."""
    threshold, burst = Threshold(CONFIG.start_threshold), CONFIG.burst_tokens * MICRO
    balance, waiting = burst, deque[tuple[int, bool]]()
    caught = alarms = excess = worst = 0
    for at, (score, damage) in enumerate(zip(scores, damaged, strict=True)):
        while waiting and waiting[0][0] <= at:
            balance += MICRO if waiting.popleft()[1] else 0
        balance += min(CONFIG.alpha_ppm, burst - balance - len(waiting) * MICRO)
        excess = max(0, excess - CONFIG.alpha_ppm)
        if score >= threshold.value and balance >= MICRO:
            balance -= MICRO
            waiting.append((at + DELAY, damage))
            caught += damage
            alarms += not damage
            excess += 0 if damage else MICRO
            worst = max(worst, excess)
        threshold.learn(score, balance=balance, config=CONFIG)
    return caught, alarms / len(scores), worst / MICRO


def main() -> None:
    """Read the command line and print a row per stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=400_000)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("| stream | caught | false alarms | worst |\n|---|---|---|---|")  # noqa: T201
    for name in STREAMS:
        rows = []
        for seed in range(1, options.seeds + 1):
            seen, damaged, known = stream(name, seed, options.captures)
            caught, rate, worst = line((seen * MICRO).round().astype(int).tolist(), damaged.tolist())
            rows.append((caught / max(1, hindsight(known, damaged)), rate, worst))
        share, rate, worst = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        print(f"| {name} | {share:.3f} | {rate:.3%} | {worst:.1f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
