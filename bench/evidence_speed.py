"""Measure what each step of comparing pictures costs, in CPU time of one core.

    OPENBLAS_NUM_THREADS=1 python -m bench.evidence_speed

Patch maps are drawn at the gallery's size (three views, 14 x 14 cells of 48 numbers), the reference a noisy copy of the
capture, so that all views align. Pictures are drawn cartons, 350 pixels high.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import CELLS, PATCH_SIZE, Patches, compare, patch_similarity, quantise
from evidence.frame import frame
from evidence.geometry import find_pose
from evidence.ground import unit_mask
from evidence.identity import Shortlisted, rank
from evidence.keypoints import detect, match
from evidence.overlay import lay, plate_of, window_likeness
from evidence.prints import Overlay, Print, Squares, print_of

VIEWS = 3
TIMES = 50


def drawn(seed: int, *, noise: float = 0.0) -> Patches:
    """Draw float32[3, 196, 48] of unit length."""
    cells = np.random.default_rng(1).normal(size=(VIEWS, CELLS, PATCH_SIZE))
    cells += noise * np.random.default_rng(seed).normal(size=cells.shape)
    unit: Patches = (cells / np.linalg.norm(cells, axis=2, keepdims=True)).astype(np.float32)
    return unit


def carton() -> NDArray[np.uint8]:
    """Draw uint8[350, 350, 3]: print on a plain ground."""
    rng = np.random.default_rng(2)
    picture = np.full((350, 350, 3), 235, np.uint8)
    picture[20:330, 90:260] = 180
    for number in range(80):
        x, y = int(rng.integers(95, 235)), int(rng.integers(30, 320))
        colour = [int(each) for each in rng.integers(0, 256, 3)]
        cv2.putText(picture, f"{number * 7919 % 1000}", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2, cv2.LINE_AA)
    return picture


def timed(what: str, step: Callable[[], object], *, times: int = TIMES) -> None:
    """Print the median of so many runs."""
    step()
    took = []
    for _ in range(times):
        began = time.process_time()
        step()
        took.append(time.process_time() - began)
    print(f"{1000 * float(np.median(took)):8.2f}  {what}", flush=True)  # noqa: T201 - printing is the point


def main() -> None:
    """Measure and print, milliseconds."""
    cv2.setNumThreads(1)
    query, stored = drawn(3, noise=0.4), quantise(drawn(4, noise=0.4))
    timed("compare with one reference of three views", lambda: compare(query, [("R", stored)]))
    timed("compare with four of them", lambda: compare(query, [(f"R{number}", stored) for number in range(4)]))
    timed("patch similarity with one", lambda: patch_similarity(query, stored))
    shortlist = [Shortlisted(f"P{number}", 0.5, (stored,) * 3) for number in range(8)]
    timed("rank eight products of three", lambda: rank(query, shortlist), times=10)
    picture = carton()
    mask = unit_mask(picture)
    reference, seen = detect(picture, most=400, side=500, mask=mask), detect(picture, most=700, side=700)
    pairs = match(reference, seen)
    spots = reference.spots[pairs[:, 0]], seen.spots[pairs[:, 1]]
    plate, pose = plate_of(picture, mask), find_pose(*spots, extent=350.0)
    timed("find the unit", lambda: unit_mask(picture), times=10)
    timed("700 keypoints at 700 pixels", lambda: detect(picture, most=700, side=700), times=10)
    timed("400 keypoints at 448 pixels", lambda: detect(picture, most=400, side=448), times=10)
    timed("match 400 keypoints with 700", lambda: match(reference, seen))
    timed("cut a reference to its unit and choose windows", lambda: plate_of(picture, mask), times=10)
    timed("find the pose", lambda: find_pose(*spots, extent=350.0))
    if pose is not None:
        laid = lay(picture, plate, pose.matrix)
        timed("lay over", lambda: lay(picture, plate, pose.matrix), times=10)
        timed("compare windows", lambda: window_likeness(laid, plate), times=10)
    square = frame(picture)
    printed, other = print_of(square), print_of(square[::-1])
    squares = square[None]
    timed("print of a reference's view", lambda: print_of(square), times=10)
    timed("up to 400 keypoints at 224 pixels", lambda: detect(square, most=400, side=224), times=10)
    timed("... and lay one view over a product of four, unlike", lambda: laid_over(squares, (other,) * 4), times=10)
    timed("... and lay one view over a product of four, alike", lambda: laid_over(squares, (printed,) * 4), times=10)


def laid_over(squares: Squares, prints: tuple[Print, ...]) -> float | None:
    """Lay a capture over one product."""
    return Overlay(squares, {"P": prints}).likeness("P")


if __name__ == "__main__":
    main()
