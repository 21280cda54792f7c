"""How pictures are varied while networks learn from them: light, contrast, place, order of the colours, depth.

All of it is a table of 256 numbers for each view and channel, and a shift, so it is one pass over the pixels: what used
to be a fifth of a step on two cores is a fiftieth. On a GPU the same table is looked up there. Who asks for it gets
views turned, mirrored, and nearer or farther as well, and the places of damage with them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from booth.raster import kernel
from evidence.frame import CHANNELS
from training.networks import normalised
from training.untyped import Device, Tensor

SHIFT: Final = 6  # pixels, less than half a cell: damage masks stay true
TURN: Final = 25.0  # degrees, either way
SMALLEST: Final = 0.8  # times as large, and as often so many times smaller
KEPT: Final = 0.9  # of a view's damage has to stay in it, or it is not moved
FINER: Final = 8  # points along a cell's side at which a map of cells is looked up


def vary(images: Tensor, blind: NDArray[np.bool_], rng: np.random.Generator) -> Tensor:
    """Vary uint8[B, H, W, 5] into normalised bfloat16[B, 5, H, W] beside it, in memory channels last as it came.

    Half of all batches get another order of red, green and blue: products in colours that the booth never printed.
    Views that are `blind`, bool[B], lose their depth.
    """
    count = len(images)
    order = np.array([*(rng.permutation(3) if rng.integers(2) else range(3)), 3, 4])
    shift = rng.integers(-SHIFT, SHIFT + 1, 2)
    gain, lift = np.ones((count, CHANNELS, 1)), np.zeros((count, CHANNELS, 1))
    gain[:, :3, 0] = rng.uniform(0.75, 1.25, (count, 1)) * rng.uniform(0.93, 1.07, (count, 3))
    gain[blind, 3:] = 0
    lift[:, :3, 0] = rng.uniform(-14, 14, (count, 1))
    seen = np.clip(np.arange(256) * gain + lift, 0, 255).astype(np.float32)  # [B, 5, 256]
    table = normalised(torch.from_numpy(seen)).to(torch.bfloat16).view(torch.int16)
    if images.device.type == "cpu":
        found = torch.from_numpy(_looked_up(images.numpy(), table.numpy(), order, shift))
    else:
        found = _looked_up_there(images, table.to(images.device), order, shift)
    return found.view(torch.bfloat16).permute(0, 3, 1, 2)


def move(images: Tensor, cells: NDArray[np.float32], rng: np.random.Generator) -> tuple[Tensor, NDArray[np.float32]]:
    """Turn, mirror and scale normalised bfloat16[B, 5, H, H] and the damage in it, float32[B, 14, 14] of `Album.cells`.

    Two views at a time, so that twins stay twins; half of all batches are mirrored, whole, because what is printed in
    mirror writing is another product. A pair that would lose damage over the edge is mirrored at most. What comes in
    from outside is the view's own reflection, and has no depth.
    """
    count = len(images)
    pairs = (count + 1) // 2
    mirror = np.diag([rng.choice((-1.0, 1.0)), 1.0])
    angle, size = np.radians(rng.uniform(-TURN, TURN, pairs)), SMALLEST ** rng.uniform(-1, 1, pairs)
    turns = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    found_at = (turns / size[:, None, None] @ mirror).repeat(2, 0)[:count]  # from a place in the new view to the old
    damage = np.maximum(cells, 0).sum((1, 2)) * size.repeat(2)[:count] ** 2
    lost = np.maximum(_cells_moved(cells, found_at), 0).sum((1, 2)) < KEPT * damage
    lost = np.append(lost, [False] * (2 * pairs - count)).reshape(-1, 2).any(1).repeat(2)[:count]
    found_at[lost] = mirror
    grid = _grid(found_at, images.shape[2], images.device)
    pixels = images.float()
    colours = functional.grid_sample(pixels[:, :3], grid, padding_mode="reflection", align_corners=False)
    # Nearest: between a height and "not measured" lies nothing.
    depth = functional.grid_sample(pixels[:, 3:], grid, mode="nearest", align_corners=False)
    moved = torch.cat([colours, depth], dim=1).to(images.dtype, memory_format=torch.channels_last)
    return moved, _cells_moved(cells, found_at)


def _cells_moved(cells: NDArray[np.float32], found_at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32[B, N, N], shares of cells after a move: damage is taken to be even within a cell.

    Below zero, where nobody marked the place, it stays so.
    """
    side = cells.shape[1]
    grid = _grid(found_at, FINER * side, torch.device("cpu"))
    points = functional.grid_sample(torch.from_numpy(cells)[:, None], grid, mode="nearest", align_corners=False)
    return np.asarray(functional.avg_pool2d(points, FINER)[:, 0].numpy(), np.float32)


def _grid(found_at: NDArray[np.float64], side: int, device: Device) -> Tensor:
    """Return float32[B, side, side, 2] on a device, where torch is to look for each pixel, from float64[B, 2, 2]."""
    still = np.zeros((*found_at.shape[:2], 1))
    theta = torch.from_numpy(np.concatenate([found_at, still], axis=2).astype(np.float32)).to(device)
    return functional.affine_grid(theta, [len(found_at), 1, side, side], align_corners=False)


@kernel
def _looked_up(
    images: NDArray[np.uint8], table: NDArray[np.int16], order: NDArray[np.int64], shift: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Return int16[B, H, W, C]: each pixel's entry in the table of its view and channel, all moved by `shift`."""
    count, height, width, channels = images.shape
    found = np.empty(images.shape, np.int16)
    for view in range(count):
        for row in range(height):
            for column in range(width):
                from_row, from_column = (row - shift[0]) % height, (column - shift[1]) % width
                for channel in range(channels):
                    value = images[view, from_row, from_column, order[channel]]
                    found[view, row, column, channel] = table[view, channel, value]
    return found


def _looked_up_there(images: Tensor, table: Tensor, order: NDArray[np.int64], shift: NDArray[np.int64]) -> Tensor:
    """Return the same as `_looked_up`, by torch: what is many times as slow on a CPU and as fast on a GPU."""
    count, channels, values = table.shape
    first = torch.arange(count * channels, device=images.device).reshape(count, 1, 1, channels) * values
    moved = images[..., order.tolist()].roll(shift.tolist(), (1, 2))
    return table.flatten()[first + moved]
