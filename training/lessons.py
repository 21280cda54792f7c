"""What the networks are asked while they learn, in the form in which the line will ask it.

The classifier: damage, kinds, severity, place. The embedding (`evidence.identity`, `evidence.discrepancy`): vectors
find the product (supervised contrastive, Khosla et al. 2020, arXiv 2004.11362), the patches' chamfer similarity ranks
products, and a damaged cell has no like among the references of its own product while an intact one has.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as logistic
from torch.nn.functional import cross_entropy

from training.album import Targets
from training.networks import TOP
from training.untyped import Network, Tensor

REFERENCES: Final = 2  # of each product in a batch: these rows first,
CAPTURES: Final = 4  # then these: two pairs of twins, intact and damaged
VIEWS: Final = REFERENCES + CAPTURES
CHOICE: Final = 4  # products that a capture's patches are compared with, its own among them
INSIDE: Final = 0.15  # a cell of which more than this is damage shows damage,
MOST: Final = 0.5  # and so does one with this share of what the view's most damaged cell has: scratches are thin
OUTSIDE: Final = 0.01  # one of which less than this is damage shows none; what is between says nothing

Rows = NDArray[np.int64]


def classifier_loss(answers: tuple[Tensor, ...], truth: Targets) -> Tensor:
    """Add up the questions; severity is asked of damaged views only, and the place of each kind on its own map.

    Views come in pairs: twins, where the album has them.
    """
    damage, kinds, severity, _, cells = answers
    is_damaged, is_major, is_kind = (_beside(damage, each) for each in (truth.damaged, truth.major, truth.kinds))
    how_bad = (logistic(severity[:, 0], is_major, reduction="none") * is_damaged).sum() / is_damaged.sum().clamp_min(1)
    covered = _beside(cells, shown(truth.cells)).flatten(1)[:, None] * is_kind[:, :, None]  # [B, 7, 196]
    return (
        logistic(damage[:, 0], is_damaged)
        + logistic(kinds, is_kind)
        + 0.3 * how_bad
        + _where(cells.flatten(2), covered)
        + _against_twins(cells.flatten(2), covered)
    )


def identity_loss(vectors: Tensor, scale: Tensor) -> Tensor:
    """Pull views of one product together and others apart, in float32[B, 128] of whole families."""
    count = len(vectors)
    family = torch.arange(count, device=vectors.device) // VIEWS
    itself = torch.eye(count, dtype=torch.bool, device=vectors.device)
    same = (family[:, None] == family[None]) & ~itself
    logits = (vectors @ vectors.T * scale.clamp(1, 30)).masked_fill(itself, -1e4)
    return -(logits.log_softmax(dim=1) * same).sum() / same.sum()


def comparison_loss(patches: Tensor, truth: Targets, pair: Network) -> Tensor:
    """Compare captures with references of some products in the batch: rank these, then find what no reference has."""
    families = len(patches) // VIEWS
    by_family = patches.reshape(families, VIEWS, *patches.shape[1:])
    own = by_family[:, :REFERENCES].flatten(1, 2)  # [F, R * 196, 48]
    choice = torch.stack([own.roll(-step, 0) for step in range(CHOICE)], dim=1)  # [F, CHOICE, R * 196, 48], own first
    queries = by_family[:, REFERENCES:]  # [F, Q, 196, 48]
    forth, back = _best_cosines(queries, choice), _best_cosines(choice, queries).transpose(1, 2)
    forth, back = forth.flatten(0, 1), back.flatten(0, 1)  # [F * Q, CHOICE, 196], [.., R * 196]
    alike = (forth.mean(2) + back.mean(2)) / 2
    ranking = cross_entropy(
        alike * pair.patch_scale.clamp(1, 60), torch.zeros(len(alike), dtype=torch.long, device=alike.device)
    )
    captured = np.arange(len(patches)).reshape(families, VIEWS)[:, REFERENCES:].reshape(-1)
    distance = 1 - forth[:, 0]  # [Q, 196]
    cells = (distance - pair.cell_line[1]) * pair.cell_line[0].clamp(1, 40)
    stands_out = distance.topk(TOP, dim=1).values.mean(1) - distance.median(dim=1).values
    units = (stands_out - pair.unit_line[1]) * pair.unit_line[0].clamp(1, 40)
    return (
        ranking
        + _where(cells, _beside(cells, shown(truth.cells[captured])).flatten(1))
        + logistic(units, _beside(units, truth.damaged[captured]))
    )


def _best_cosines(cells: Tensor, among: Tensor) -> Tensor:
    """Return the best cosine of each of float32[F, Q, N, C] in each of float32[F, K, M, C]: float32[F, Q, K, N].

    Which is best is found without gradients, and only the best are multiplied with them: a small part of the work.
    """
    families, sets, count, size = cells.shape
    _, others, pool, _ = among.shape
    with torch.no_grad():
        cosines = torch.bmm(cells.flatten(1, 2), among.flatten(1, 2).transpose(1, 2))
        best = _best_of(cosines.reshape(families, sets, count, others, pool))
    of_set = (torch.arange(families)[:, None] * others + torch.arange(others)) * pool  # [F, K]: its first row
    of_set = of_set.to(best.device)
    rows = (best + of_set[:, None, None, :]).transpose(2, 3)  # [F, Q, K, N]
    nearest = nn.functional.embedding(rows, among.reshape(-1, size))  # [F, Q, K, N, C]
    return (cells[:, :, None] * nearest).sum(-1)


def _best_of(values: Tensor) -> Tensor:
    """Return the index of the greatest along the last axis; numpy takes half as long as torch on a CPU."""
    return values.argmax(-1) if values.is_cuda else torch.from_numpy(values.numpy().argmax(-1))


def shown(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn the damaged share of each cell, float32[B, 14, 14], into 1 (damage), 0 (none) or 0.5 (no telling).

    Shares below zero mean that nobody marked the place (`training.reading`).
    """
    most = shares.max(axis=(1, 2), keepdims=True)
    shows = (shares > INSIDE) | ((shares >= MOST * most) & (shares > OUTSIDE))
    told = np.where(shows, 1.0, np.where(shares < OUTSIDE, 0.0, 0.5))
    return np.where(shares < 0, 0.5, told).astype(np.float32)


