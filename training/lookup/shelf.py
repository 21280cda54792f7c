"""References of products as photographs are compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.frame import frame
from evidence.ground import unit_mask
from evidence.keypoints import Keypoints, detect
from evidence.overlay import Plate, plate_of
from training.backbone import Seen

REFERENCE_KEYPOINTS: Final = 400  # 58 kB
REFERENCE_SIDE: Final = 500  # pixels; packshots are small, and what is printed small is found at this size
CELL_ON_UNIT: Final = 0.25  # of a cell; what shows less is ground


class Embedder(Protocol):
    """What embeds pictures: `training.backbone` has two."""

    side: int
    fine: bool

    @property
    def sentence(self) -> str:
        """What it is, in words."""

    def see(self, images: NDArray[np.uint8]) -> Seen:
        """Return the embeddings of uint8[N, side, side, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """One reference view."""

    product_id: str
    cells: NDArray[np.float32]  # float32[n, C], unit length: cells of the coarse map that show the unit
    keypoints: Keypoints
    extent: float  # long side of the picture, in the pixels of the keypoints
    plate: Plate
    fine: NDArray[np.float32] | None  # float32[G, G, c] of the plate


def enrol(product_id: str, rgb: NDArray[np.uint8], embedder: Embedder) -> Enrolled:
    """Enrol a picture uint8[H, W, 3] of a pristine product, ideally before a plain ground. About 100 ms."""
    mask = unit_mask(rgb)
    plate = plate_of(rgb, mask)
    side = embedder.side
    seen = embedder.see(np.stack([frame(rgb, side=side), frame(plate.pixels, side=side)]))
    square = frame(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255, side=side)[..., 0]
    grid = seen.coarse.shape[1]
    on_unit = cv2.resize(square, (grid, grid), interpolation=cv2.INTER_AREA) > 255 * CELL_ON_UNIT
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return Enrolled(
        product_id=product_id,
        cells=seen.coarse[0][on_unit] if on_unit.any() else seen.coarse[0].reshape(grid * grid, -1),
        keypoints=detect(rgb, most=REFERENCE_KEYPOINTS, side=REFERENCE_SIDE, mask=near),
        extent=float(max(rgb.shape[:2])),
        plate=plate,
        fine=None if seen.fine is None else seen.fine[1],
    )
