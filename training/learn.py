"""Learning: batches of whole families, augmentation, a schedule that ends on time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from booth.draws import Domain, draws
from training.album import Album
from training.lessons import CAPTURES, REFERENCES, Rows, classifier_loss, comparison_loss, identity_loss
from training.networks import Pair
from training.untyped import Network, Tensor

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to learn: so many steps of so many products, and never longer than a wall time."""

    steps: int
    products: int = 10  # in a batch, six views of each
    rate: float = 2.5e-3
    limit_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """A trained pair, and what it took."""

    pair: Network
    steps: int
    seconds: float


def learn(album: Album, budget: Budget, *, seed: int, threads: int = 2) -> Lesson:
    """Train both networks on an album of twins.

    The same album, budget, seed and threads give the same pair, if the time suffices.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    pair = Pair().to(memory_format=torch.channels_last)
    pair.train()
    optimiser = torch.optim.AdamW(pair.parameters(), lr=budget.rate, weight_decay=0.02)
    shelf = _families(album)
    began, step = time.monotonic(), 0
    for step, rate in enumerate(_rates(budget, began), 1):
        for group in optimiser.param_groups:
            group["lr"] = rate
        rng = draws(Domain.TRAINING, seed, step)
        rows = _batch(shelf, budget.products, rng)
        images = augment(torch.from_numpy(album.pixels[rows]), rng)
        with torch.autocast("cpu", torch.bfloat16):
            answers, (vectors, patches) = pair(images)
        parts = (
            classifier_loss(answers, album, rows),
            0.5 * identity_loss(vectors, pair.vector_scale),  # learnt long before damage is
            comparison_loss(patches, album, rows, pair),
        )
        optimiser.zero_grad(set_to_none=True)
        torch.stack(parts).sum().backward()
        nn.utils.clip_grad_norm_(pair.parameters(), 2.0)
        optimiser.step()
        if step % 100 == 0:
            losses = [round(part.item(), 3) for part in parts]
            _log.info("learning", step=step, seconds=round(time.monotonic() - began, 1), losses=losses)
    pair.eval()
    return Lesson(pair, step, time.monotonic() - began)


def augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary uint8[B, 160, 160, 3] into float32 of the same shape: light, contrast, place, order of the colours.

    A shift is at most 4 pixels, a quarter of a cell, so that damage boxes stay true. Half of all batches get another
    order of red, green and blue: products in colours that the booth never printed.
    """
    count = len(images)
    if rng.integers(2):
        images = images[..., torch.from_numpy(rng.permutation(3))]
    shift = [int(pixels) for pixels in rng.integers(-4, 5, 2)]
    pixels = torch.roll(images, shift, dims=(1, 2)).to(torch.float32)
    gain = rng.uniform(0.75, 1.25, (count, 1, 1, 1)) * rng.uniform(0.93, 1.07, (count, 1, 1, 3))
    lift = rng.uniform(-14, 14, (count, 1, 1, 1))
    pixels.mul_(torch.from_numpy(gain.astype(np.float32))).add_(torch.from_numpy(lift.astype(np.float32)))
    return pixels.clamp_(0, 255)


def _rates(budget: Budget, began: float) -> Iterator[float]:
    """Yield the learning rate of each step: a short warm-up, then a cosine to zero, hurried where time runs short."""
    step, done = 0, 0.0
    while done < 1:
        yield budget.rate * min(done / 0.05 + 0.02, 1.0) * 0.5 * (1 + math.cos(math.pi * done))
        step += 1
        done = max(step / budget.steps, (time.monotonic() - began) / budget.limit_s)


def _families(album: Album) -> list[tuple[Rows, Rows]]:
    """Return the rows of each product that has enough: references int64[n], and twins int64[n, 2] side by side."""
    shelf = []
    for number in np.unique(album.product):
        own = album.product == number
        references, captures = np.flatnonzero(own & album.reference), np.flatnonzero(own & ~album.reference)
        if len(references) >= REFERENCES and len(captures) >= CAPTURES:
            shelf.append((references, captures.reshape(-1, 2)))
    return shelf


def _batch(shelf: list[tuple[Rows, Rows]], products: int, rng: np.random.Generator) -> Rows:
    """Draw whole families: two references, then two pairs of twins of each product."""
    chosen = rng.choice(len(shelf), min(products, len(shelf)), replace=False)
    drawn: list[NDArray[np.int64]] = []
    for place in chosen:
        references, twins = shelf[int(place)]
        drawn.append(rng.choice(references, REFERENCES, replace=False))
        drawn.append(rng.choice(twins, CAPTURES // 2, replace=False).reshape(-1))
    return np.concatenate(drawn)
