"""What both networks share in learning: seeds, augmentation, a one-cycle schedule that ends on time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import structlog
import torch

from booth.draws import Domain, draws
from training.untyped import Network, Optimiser, Tensor

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one network may learn: so many steps of so many pictures, and never longer than a wall time."""

    steps: int
    batch: int
    rate: float = 2e-3
    limit_s: float = 420.0


def seed_everything(seed: int, *, threads: int = 2) -> None:
    """Make a run repeatable on this machine with this number of threads."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def augment(images: Tensor, rng: np.random.Generator, *, recolour: bool) -> Tensor:
    """Vary uint8[B, 160, 160, 3] into float32 of the same shape: light, contrast, place, order of the colours.

    A shift is at most 4 pixels, a quarter of a cell, so that damage boxes stay true. `recolour` gives half of all
    batches another order of red, green and blue: products in colours that the booth never printed.
    """
    count = len(images)
    if recolour and rng.random() < 0.5:  # noqa: PLR2004 - half of the batches
        images = images[..., torch.from_numpy(rng.permutation(3))]
    shift = [int(pixels) for pixels in rng.integers(-4, 5, 2)]
    pixels = torch.roll(images, shift, dims=(1, 2)).to(torch.float32)
    gain = rng.uniform(0.75, 1.25, (count, 1, 1, 1)) * rng.uniform(0.93, 1.07, (count, 1, 1, 3))
    lift = rng.uniform(-14, 14, (count, 1, 1, 1))
    pixels.mul_(torch.from_numpy(gain.astype(np.float32))).add_(torch.from_numpy(lift.astype(np.float32)))
    return pixels.clamp_(0, 255)


def steps(budget: Budget, network: Network, *, seed: int, name: str) -> Iterator[tuple[np.random.Generator, Optimiser]]:
    """Yield a generator and the optimiser for each step; the rate warms up, then falls as a cosine to zero.

    When the wall time runs short the schedule is hurried along, so learning always ends with a small rate.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=budget.rate, weight_decay=0.02)
    began, step, done = time.monotonic(), 0, 0.0
    while done < 1:
        warm = min(done / 0.05 + 0.02, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = budget.rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        yield draws(Domain.TRAINING, seed, step), optimiser
        step += 1
        done = max(step / budget.steps, (time.monotonic() - began) / budget.limit_s)
        if step % 100 == 0:
            _log.info("learning", network=name, step=step, seconds=round(time.monotonic() - began, 1))
