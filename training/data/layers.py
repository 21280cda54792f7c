"""What lies over a picture: a mask of the item, and depth. Both must fit it, and be what they claim to be."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from evidence.decode import check_size
from evidence.depth import Depth, decode_depth
from schemas.faults import Poison
from training.data.files import LARGEST_BYTES
from training.data.findings import Matter

_ASPECT: Final = 0.02  # relative difference of two shapes that are the same
_NEAREST_MM10: Final = 100  # no depth camera measures below a centimetre, and no station is ten metres high
_FARTHEST_MM10: Final = 100_000
Fault = tuple[Matter, str]


def mask_fault(path: Path, width: int, height: int, *, decoded: bool) -> Fault | None:
    """Return what is wrong with an item mask for a picture of that size, None if nothing is."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.size != (width, height):
                return Matter.MASK_SIZE, f"{image.size[0]} x {image.size[1]} for {width} x {height}"
            check_size(*image.size)
            if decoded and not np.asarray(image).any():
                return Matter.MASK_EMPTY, ""
    except (OSError, ValueError, SyntaxError, Poison) as error:
        return Matter.MASK_UNREADABLE, str(error).partition(" <_io")[0].partition(" '/")[0][:80]
    return None


def depth_fault(path: Path, width: int, height: int, *, decoded: bool) -> Fault | None:
    """Return what is wrong with a depth view of a picture of that size, None if nothing is."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            wide, tall = image.size
            if not image.mode.startswith("I"):
                return Matter.DEPTH_FORM, f"mode {image.mode}"
        if abs(wide * height / (tall * width) - 1) > _ASPECT:
            return Matter.DEPTH_SHAPE, f"{wide} x {tall} for {width} x {height}"
        if not decoded or path.stat().st_size > LARGEST_BYTES:
            return None
        return _impossible(decode_depth(path.read_bytes()))
    except (OSError, ValueError, SyntaxError, Poison) as error:
        return Matter.DEPTH_FORM, str(error).partition(" <_io")[0].partition(" '/")[0][:80]


def _impossible(depth: Depth) -> Fault | None:
    measured = depth[depth > 0]
    if not measured.size:
        return Matter.DEPTH_IMPOSSIBLE, "nothing measured"
    middle = float(np.median(measured))
    if not _NEAREST_MM10 <= middle <= _FARTHEST_MM10:
        return Matter.DEPTH_IMPOSSIBLE, f"median {middle / 10:.1f} mm"
    if measured.min() == measured.max():
        return Matter.DEPTH_IMPOSSIBLE, f"{middle / 10:.1f} mm everywhere"
    return None
