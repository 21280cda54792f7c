"""Find where a picture is patterned like a code, and how that pattern lies, so that expensive looks go only there.

A bar code is many strong edges of one direction over an area, a matrix code many very strong edges of any direction;
print has weaker edges of all directions, a carton's rim is a single edge. The structure tensor tells them apart: the
share of a window that has edges at all is low for the rim, and its coherence (1 for one direction, 0 for all) is low
for print.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

# Fitted on 233 photographs of codes, 83 of packages and the booth's pictures.
_SIDE: Final = 320  # pixels of the long side at which stripes are looked for
_CELL: Final = 4  # pixels of it
_WINDOW: Final = 7  # cells
_EDGES: Final = 60.0  # mean squared gradient of a cell with edges, grey levels per pixel
_STRONGEST: Final = 2_000.0  # more than this counts as this, so that one hard edge cannot outweigh a window
_DENSE: Final = 900.0  # mean of it over a window of a matrix code
_COHERENCE: Final = 0.65
_FILLED: Final = 0.95
_PATCHES: Final = 2
_ELONGATED: Final = 0.5  # 0 for a round cloud of window middles, 1 for a line of them
_STRAIGHT: Final = math.radians(8)  # the reader's own scan lines cope with less


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of a picture, lying askew: its middle, its size, and the angle of its width to the picture's rows."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0  # radians, clockwise as the picture is seen

    @classmethod
    def whole(cls, grey: Grey) -> Patch:
        """Return the patch that is the picture."""
        height, width = grey.shape
        return cls(width / 2, height / 2, width, height)

    def grown(self) -> Patch:
        """Return the patch with the margin that a code's quiet zone needs."""
        margin = 16 + 0.3 * max(self.width, self.height)
        return Patch(self.x, self.y, self.width + margin, self.height + margin, self.angle)

    def holds(self, other: Patch) -> bool:
        """Tell whether the middle of the other patch lies in this one."""
        across, down = other.x - self.x, other.y - self.y
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return abs(across * cos + down * sin) <= self.width / 2 and abs(down * cos - across * sin) <= self.height / 2


@dataclass(frozen=True, slots=True)
class Cut:
    """A patch as a picture of its own, and the way back."""

    grey: Grey
    patch: Patch
    scale: float

    def back(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the cut lies in the picture."""
        height, width = self.grey.shape
        across, down = (x - width / 2) / self.scale, (y - height / 2) / self.scale
        cos, sin = math.cos(self.patch.angle), math.sin(self.patch.angle)
        return self.patch.x + across * cos - down * sin, self.patch.y + across * sin + down * cos


def cut(grey: Grey, patch: Patch, scale: float) -> Cut:
    """Cut a patch out of uint8[H, W], turned level and scaled; what lies outside the picture repeats its border."""
    if scale == 1 and patch == Patch.whole(grey):
        return Cut(grey, patch, 1.0)
    width, height = max(1, round(patch.width * scale)), max(1, round(patch.height * scale))
    cos, sin = math.cos(patch.angle) / scale, math.sin(patch.angle) / scale
    # Pixel centres have whole coordinates: the middle of n pixels is (n - 1) / 2.
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    to_picture = np.array(
        [
            [cos, -sin, patch.x - 0.5 - cos * middle_x + sin * middle_y],
            [sin, cos, patch.y - 0.5 - sin * middle_x - cos * middle_y],
        ]
    )
    turned = cv2.warpAffine(
        grey,
        to_picture,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Cut(np.asarray(turned, np.uint8), patch, scale)


def code_patches(grey: Grey) -> list[Patch]:
    """Return the patches of a picture, uint8[H, W], that are patterned like codes, strongest first, two at most."""
    scale = min(1.0, _SIDE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    rows, columns = small.shape[0] // _CELL, small.shape[1] // _CELL
    if min(rows, columns) < _WINDOW:
        return []
    across = cv2.Sobel(small, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(small, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    products = (across * across, down * down, across * down)
    tensor = np.asarray(
        [cv2.resize(each, (columns, rows), interpolation=cv2.INTER_AREA) for each in products], np.float32
    )
    energy = tensor[0] + tensor[1]
    filled = _mean((energy > _EDGES).astype(np.float32))
    tensor *= np.minimum(1.0, _STRONGEST / (energy + 1e-3))
    strength = tensor[0] + tensor[1]
    xx, yy, xy = (_mean(part) for part in tensor)
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-3)
    patterned = (filled >= _FILLED) & ((coherence >= _COHERENCE) | (xx + yy >= _DENSE))
    if not patterned.any():
        return []
    # A window is named by its middle cell: grow back to what the windows cover, and a cell further, which joins the two
    # halves of a code across its middle bars.
    covered = cv2.dilate(patterned.astype(np.uint8), np.ones((_WINDOW + 2, _WINDOW + 2), np.uint8))
    count, labels = cv2.connectedComponents(covered)
    sums = np.bincount(labels.ravel(), weights=strength.ravel(), minlength=count)
    strongest = [label for label in np.argsort(-sums) if label != 0][:_PATCHES]
    return [_patch(labels == label, patterned, tensor, _CELL / scale) for label in strongest]


def _patch(
    covered: NDArray[np.bool_], patterned: NDArray[np.bool_], tensor: NDArray[np.float32], pixels: float
) -> Patch:
    """Lay a rectangle around covered cells, along the row of bars.

    The middles of the windows form a band along that row, whatever the slant of the bars in perspective; where they
    form none, the direction across the bars has to do.
    """
    rows, columns = np.nonzero(covered & patterned)
    spread = np.cov(columns, rows, bias=True) if len(rows) > 1 else np.zeros((2, 2))
    xx, yy, xy = spread[0, 0], spread[1, 1], spread[0, 1]
    if math.hypot(xx - yy, 2 * xy) < _ELONGATED * (xx + yy):
        xx, yy, xy = (float(part[covered].sum()) for part in tensor)
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    quarter = round(angle / (math.pi / 2)) * (math.pi / 2)
    angle = angle - quarter if abs(angle - quarter) > _STRAIGHT else 0.0
    rows, columns = np.nonzero(covered)
    x, y = (columns + 0.5) * pixels, (rows + 0.5) * pixels
    along, beside = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    middle_along, middle_beside = (along.max() + along.min()) / 2, (beside.max() + beside.min()) / 2
    return Patch(
        x=float(middle_along * math.cos(angle) - middle_beside * math.sin(angle)),
        y=float(middle_along * math.sin(angle) + middle_beside * math.cos(angle)),
        width=float(np.ptp(along)) + pixels,
        height=float(np.ptp(beside)) + pixels,
        angle=angle,
    )


def _mean(values: MatLike) -> NDArray[np.float32]:
    smoothed = cv2.boxFilter(values, cv2.CV_32F, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smoothed, np.float32)
