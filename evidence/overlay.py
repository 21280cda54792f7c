"""A picture laid over a reference, and how alike they are where they lie over each other.

Siblings of a brand share their layout and most of their print. What tells them apart are a word and a picture, in
places that only line up when the capture is laid over the reference to within a pixel or two. So the pose from
keypoints is refined by where small windows of the reference are found again, and then windows are compared one by one.
The share that is alike is taken as a quantile: a hand, a highlight or damage may cover a third of the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE: Final = 224  # pixels of a plate
MARGIN: Final = 0.04  # around the unit, of its long side
RIM: Final = 8  # pixels of a plate's edge without windows: room to search
INSIDE: Final = 0.8  # of a window has to be unit
PRINTED: Final = 12.0  # grey levels of deviation in some channel; a blank window is like any other
STEER: Final = (28, 14)  # window and step in pixels, to refine the pose
COMPARE: Final = (16, 12)  # ... to compare
SEARCH: Final = (8, 4)  # pixels, of the two rounds of refinement
SLACK: Final = 2  # pixels, of the comparison
STEERS_FROM: Final = 0.6  # correlation at which a window is believed to be found
STEERING: Final = 10  # so many windows have to agree
DRIFT: Final = 25.0  # pixels by which a refinement may move a corner; further it has found something else
ALIKE: Final = 0.65  # quantile of the windows' correlations, and of the cells' cosines: see docs/evidence.md

Matrix = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Likenesses = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A reference cut to its unit: uint8[224, 224, 3], the unit's mask, the reference's pixels to the plate's.

    Windows are int[n, 2], top and left of those that lie on the unit and show print.
    """

    pixels: Pixels
    mask: NDArray[np.float32]
    matrix: Matrix
    steer: NDArray[np.intp]
    compare: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """A picture in a plate's frame: uint8[224, 224, 3], where there is picture at all, and picture to plate pixels."""

    pixels: Pixels
    covered: NDArray[np.bool_]
    matrix: Matrix


