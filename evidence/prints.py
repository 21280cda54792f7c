"""Laying a capture over what the gallery keeps of its references' views: who it is, and who it is not.

A print is a view's strongest keypoints (at most 27 kB) and its square as the models see it, as a JPEG (11 kB).
Keypoints say how a reference lies in a capture; where they agree, the capture is laid over the square and windows are
compared (`evidence.overlay`). Patch maps choose among products, this tells siblings apart and strangers off (decision
0076).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import cv2
import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image

from evidence.frame import SIDE
from evidence.geometry import Pose, find_pose
from evidence.ground import unit_mask
from evidence.keypoints import Keypoints, detect, match
from evidence.overlay import Plate, lay, plate_of, window_likeness
from schemas.words import MAX_VIEWS

REFERENCE_KEYPOINTS: Final = 200
CAPTURE_KEYPOINTS: Final = 400  # half of them lie on the ground
LEAST: Final = 12  # matches that agree on a pose; two packs of one brand have 13 in the middle, a pack with itself 48
MARGIN: Final = 5  # pixels around the unit where keypoints of a reference may lie: its edges are its own
QUALITY: Final = 90  # of the JPEG
PLATES: Final = 64  # kept, of 0.4 MB

Squares = NDArray[np.uint8]
_log = structlog.get_logger(__name__)


class Print(msgspec.Struct, frozen=True, array_like=True):
    """One view of a reference, as the store keeps it."""

    spots: bytes  # float16[K, 4]: x, y, size in pixels of the square, angle in radians
    descriptors: bytes  # uint8[K, 128]
    square: bytes  # JPEG of uint8[224, 224, 3]

    @property
    def keypoints(self) -> Keypoints:
        """Return the keypoints."""
        spots = np.frombuffer(self.spots, np.float16).reshape(-1, 4).astype(np.float32)
        return Keypoints(spots, np.frombuffer(self.descriptors, np.uint8).reshape(-1, 128))

    def plate(self) -> Plate:
        """Return the view cut to its unit. 8 to 16 ms; the last few are kept.

        Raises:
            ValueError: the square is no picture of the size it has to be.
        """
        return _plate(self.square)


@lru_cache(maxsize=PLATES)
def _plate(square: bytes) -> Plate:
    rgb = _opened(square)
    if rgb is None or rgb.shape != (SIDE, SIDE, 3):
        raise ValueError(f"a print's square is no JPEG of {SIDE} x {SIDE}")
    return plate_of(rgb, unit_mask(rgb))


def _opened(square: bytes) -> Squares | None:
    """Return a JPEG's pixels, None if it is none; of one of another size nothing but the header is read."""
    try:
        picture = Image.open(io.BytesIO(square), formats=["JPEG"])
        return np.asarray(picture) if picture.size == (SIDE, SIDE) else None
    except (OSError, SyntaxError, ValueError):
        return None


def print_of(square: Squares) -> Print:
    """Return the print of a view uint8[224, 224, 3]. About 20 ms."""
    square = np.ascontiguousarray(square)
    near = cv2.dilate(unit_mask(square).astype(np.uint8), np.ones((MARGIN, MARGIN), np.uint8)) > 0
    found = detect(square, most=REFERENCE_KEYPOINTS, side=SIDE, mask=near)
    coded = io.BytesIO()
    Image.fromarray(square).save(coded, "JPEG", quality=QUALITY)
    return Print(found.spots.astype(np.float16).tobytes(), found.descriptors.tobytes(), coded.getvalue())


def pack(prints: Sequence[Print]) -> bytes:
    """Return what the store keeps of a reference's views: of none, nothing at all."""
    return msgspec.msgpack.encode(prints) if prints else b""


def unpack(raw: bytes) -> tuple[Print, ...]:
    """Read what `pack` wrote.

    Raises:
        ValueError: it is something else.
    """
    prints = msgspec.msgpack.decode(raw, type=tuple[Print, ...])
    if len(prints) > MAX_VIEWS:
        raise ValueError(f"{len(prints)} prints where a reference has at most {MAX_VIEWS} views")
    for each in prints:
        if len(each.spots) % 8 or len(each.descriptors) != 16 * len(each.spots):
            raise ValueError("a print's keypoints have not as many places as descriptors")
        if len(each.spots) > 8 * REFERENCE_KEYPOINTS:
            raise ValueError(f"{len(each.spots) // 8} keypoints where a print has at most {REFERENCE_KEYPOINTS}")
        spots = each.keypoints.spots
        if not np.isfinite(spots).all() or not (spots[:, 2] > 0).all():
            raise ValueError("a print's keypoints are at no place, or of no size")
    return prints


class Overlay:
    """Lays one capture over products' references (`evidence.identity.Verifier`). What was worked out is kept."""

    def __init__(self, squares: Squares, prints: Mapping[str, Sequence[Print]]) -> None:
        """Take a capture's views uint8[N, 224, 224, 3], and the prints of all references' views by product."""
        self._squares = np.ascontiguousarray(squares)
        self._prints = dict(prints)
        self._lies: dict[str, _Lie | None] = {}
        self._known: dict[str, float] = {}

    def also(self, prints: Mapping[str, Sequence[Print]]) -> None:
        """Take the prints of more products."""
        self._prints |= prints

    def agree(self, product_id: str, /) -> int | None:
        """Return on how many keypoints the capture and the product's references agree, of the best pair of views.

        0 where fewer than 12 do; None where the product has no prints. 1 ms for each pair of views.
        """
        if not self._prints.get(product_id):
            return None
        if product_id not in self._lies:
            self._lies[product_id] = self._lie(self._prints[product_id])
        lie = self._lies[product_id]
        return 0 if lie is None else lie.pose.inliers

    def likeness(self, product_id: str, /) -> float | None:
        """Return how alike the capture is where that pair of views lies over each other: half of it, at least.

        0 .. 1; 0 where nothing lies over anything; None where the product has no prints. 20 to 40 ms.
        """
        if self.agree(product_id) is None:
            return None
        if product_id not in self._known:
            lie = self._lies[product_id]
            self._known[product_id] = 0.0 if lie is None else self._laid(lie, product_id)
        return self._known[product_id]

    @cached_property
    def _keypoints(self) -> list[Keypoints]:
        return [detect(square, most=CAPTURE_KEYPOINTS, side=SIDE) for square in self._squares]

    def _lie(self, prints: Sequence[Print]) -> _Lie | None:
        """Find the pair of views that most keypoints agree on."""
        best: _Lie | None = None
        for each in prints:
            reference = each.keypoints
            for view, seen in enumerate(self._keypoints):
                pairs = match(reference, seen)
                more = LEAST if best is None else best.pose.inliers + 1
                spots = reference.spots[pairs[:, 0]], seen.spots[pairs[:, 1]]
                pose = find_pose(*spots, extent=float(SIDE), least=more)
                if pose is not None:
                    best = _Lie(pose, view, each)
        return best

    def _laid(self, lie: _Lie, product_id: str) -> float:
        try:
            plate = lie.reference.plate()
        except ValueError as error:
            _log.error("a capture cannot be laid over a product", product_id=product_id, error=str(error))
            return 0.0
        windows = window_likeness(lay(self._squares[lie.view], plate, lie.pose.matrix), plate)
        return float(np.median(windows)) if len(windows) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Lie:
    """How a reference's view lies in one of the capture's views."""

    pose: Pose
    view: int
    reference: Print