def _where(logits: Tensor, truth: Tensor) -> Tensor:
    """Ask of each cell whether it shows damage: 1, 0, or 0.5 where nobody can tell; same shape.

    Damaged cells are one in hundreds: both kinds of cells count as much in all.
    """
    loss = logistic(logits, (truth > 0.75).float(), reduction="none")  # noqa: PLR2004 - between no telling and yes
    shares = [(loss * told).sum() / told.sum().clamp_min(1) for told in (truth > 0.75, truth < 0.25)]  # noqa: PLR2004
    return torch.stack(shares).mean()


def _against_twins(logits: Tensor, truth: Tensor) -> Tensor:
    """Where one view of a pair shows damage and the other shows none, the other has to say less, and to say no.

    All that twins do not share is damage, so nothing else can answer this. The first half is a pairwise logistic loss
    (RankNet, Burges et al. 2005) on the logits of a cell in both, float[B, kinds, cells]; truth as for `_where`.
    """
    said, twin = logits.unflatten(0, (-1, 2)), logits.unflatten(0, (-1, 2)).flip(1)
    shows = truth.unflatten(0, (-1, 2))
    told = ((shows > 0.75) & (shows.flip(1) < 0.25)).float()  # noqa: PLR2004 - as in `_where`
    loss = (nn.functional.softplus(twin - said) + nn.functional.softplus(twin)) / 2
    return (loss * told).sum() / told.sum().clamp_min(1)


def _beside(answers: Tensor, truth: NDArray[np.bool_] | NDArray[np.float32]) -> Tensor:
    """Return the truth as float32 on the device of the answers."""
    return torch.from_numpy(truth.astype(np.float32)).to(answers.device)