def plate_of(rgb: Pixels, mask: NDArray[np.bool_]) -> Plate:
    """Cut a reference uint8[H, W, 3] to the square around its unit, bool[H, W]."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = SIDE / (max(bottom - top, right - left) * (1 + 2 * MARGIN))
    matrix = np.array(
        [[scale, 0, (SIDE - scale * (left + right)) / 2], [0, scale, (SIDE - scale * (top + bottom)) / 2], [0, 0, 1]]
    )
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    pixels = cv2.warpAffine(rgb, matrix[:2], (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(mask.astype(np.float32), matrix[:2], (SIDE, SIDE))
    cut, unit = np.asarray(pixels, np.uint8), np.asarray(inside, np.float32)
    return Plate(cut, unit, matrix, _windows(cut, unit, *STEER), _windows(cut, unit, *COMPARE))


def lay(rgb: Pixels, plate: Plate, pose: Matrix) -> Laid:
    """Lay a picture over a plate. About 10 ms.

    Args:
        rgb: uint8[H, W, 3].
        plate: of the reference.
        pose: float64[3, 3], from the reference's pixels to the picture's (`evidence.geometry.find_pose`).
    """
    matrix = plate.matrix @ np.linalg.inv(pose)
    for search in SEARCH:
        moved = _found_again(_warp(rgb, matrix), plate, search)
        if moved is None:
            break
        matrix = np.linalg.inv(moved) @ matrix
    height, width = rgb.shape[:2]
    covered = cv2.warpPerspective(np.ones((height, width), np.uint8), matrix, (SIDE, SIDE)) > 0
    return Laid(_warp(rgb, matrix), covered, matrix)


def window_likeness(laid: Laid, plate: Plate) -> Likenesses:
    """Return float32[n], the correlation of each window of the plate with its place in the picture; 0 where uncovered.

    Correlations are of colours less the window's mean colour, so light cancels, print does not.
    """
    size = COMPARE[0]
    picture, reference = laid.pixels.astype(np.float32), plate.pixels.astype(np.float32)
    found = np.zeros(len(plate.compare), np.float32)
    for number, (top, left) in enumerate(plate.compare.tolist()):
        if laid.covered[top : top + size, left : left + size].mean() > 0.9:  # noqa: PLR2004 - all but a corner
            found[number] = _correlations(picture, reference, top, left, size, SLACK).max()
    return found


def cell_likeness(
    laid: NDArray[np.float32], reference: NDArray[np.float32], covered: NDArray[np.bool_], mask: NDArray[np.float32]
) -> Likenesses:
    """Return float32[n], the cosines of cells that lie over each other, of the reference's cells on the unit.

    Args:
        laid: float32[g, g, C], map of the picture laid over, unit length per cell.
        reference: float32[g, g, C], of the plate.
        covered: bool[H, W], of `Laid`.
        mask: float32[H, W], of `Plate`.
    """
    side = len(reference)
    cosines = (laid * reference).sum(axis=2)
    seen = cv2.resize(covered.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    on_unit = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(seen > 0.5, cosines, 0.0)[on_unit > 0.5], np.float32)  # noqa: PLR2004 - most of a cell


def share_alike(likenesses: Likenesses) -> float:
    """Reduce likenesses of places to one: what a third of them reaches."""
    return float(np.quantile(likenesses, ALIKE)) if len(likenesses) else 0.0


def _windows(pixels: Pixels, mask: NDArray[np.float32], size: int, step: int) -> NDArray[np.intp]:
    near = np.arange(RIM, SIDE - size - RIM + 1, step)
    far, area = near + size, size * size

    def sums(integral: NDArray[Any]) -> NDArray[np.float64]:
        both, above, left, outside = (
            integral[np.ix_(rows, columns)] for rows in (far, near) for columns in (far, near)
        )
        return np.asarray(both - above - left + outside, np.float64)

    first, second = cv2.integral2(pixels, sdepth=cv2.CV_64F)  # of integers, and exact
    variance = area * sums(np.asarray(second)) - sums(np.asarray(first)) ** 2  # times the area squared
    printed = variance.max(axis=2) > (PRINTED * area) ** 2
    on_unit = sums(np.asarray(cv2.integral(mask, sdepth=cv2.CV_64F))) > INSIDE * area
    return RIM + step * np.argwhere(printed & on_unit)


def _warp(rgb: Pixels, matrix: Matrix) -> Pixels:
    laid = cv2.warpPerspective(rgb, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.uint8)


def _correlations(
    picture: NDArray[np.float32], reference: NDArray[np.float32], top: int, left: int, size: int, search: int
) -> NDArray[np.float32]:
    """Return float32[2 * search + 1, 2 * search + 1]: a window's correlation at each shift."""
    room = picture[top - search : top + size + search, left - search : left + size + search]
    return np.asarray(
        cv2.matchTemplate(room, reference[top : top + size, left : left + size], cv2.TM_CCOEFF_NORMED), np.float32
    )


def _found_again(laid: Pixels, plate: Plate, search: int) -> Matrix | None:
    """Return the homography from the plate to where its windows are in the laid picture; None if too few agree."""
    size = STEER[0]
    picture, reference = laid.astype(np.float32), plate.pixels.astype(np.float32)
    here, there = [], []
    for top, left in plate.steer.tolist():
        surface = _correlations(picture, reference, top, left, size, search)
        row, column = divmod(int(surface.argmax()), surface.shape[1])
        edge = row in (0, 2 * search) or column in (0, 2 * search)
        if edge or surface[row, column] < STEERS_FROM:
            continue
        middle = left + size / 2, top + size / 2
        across = column - search + _summit(surface[row, column - 1 : column + 2])
        down = row - search + _summit(surface[row - 1 : row + 2, column])
        here.append(middle)
        there.append((middle[0] + across, middle[1] + down))
    if len(here) < STEERING:
        return None
    found, inliers = cv2.findHomography(np.array(here), np.array(there), cv2.RANSAC, 2.0)
    if found is None or inliers.sum() < STEERING:
        return None
    corners = np.array([[[40.0, 20], [184, 20], [184, 204], [40, 204]]])
    drift = np.abs(cv2.perspectiveTransform(corners, found) - corners).max()
    return np.asarray(found, np.float64) if drift < DRIFT else None


def _summit(three: NDArray[np.float32]) -> float:
    """Return where between -0.5 and 0.5 the parabola through three values is highest."""
    before, at, after = three.tolist()
    bend = max(2 * at - before - after, 1e-3)
    return float(np.clip((after - before) / 2 / bend, -0.5, 0.5))
