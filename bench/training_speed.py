"""How long a step of learning takes: both networks, a batch of ten families, pictures of noise.

    .venv-training/bin/python -m bench.training_speed                 # 60 steps on two threads
    .venv-training/bin/python -m bench.training_speed --threads 1

The arithmetic is the same for any picture, so nothing is rendered. The first tenth of the
lesson is not counted.
"""

from __future__ import annotations

import argparse
import statistics
from itertools import pairwise
from typing import Final

import numpy as np
from rich.console import Console

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CELLS
from schemas.words import KINDS
from training.album import Album
from training.learn import Budget, learn

FAMILIES: Final = 12
VIEWS: Final = 8  # of a family: two references, three pairs


def noise() -> Album:
    """Return an album of noise in which every other capture is said to be damaged."""
    rng, count = np.random.default_rng(1), FAMILIES * VIEWS
    place = np.arange(count) % VIEWS
    damaged = (place > 1) & (place % 2 == 1)
    return Album(
        pixels=rng.integers(0, 256, (count, SIDE, SIDE, CHANNELS), np.uint8),
        damaged=damaged,
        kinds=damaged[:, None] & (rng.random((count, len(KINDS))) < 0.2),  # noqa: PLR2004 - any share does
        major=damaged & (rng.random(count) < 0.5),  # noqa: PLR2004
        cells=(damaged[:, None, None] * rng.random((count, CELLS, CELLS))).astype(np.float32),
        product=(np.arange(count) // VIEWS).astype(np.int32),
        shot=np.arange(count).astype(np.int32),
        reference=place <= 1,
    )


def main() -> None:
    """Learn from noise and print seconds a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    course = learn(noise(), Budget(steps=options.steps, limit_s=1e9), seed=1, threads=options.threads).course
    took = [(after.seconds - before.seconds) / (after.step - before.step) for before, after in pairwise(course)]
    Console().print(
        f"{statistics.median(took):.2f} s a step of 60 views (from {min(took):.2f} to {max(took):.2f} in tenths of the "
        f"lesson), {options.threads} threads"
    )


if __name__ == "__main__":
    main()
