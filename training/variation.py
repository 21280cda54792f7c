"""How pictures are varied while networks learn from them: light, contrast, place, order of the colours, depth.

All of it is a table of 256 numbers for each view and channel, and a shift, so it is one pass over the pixels: what used
to be a fifth of a step on two cores is a fiftieth. On a GPU the same table is looked up there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from booth.raster import kernel
from evidence.frame import CHANNELS
from training.networks import normalised
from training.untyped import Tensor

SHIFT: Final = 6  # pixels, less than half a cell: damage masks stay true


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
