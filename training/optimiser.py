"""How weights move: convolutions by orthogonal steps (Muon), all else by AdamW.

A convolution is a matrix from what a window holds to what comes out. Muon (Jordan et al. 2024, kellerjordan.github.io,
here torch's own) makes each step of such a matrix nearly orthogonal, so that rare directions move as far as common
ones: on the booth, where most of a gradient is about artwork and little of it about damage, that is worth more than
twice the steps.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn

from training.untyped import Network, Tensor

ANSWERS: Final = ("classifier.map.weight", "embedding.patch.weight")  # last layers learn better by AdamW
ORTHOGONAL_RATE: Final = 0.02
_DECAY: Final = 0.02


class Optimiser:
    """Both kinds of steps over one network; rates are shares of each kind's highest rate."""

    def __init__(self, network: Network, *, rate: float) -> None:
        """Take a network whose convolutions lie channels last; `rate` is AdamW's highest."""
        named = dict(network.named_parameters())
        self._convolutions = [
            weight
            for name, weight in named.items()
            if weight.ndim == 4 and weight.shape[1] > 1 and name not in ANSWERS  # noqa: PLR2004 - out, in, rows, columns
        ]
        chosen = {id(weight) for weight in self._convolutions}
        others = [weight for weight in named.values() if id(weight) not in chosen]
        self._matrices = [nn.Parameter(_as_matrix(weight.detach())) for weight in self._convolutions]
        self._network = network
        self._muon = torch.optim.Muon(self._matrices, lr=ORTHOGONAL_RATE, weight_decay=0.0, momentum=0.95)
        self._adamw = torch.optim.AdamW(others, lr=rate, weight_decay=_DECAY)
        self._highest = ((self._muon, ORTHOGONAL_RATE), (self._adamw, rate))

    def step(self, share: float) -> None:
        """Move the weights by their gradients at this share of the highest rates, then forget the gradients."""
        for weight, matrix in zip(self._convolutions, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        for optimiser, highest in self._highest:
            for group in optimiser.param_groups:
                group["lr"] = highest * share
            optimiser.step()
        self._network.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Return what a checkpoint keeps."""
        return [optimiser.state_dict() for optimiser, _ in self._highest]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on from a checkpoint."""
        for (optimiser, _), kept in zip(self._highest, state, strict=True):
            optimiser.load_state_dict(kept)


def _as_matrix(weight: Tensor) -> Tensor:
    """Return float32[out, rows * columns * in] over the memory of float32[out, in, rows, columns], channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)
