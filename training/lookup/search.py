"""From one photograph to the products it may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.frame import frame
from evidence.geometry import Pose, find_pose
from evidence.keypoints import Keypoints, detect, match
from evidence.overlay import cell_likeness, lay, share_alike, window_likeness
from training.lookup.shelf import Embedder, Enrolled

CROPS: Final = (1.0, 0.8, 0.6)  # of the photograph, around its middle: how large the unit is nobody knows
KEYPOINTS: Final = 700
KEYPOINTS_SIDE: Final = 700  # pixels
MATCHED: Final = 12  # products whose keypoints are compared; the patches hold the answer among them 98 % of the time
LAID: Final = 5  # products that the photograph is laid over
INLIERS: Final = 0.2  # weight of ln(inliers) beside likeness: see docs/evidence.md for the three
PATCHES: Final = 0.2  # weight of the patch similarity, standardised within the shortlist
UNLAID: Final = 9.0  # further down than anything that could be laid over


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What is taken from a photograph once, whatever it is compared with."""

    rgb: NDArray[np.uint8]
    maps: NDArray[np.float32]  # float32[crops, cells, C]
    keypoints: Keypoints


@dataclass(frozen=True, slots=True)
class Find:
    """A product a photograph may show. `score` is how alike they are, laid over each other; below 0 they cannot be."""

    product_id: str
    score: float
    rank: float  # what it was put in order by
    inliers: int


def glance(rgb: NDArray[np.uint8], embedder: Embedder) -> Glance:
    """Take in a photograph uint8[H, W, 3]."""
    seen = embedder.see(np.stack([frame(_middle(rgb, share), side=embedder.side) for share in CROPS]))
    maps = seen.coarse.reshape(len(CROPS), -1, seen.coarse.shape[-1])
    return Glance(rgb, maps, detect(rgb, most=KEYPOINTS, side=KEYPOINTS_SIDE))


class Comparison:
    """One photograph against a shelf of references; whatever is worked out is worked out once."""

    def __init__(self, look: Glance, shelf: Sequence[Enrolled], embedder: Embedder) -> None:
        """Take what is compared; nothing is compared yet."""
        self._look = look
        self._shelf = shelf
        self._embedder = embedder
        self._patches: dict[int, float] = {}
        self._poses: dict[int, Pose | None] = {}
        self._likenesses: dict[int, float] = {}

    def rank(self, places: Sequence[int] | None = None) -> list[Find]:
        """Return the products of a shelf, likeliest first; a product counts as its most alike reference.

        Args:
            places: of the references to choose from; a shortlist, where there are many. Default: all of the shelf.
        """
        chosen = list(range(len(self._shelf)) if places is None else places)
        patches = np.array([self.patch(place) for place in chosen])
        standard = dict(zip(chosen, (patches - patches.mean()) / max(float(patches.std()), 1e-6), strict=True))
        order = sorted(chosen, key=lambda place: -standard[place])
        poses = {place: pose for place in order[:MATCHED] if (pose := self.pose(place)) is not None}
        promising = sorted(poses, key=lambda place: -(standard[place] + float(np.log(poses[place].inliers))))[:LAID]
        found: dict[str, Find] = {}
        for place in order:
            product, lead = self._shelf[place].product_id, PATCHES * float(standard[place])
            if place in promising:
                inliers, score = poses[place].inliers, self.likeness(place)
                find = Find(product, score, 2 * score + INLIERS * float(np.log(inliers)) + lead, inliers)
            else:
                find = Find(product, self.patch(place) - 2.0, lead - UNLAID, 0)
            if product not in found or find.rank > found[product].rank:
                found[product] = find
        return sorted(found.values(), key=lambda find: (-find.rank, find.product_id))

    def patch(self, place: int) -> float:
        """Return the chamfer similarity both ways of the patch maps, the mean over the crops: 0.1 ms a crop."""
        if place not in self._patches:
            cells, maps = self._shelf[place].cells, self._look.maps
            cosines = (maps.reshape(-1, maps.shape[-1]) @ cells.T).reshape(len(maps), -1, len(cells))
            self._patches[place] = float(cosines.max(axis=1).mean() + cosines.max(axis=2).mean()) / 2
        return self._patches[place]

    def pose(self, place: int) -> Pose | None:
        """Return how a reference lies in the photograph, by their keypoints: 5 ms."""
        if place not in self._poses:
            reference, keypoints = self._shelf[place], self._look.keypoints
            pairs = match(reference.keypoints, keypoints)
            self._poses[place] = find_pose(
                reference.keypoints.spots[pairs[:, 0]], keypoints.spots[pairs[:, 1]], extent=reference.extent
            )
        return self._poses[place]

    def likeness(self, place: int) -> float:
        """Return how alike the photograph is, laid over a reference, 0 .. 1: 20 ms.

        The mean of what windows say and what cells of the fine map say; of one that has no pose, 0.
        """
        if place not in self._likenesses:
            pose = self.pose(place)
            self._likenesses[place] = 0.0 if pose is None else self._laid(self._shelf[place], pose)
        return self._likenesses[place]

    def _laid(self, reference: Enrolled, pose: Pose) -> float:
        laid = lay(self._look.rgb, reference.plate, pose.matrix)
        windows = share_alike(window_likeness(laid, reference.plate))
        if reference.fine is None:
            return windows
        fine = self._embedder.see(frame(laid.pixels, side=self._embedder.side)[None]).fine
        if fine is None:
            return windows
        cells = share_alike(cell_likeness(fine[0], reference.fine, laid.covered, reference.plate.mask))
        return (windows + cells) / 2


def _middle(rgb: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Return the middle of a picture."""
    height, width = rgb.shape[:2]
    rows, columns = max(1, int(height * share)), max(1, int(width * share))
    top, left = (height - rows) // 2, (width - columns) // 2
    return rgb[top : top + rows, left : left + columns]
