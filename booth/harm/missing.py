"""Missing units: pieces of a set that are not at their places."""

from __future__ import annotations

import dataclasses

import numpy as np

from booth.unit import Unit


def take_out(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Take one piece out of a set, or two to four; what is below shows, and the hole is the damage."""
    count = int(rng.integers(2, 5)) if major else 1
    gone = [unit.pieces[int(place)] for place in rng.permutation(len(unit.pieces))[:count]]
    return holes(unit, gone)


def holes(unit: Unit, names: list[str]) -> Unit:
    """Remove pieces and mark the floor where they stood, as float32 damage on its print."""
    floor = unit.surface("floor")
    marked = floor.harm_print.copy() if floor.harm_print is not None else np.zeros((160, 240), np.uint8)
    size = np.array(unit.spec.size_cm[:2])
    rise = 0.4  # the floor's own thickness surrounds its top on the net
    for name in names:
        points = unit.parts[name].points
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        left, right = (np.array([low[0], high[0]]) + size[0] / 2 + rise) / (size[0] + 2 * rise)
        top, bottom = (size[1] / 2 - np.array([high[1], low[1]]) + rise) / (size[1] + 2 * rise)
        height, width = marked.shape
        marked[int(top * height) : int(np.ceil(bottom * height)), int(left * width) : int(np.ceil(right * width))] = 255
    return unit.without(*names).with_surface("floor", dataclasses.replace(floor, harm_print=marked))
