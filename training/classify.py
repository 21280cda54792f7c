"""Teach the classifier: damage, its kinds, its severity and its place, all at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits as logistic

from training.album import Album
from training.learn import Budget, augment, steps
from training.networks import Classifier
from training.untyped import Network, Tensor


def teach_classifier(album: Album, budget: Budget, *, seed: int) -> Network:
    """Return a trained classifier. Half of every batch is damaged."""
    network = Classifier().to(memory_format=torch.channels_last)
    network.train()
    damaged, intact = np.flatnonzero(album.damaged), np.flatnonzero(~album.damaged)
    for rng, optimiser in steps(budget, network, seed=seed, name="classifier"):
        half = budget.batch // 2
        rows = np.concatenate([rng.choice(damaged, half), rng.choice(intact, half)])
        images = augment(torch.from_numpy(album.pixels[rows]), rng, recolour=True)
        with torch.autocast("cpu", torch.bfloat16):
            answers = network(images)
        loss = _loss(answers, album, rows)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
    network.eval()
    return network


def _loss(answers: tuple[Tensor, Tensor, Tensor, Tensor], album: Album, rows: NDArray[np.int64]) -> Tensor:
    """Add up the four questions. Kinds and severity are asked of damaged views only as far as they have an answer."""
    damage, kinds, severity, heat = (answer.float() for answer in answers)
    is_damaged = torch.from_numpy(album.damaged[rows].astype(np.float32))
    is_major = torch.from_numpy(album.major[rows].astype(np.float32))
    is_kind = torch.from_numpy(album.kinds[rows].astype(np.float32))
    cells = torch.from_numpy(album.cells[rows])
    told = ((cells < 0.05) | (cells > 0.6)).float()  # noqa: PLR2004 - cells at a box's rim say nothing
    # Boxes are loose, so a cell inside one counts for less than one outside.
    weight = told * torch.where(cells > 0.6, 0.6, 1.0)  # noqa: PLR2004
    place = (logistic(heat, (cells > 0.6).float(), reduction="none") * weight).sum() / weight.sum()  # noqa: PLR2004
    how_bad = (logistic(severity[:, 0], is_major, reduction="none") * is_damaged).sum() / is_damaged.sum().clamp_min(1)
    return logistic(damage[:, 0], is_damaged) + logistic(kinds, is_kind) + 0.3 * how_bad + 1.5 * place
