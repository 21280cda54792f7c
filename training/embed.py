"""Teach the embedding: views of one product belong together, and damage is what no reference has.

Three things are asked at once, each in the form in which the line will use it (`evidence.identity`,
`evidence.discrepancy`): the pooled vectors find the product (supervised contrastive, Khosla et al. 2020, arXiv
2004.11362), the patches' chamfer similarity ranks products, and a damaged cell has no like among the references of its
own product while an intact one has.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as logistic

from evidence.discrepancy import TOP_CELLS
from training.album import Album
from training.learn import Budget, augment, steps
from training.networks import Embedder, Yardsticks
from training.untyped import Network, Tensor

REFERENCES: Final = 2  # of each product in a batch
CAPTURES: Final = 3
VIEWS: Final = REFERENCES + CAPTURES


def teach_embedding(album: Album, budget: Budget, *, seed: int) -> Network:
    """Return a trained embedding. A batch holds whole families: two references and three captures of each product."""
    network = Embedder().to(memory_format=torch.channels_last)
    scales = Yardsticks()
    learner = nn.ModuleList([network, scales])
    learner.train()
    shelf = [
        (np.flatnonzero((album.product == number) & album.reference), _captures(album, number))
        for number in range(int(album.product.max()) + 1)
    ]
    shelf = [(references, captures) for references, captures in shelf if len(captures) >= CAPTURES]
    for rng, optimiser in steps(budget, learner, seed=seed, name="embedding"):
        chosen = rng.choice(len(shelf), budget.batch // VIEWS, replace=False)
        rows = np.concatenate(
            [
                np.concatenate(
                    [
                        rng.choice(shelf[i][0], REFERENCES, replace=False),
                        rng.choice(shelf[i][1], CAPTURES, replace=False),
                    ]
                )
                for i in chosen
            ]
        )
        images = augment(torch.from_numpy(album.pixels[rows]), rng, recolour=False)
        with torch.autocast("cpu", torch.bfloat16):
            vectors, patches = network(images)
        loss = _identity(vectors, scales) + _comparison(patches, album, rows, scales)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
        optimiser.step()
    network.eval()
    return network


def _captures(album: Album, number: int) -> NDArray[np.int64]:
    return np.flatnonzero((album.product == number) & ~album.reference)


def _identity(vectors: Tensor, scales: Yardsticks) -> Tensor:
    """Pull views of one product together and others apart: supervised contrastive over float32[B, 128]."""
    count = len(vectors)
    family = torch.arange(count) // VIEWS
    itself = torch.eye(count, dtype=torch.bool)
    same = (family[:, None] == family[None]) & ~itself
    logits = (vectors @ vectors.T * scales.vector.clamp(1, 30)).masked_fill(itself, -1e4)
    chance = logits.log_softmax(dim=1)
    return -(chance * same).sum() / same.sum()


def _comparison(patches: Tensor, album: Album, rows: NDArray[np.int64], scales: Yardsticks) -> Tensor:
    """Compare the captures' cells with all references in the batch: rank products, then find what no reference has."""
    families = len(rows) // VIEWS
    by_family = patches.reshape(families, VIEWS, *patches.shape[1:])
    references = by_family[:, :REFERENCES].reshape(families, -1, patches.shape[-1])  # [F, R * 100, 64]
    captures = by_family[:, REFERENCES:].reshape(families * CAPTURES, *patches.shape[1:])  # [Q, 100, 64]
    with torch.autocast("cpu", torch.bfloat16):
        cosines = torch.einsum("qcd,frd->qfcr", captures, references)  # [Q, F, 100, R * 100]
    forth, back = cosines.amax(3).float(), cosines.amax(2).float()
    alike = (forth.mean(2) + back.mean(2)) / 2
    own = torch.arange(families).repeat_interleave(CAPTURES)
    ranking = nn.functional.cross_entropy(alike * scales.patch.clamp(1, 60), own)
    captured = rows.reshape(families, VIEWS)[:, REFERENCES:].reshape(-1)
    distance = 1 - forth[torch.arange(len(own)), own]  # [Q, 100]
    cells = torch.from_numpy(album.cells[captured]).flatten(1)
    told = ((cells < 0.05) | (cells > 0.6)).float()  # noqa: PLR2004 - cells at a box's rim say nothing
    weight = told * torch.where(cells > 0.6, 0.6, 1.0)  # noqa: PLR2004 - boxes are loose
    cell_logits = (distance - scales.cell[1]) * scales.cell[0].clamp(1, 40)
    where = (logistic(cell_logits, (cells > 0.6).float(), reduction="none") * weight).sum() / weight.sum()  # noqa: PLR2004
    stands_out = distance.topk(TOP_CELLS, dim=1).values.mean(1) - distance.median(dim=1).values
    unit_logits = (stands_out - scales.unit[1]) * scales.unit[0].clamp(1, 40)
    whether = logistic(unit_logits, torch.from_numpy(album.damaged[captured].astype(np.float32)))
    return ranking + where + whether
