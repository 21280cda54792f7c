"""How a reference lies in a picture, from points that were matched and are partly wrong.

Each match of keypoints has a place, a size and an angle on both sides, so one match is already a guess at the pose:
turn, scale and shift. The guess with which most other matches agree is refined to an affine map, and to a homography
where many well spread matches carry it: from few a homography bends what is flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.keypoints import Spots

LEAST: Final = 5  # matches that agree; with fewer any two pictures of print agree about something
TURN: Final = 0.6  # radians by which agreeing matches may differ in angle
STRETCH: Final = 0.6  # and in the logarithm of their scale: cartons are seen from the side
FIRST_REACH: Final = 0.12  # of the reference's extent: how far a guess may miss a match that supports it
REACHES: Final = (0.08, 0.06, 0.04, 0.04)  # of the affine refinements
HOMOGRAPHY_FROM: Final = 12
HOMOGRAPHY_KEEPS: Final = 0.6  # of the affine's inliers, else it has found something else
HOMOGRAPHY_PX: Final = 4.0

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How a reference lies in a picture: float64[3, 3] maps its pixels to the picture's; matches that agree."""

    matrix: Matrix
    inliers: int


def find_pose(reference: Spots, picture: Spots, *, extent: float, least: int = LEAST) -> Pose | None:
    """Return the pose that most matches agree on, None if fewer than `least` agree on any.

    Args:
        reference: float32[M, 4] x, y, size, angle of matched keypoints of the reference.
        picture: float32[M, 4], of the same ones in the picture.
        extent: long side of the reference in its pixels.
        least: matches to agree, `LEAST` or more; the more, the sooner pictures of different things are told apart.
    """
    if len(reference) < least:
        return None
    scale, turn = picture[:, 2] / reference[:, 2], picture[:, 3] - reference[:, 3]
    place, seen = reference[:, :2].astype(np.float64), picture[:, :2].astype(np.float64)
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    shift = seen - np.column_stack(
        [cosine * place[:, 0] - sine * place[:, 1], sine * place[:, 0] + cosine * place[:, 1]]
    )
    missed_x = np.outer(cosine, place[:, 0]) - np.outer(sine, place[:, 1]) + shift[:, :1] - seen[:, 0]
    missed_y = np.outer(sine, place[:, 0]) + np.outer(cosine, place[:, 1]) + shift[:, 1:] - seen[:, 1]
    reach = (FIRST_REACH * extent * scale)[:, None]
    alike = np.abs((turn[None] - turn[:, None] + np.pi) % (2 * np.pi) - np.pi) < TURN
    alike &= np.abs(np.log(scale)[None] - np.log(scale)[:, None]) < STRETCH
    agree = (missed_x**2 + missed_y**2 < reach**2) & alike
    guess = int(agree.sum(axis=1).argmax())
    if alike[guess].sum() < least:  # refining keeps no others
        return None
    affine, kept = _refine(place, seen, agree[guess], alike[guess], extent)
    if affine is None or kept.sum() < least:
        return None
    bent = _bent(place[kept], seen[kept], affine)
    return Pose(affine if bent is None else bent, int(kept.sum()))


def _refine(
    place: Matrix, seen: Matrix, kept: NDArray[np.bool_], alike: NDArray[np.bool_], extent: float
) -> tuple[Matrix | None, NDArray[np.bool_]]:
    """Fit an affine map to the matches kept, keep those it explains, and again."""
    homogeneous = np.column_stack([place, np.ones(len(place))])
    affine: Matrix | None = None
    for reach in REACHES:
        if kept.sum() < LEAST:
            return None, kept
        solved, *_ = np.linalg.lstsq(homogeneous[kept], seen[kept], rcond=None)
        scale = np.sqrt(abs(np.linalg.det(solved[:2])))
        missed = np.linalg.norm(homogeneous @ solved - seen, axis=1)
        kept = (missed < reach * extent * scale) & alike
        affine = np.vstack([solved.T, [0.0, 0.0, 1.0]])
    if affine is None or kept.sum() < LEAST or not _plausible(affine):
        return None, kept
    return affine, kept


def _plausible(affine: Matrix) -> bool:
    """Whether the map keeps things about as wide as high: no unit is seen at less than a fifth of its width."""
    values = np.linalg.svd(affine[:2, :2], compute_uv=False)
    return bool(np.linalg.det(affine[:2, :2]) > 0 and values[1] > values[0] / 5)


def _bent(place: Matrix, seen: Matrix, affine: Matrix) -> Matrix | None:
    """Return a homography if it explains most of the matches and bends little, else None."""
    if len(place) < HOMOGRAPHY_FROM:
        return None
    found, inliers = cv2.findHomography(place, seen, cv2.RANSAC, HOMOGRAPHY_PX)
    if found is None or inliers.sum() < max(HOMOGRAPHY_FROM - 2, HOMOGRAPHY_KEEPS * len(place)):
        return None
    (left, top), (right, bottom) = place.min(axis=0), place.max(axis=0)
    corners = np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]])
    bent = cv2.perspectiveTransform(corners, found)[0].astype(np.float32)
    flat = cv2.perspectiveTransform(corners, affine)[0].astype(np.float32)
    area = cv2.contourArea(bent) / max(cv2.contourArea(flat), 1e-6)
    fair = cv2.isContourConvex(bent) and 0.5 < area < 2  # noqa: PLR2004 - half or twice as large is another thing
    return np.asarray(found, np.float64) if fair else None
