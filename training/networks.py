"""The two networks, small enough for one thread of a laptop: uint8 NHWC in, normalisation inside."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from training.untyped import Network, Tensor

WIDTHS: Final = (16, 32, 64, 128)  # channels at 80, 40, 20 and 10 cells a side
KINDS: Final = 7
VECTOR: Final = 128
PATCH: Final = 64


def _conv(before: int, after: int, *, stride: int = 1, groups: int = 1) -> Network:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input; `light` makes the second depthwise-separable."""

    def __init__(self, width: int, *, light: bool = False) -> None:
        super().__init__()
        first: Network = _conv(width, width, groups=width if light else 1)
        second: Network = nn.Sequential(
            nn.Conv2d(width, width, 1 if light else 3, padding=0 if light else 1, bias=False), nn.BatchNorm2d(width)
        )
        self.body = nn.Sequential(first, second)
        self.after = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Float[B, C, H, W] to the same shape."""
        return self.after(features + self.body(features))


class Trunk(nn.Module):
    """uint8[B, 160, 160, 3] to float[B, 64, 20, 20] and float[B, 128, 10, 10]."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.fine = nn.Sequential(
            _conv(3, first, stride=2),
            _conv(first, second, stride=2),
            Residual(second),
            _conv(second, third, stride=2),
            Residual(third),
        )
        self.coarse = nn.Sequential(
            _conv(third, fourth, stride=2), Residual(fourth, light=True), Residual(fourth, light=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise and look."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        fine = self.fine(pixels)
        return fine, self.coarse(fine)


class Classifier(nn.Module):
    """Trunk, then one head per question. Damage is what the hottest cells and the whole view say together."""

    outputs = ("DAMAGE", "KINDS", "SEVERITY", "HEAT")

    def __init__(self) -> None:
        super().__init__()
        width = WIDTHS[-1]
        self.trunk = Trunk()
        self.heat = nn.Conv2d(width, 1, 1)
        self.shared = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, 64), nn.ReLU(inplace=True))
        self.damage = nn.Linear(64 + 2, 1)
        self.kinds = nn.Linear(64, KINDS)
        self.severity = nn.Linear(64, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """uint8[B, 160, 160, 3] to logits float32[B, 1], [B, 7], [B, 1] and [B, 10, 10]."""
        _, cells = self.trunk(images)
        heat = self.heat(cells)[:, 0].float()
        spread = heat.flatten(1)
        hottest = torch.stack([spread.amax(1), spread.topk(5, dim=1).values.mean(1)], dim=1)
        pooled = self.shared(torch.cat([cells.amax((2, 3)), cells.mean((2, 3))], dim=1)).float()
        damage = self.damage(torch.cat([pooled, hottest], dim=1))
        return damage.float(), self.kinds(pooled).float(), self.severity(pooled).float(), heat


class Embedder(nn.Module):
    """Trunk, then a vector for the view and one for each of its cells, all of unit length."""

    outputs = ("EMBEDDING", "PATCHES")

    def __init__(self) -> None:
        super().__init__()
        third, fourth = WIDTHS[2:]
        self.trunk = Trunk()
        self.vector = nn.Linear(2 * fourth, VECTOR)
        self.patch = nn.Conv2d(third + fourth, PATCH, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8[B, 160, 160, 3] to float32[B, 128] and float32[B, 100, 64]."""
        fine, cells = self.trunk(images)
        vector = self.vector(torch.cat([cells.amax((2, 3)), cells.mean((2, 3))], dim=1)).float()
        both = torch.cat([nn.functional.avg_pool2d(fine, 2), cells], dim=1)
        patches = self.patch(both).float().flatten(2).transpose(1, 2)
        return _unit(vector), _unit(patches)


class Yardsticks(nn.Module):
    """The scales between cosines and logits: learned beside the network, thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.tensor(12.0))
        self.patch = nn.Parameter(torch.tensor(20.0))
        self.cell = nn.Parameter(torch.tensor([10.0, 0.3]))
        self.unit = nn.Parameter(torch.tensor([8.0, 0.4]))


def _unit(vectors: Tensor) -> Tensor:
    """Scale the last axis to length one."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-6)
