"""The two networks, small enough for one thread of a laptop: uint8 NHWC in, normalisation inside.

They learn together on one trunk, because most of what a picture shows is the same for both; each is served with its own
copy of it, so that one can be replaced without the other. Depth comes in as two more channels, so that views with and
without it go through one network.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from evidence.frame import CHANNELS
from evidence.triton import PATCH, VECTOR
from schemas.words import KINDS
from training.untyped import Network, Tensor

WIDTHS: Final = (16, 32, 64, 128, 128)  # channels at 112, 56, 28 and 14 cells a side, and at 7: what lies around a cell
TOP: Final = 10  # cells of a view that speak together: 5 % of them


def normalised(pixels: Tensor) -> Tensor:
    """Return float32[B, 5, ...] of float32[B, 5, ...], red, green, blue, relief, height as `evidence.frame` makes them.

    Colours from -1 to 1. Relief is bent so that the 13 mm at the edge of a carton are hardly more than a dent of 5 mm;
    height is in units of 64 mm over the table. What was not measured (0) is 0 in both: no depth at all looks like a
    table, and the specks that a depth camera leaves out look like nothing. Channels lie apart: together, as they come,
    this cost the served models 3 ms a view.
    """
    colours, relief, height = pixels[:, :3], pixels[:, 3:4], pixels[:, 4:]
    bent = torch.tanh((relief - 128) / 32) * (relief > 0)
    return torch.cat([(colours - 127.5) / 127.5, bent, (height - 11) / 64 * (height > 0)], dim=1)


def _conv(before: int, after: int, *, stride: int = 1, groups: int = 1) -> Network:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions added to their input: 3x3 and 3x3, or `light`: depthwise 3x3 and 1x1."""

    def __init__(self, width: int, *, light: bool = False) -> None:
        super().__init__()
        size = 1 if light else 3
        self.body = nn.Sequential(
            _conv(width, width, groups=width if light else 1),
            nn.Conv2d(width, width, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(width),
        )
        self.after = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """float[B, C, H, W] to the same shape."""
        return self.after(features + self.body(features))


def widths(times: float) -> tuple[int, ...]:
    """Return the channels of networks so many times as wide as the narrowest that are of use."""
    return tuple(round(width * times) for width in WIDTHS)


class Trunk(nn.Module):
    """uint8[B, 224, 224, 5] to float[B, third, 28, 28] and float[B, fourth, 14, 14] of the `widths`."""

    def __init__(self, times: float) -> None:
        super().__init__()
        first, second, third, fourth, context = widths(times)
        self.fine = nn.Sequential(
            _conv(CHANNELS, first, stride=2),
            _conv(first, second, stride=2),
            Residual(second),
            _conv(second, third, stride=2),
            Residual(third),
        )
        self.coarse = nn.Sequential(_conv(third, fourth, stride=2), Residual(fourth), Residual(fourth, light=True))
        self.context = nn.Sequential(_conv(fourth, context, stride=2), Residual(context, light=True))
        self.back = nn.Conv2d(context, fourth, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, then look."""
        return self.look(normalised(images.permute(0, 3, 1, 2).to(torch.float32)))

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Look at normalised float[B, 5, 224, 224] at three scales; the widest is added to the one before it."""
        fine = self.fine(pixels)
        coarse = self.coarse(fine)
        around = nn.functional.interpolate(self.back(self.context(coarse)), scale_factor=2.0, mode="nearest")
        return fine, coarse + around


class ClassifierHead(nn.Module):
    """One answer per question, all from a map of kinds: what is damaged is damaged somewhere, and in some way.

    The map looks at fine features as well as coarse ones, for a scratch is gone at 14 x 14.
    """

    def __init__(self, times: float) -> None:
        super().__init__()
        third, fourth = widths(times)[2:4]
        kinds = len(KINDS)
        self.mix = nn.Sequential(
            nn.Conv2d(2 * third + fourth, fourth, 1, bias=False), nn.BatchNorm2d(fourth), nn.ReLU(inplace=True)
        )
        self.map = nn.Conv2d(fourth, kinds, 1)
        nn.init.constant_(self.map.bias, -3.0)  # nearly all cells show nothing
        self.shared = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * fourth, 64), nn.ReLU(inplace=True))
        self.damage = nn.Linear(64 + kinds + 2, 1)
        self.kinds = nn.Linear(64 + kinds, kinds)
        self.severity = nn.Linear(64 + kinds + 2, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Features to logits float32[B, 1], [B, 7], [B, 1] and [B, 14, 14], and the map float32[B, 7, 14, 14]."""
        pool = nn.functional
        mixed = self.mix(torch.cat([pool.avg_pool2d(fine, 2), pool.max_pool2d(fine, 2), coarse], dim=1))
        cells = self.map(mixed).float()
        heat = cells.logsumexp(1)
        spread = heat.flatten(1)
        hottest = torch.stack([spread.amax(1), spread.topk(TOP, dim=1).values.mean(1)], dim=1)
        pooled = self.shared(torch.cat([mixed.amax((2, 3)), mixed.mean((2, 3))], dim=1)).float()
        both = torch.cat([pooled, cells.amax((2, 3))], dim=1)
        whole = torch.cat([both, hottest], dim=1)
        return self.damage(whole).float(), self.kinds(both).float(), self.severity(whole).float(), heat, cells


class EmbeddingHead(nn.Module):
    """A vector for the view and one for each of its cells, all of unit length."""

    def __init__(self, times: float) -> None:
        super().__init__()
        third, fourth = widths(times)[2:4]
        self.vector = nn.Linear(2 * fourth, VECTOR)
        self.patch = nn.Conv2d(2 * third + fourth, PATCH, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Features to float32[B, 128] and float32[B, 196, 48]."""
        pool = nn.functional
        vector = self.vector(torch.cat([coarse.amax((2, 3)), coarse.mean((2, 3))], dim=1)).float()
        both = torch.cat([pool.avg_pool2d(fine, 2), pool.max_pool2d(fine, 2), coarse], dim=1)
        patches = self.patch(both).float().flatten(2).transpose(1, 2)
        return unit(vector), unit(patches)


class Served(nn.Module):
    """A trunk with one head, as exported: the first `answers` of what the head says."""

    def __init__(self, trunk: Network, head: Network, answers: int) -> None:
        super().__init__()
        self.trunk, self.head, self.answers = trunk, head, answers

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8[B, 224, 224, 5] to the head's answers."""
        answers: tuple[Tensor, ...] = self.head(*self.trunk(images))
        return answers[: self.answers]


class Pair(nn.Module):
    """Both networks while they learn, with the scales between cosines and logits, which are thrown away afterwards."""

    def __init__(self, times: float = 1.0) -> None:
        """Draw the first weights of networks `times` as wide as `WIDTHS`."""
        super().__init__()
        self.trunk, self.classifier, self.embedding = Trunk(times), ClassifierHead(times), EmbeddingHead(times)
        self.vector_scale = nn.Parameter(torch.tensor(12.0))
        self.patch_scale = nn.Parameter(torch.tensor(20.0))
        self.cell_line = nn.Parameter(torch.tensor([10.0, 0.3]))  # slope, and the distance where a cell looks damaged
        self.unit_line = nn.Parameter(torch.tensor([8.0, 0.4]))  # the same for a whole view

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, Tensor]]:
        """Return the answers of both heads to normalised float[B, 5, 224, 224]."""
        features = self.trunk.look(images)
        return self.classifier(*features), self.embedding(*features)

    def served(self) -> tuple[Served, Served]:
        """Return the classifier and the embedding as they are exported."""
        return Served(self.trunk, self.classifier, 4).eval(), Served(self.trunk, self.embedding, 2).eval()


def unit(vectors: Tensor) -> Tensor:
    """Scale the last axis to length one."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-6)
