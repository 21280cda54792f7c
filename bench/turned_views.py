"""What the classifier finds where a camera stands otherwise than the booth's: `python -m bench.turned_views`.

The same captures, each view mirrored, turned, nearer or farther before it is asked about. Damage stays damage, so what
is lost here was read from the way packages stand.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench.learnt_by_heart import HEAD, NEVER_SEEN, line, models
from evidence.assemble import combine_views
from evidence.frame import SIDE
from training.evaluation.booth_source import Booth, BoothShot
from training.evaluation.source import prepare
from training.recipe import OWN

MOVES: Final = {  # name: mirrored, degrees turned, times as large
    "as they are": (False, 0.0, 1.0),
    "mirrored": (True, 0.0, 1.0),
    "turned by 5 degrees": (False, 5.0, 1.0),
    "turned by 10 degrees": (False, 10.0, 1.0),
    "turned by 20 degrees": (False, 20.0, 1.0),
    "upside down": (False, 180.0, 1.0),
    "0.9 times as large": (False, 0.0, 0.9),
    "1.1 times as large": (False, 0.0, 1.1),
}


def moved(view: NDArray[np.uint8], *, mirrored: bool, degrees: float, size: float) -> NDArray[np.uint8]:
    """Return uint8[224, 224, 5] of a camera that stands otherwise; what comes in has no depth."""
    if mirrored:
        view = np.ascontiguousarray(view[:, ::-1])
    if (degrees, size) == (0.0, 1.0):
        return view
    middle = (SIDE - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), degrees, size)
    colours = cv2.warpAffine(view[..., :3], turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    depth = cv2.warpAffine(np.ascontiguousarray(view[..., 3:]), turn, (SIDE, SIDE), flags=cv2.INTER_NEAREST)
    return np.concatenate([colours, depth], axis=-1).astype(np.uint8)


def ask(repository: Path, shot: BoothShot) -> tuple[list[float], bool, str]:
    """Return the classifier's logit for a capture after each move, whether it is damaged, and its product."""
    raw = shot.take()
    pixels = prepare(raw.views, codes=False).pixels
    logits = []
    for mirrored, degrees, size in MOVES.values():
        views = np.stack([moved(view, mirrored=mirrored, degrees=degrees, size=size) for view in pixels])
        found = models(repository).score(views)
        logits.append(combine_views(found.damage, found.kinds, found.severity, found.heat).damage / 1e6)
    return logits, bool(raw.label and raw.label.damaged), raw.product_id or ""


def main() -> None:
    """Take, ask and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=2000, help="of products that it never saw (%(default)s)")
    parser.add_argument("--models", type=Path, default=OWN.repository, help="Triton's model repository (%(default)s)")
    options = parser.parse_args()
    if options.captures < 1:
        parser.error(f"--captures {options.captures}: at least 1")
    shots = Booth(NEVER_SEEN, options.captures, 500).shots()
    processes = max(2, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        answers = pool.map(ask, [options.models] * len(shots), shots, chunksize=16)
        found = list(track(answers, "captures", total=len(shots), console=Console(stderr=True)))
    logits, damaged, product = (np.array(each) for each in zip(*found, strict=True))
    numbers = np.unique(product, return_inverse=True)[1]
    console = Console(width=200)
    console.print(HEAD, markup=False)
    for name, scores in zip(MOVES, logits.T, strict=True):
        console.print(line(name, scores, damaged, numbers), markup=False)


if __name__ == "__main__":
    main()
