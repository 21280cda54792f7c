"""Measure naming products among thousands: time for a photograph and the recall of the shortlist.

    python -m bench.identify_sizes DATA BACKBONE [--every 10]

Products beyond the references of DATA are made up: packshots of DATA with exchanged colours, mirrored, and put together
from halves of two, run through the backbone, up to 1,000 of them; beyond that of half the cells of one and half of
another. They borrow keypoints and plates from the packshot they were made of, so ranking them costs what it costs.
They are as alike as products of one shelf or more so: the recall is that of a hard gallery.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.identify_photos import opened, say
from evidence.frame import frame
from training.backbone import Backbone
from training.data.read import open_data_set
from training.lookup.gallery import packshots
from training.lookup.search import MATCHED, Comparison, glance
from training.lookup.shelf import Enrolled, enrol
from training.lookup.shortlist import KEPT, Shortlist

SIZES: Final = (31, 1_000, 10_000)
EMBEDDED: Final = 1_000
CELLS: Final = 84  # of a made-up product, as many as the packshots have on average


def made_up(shots: list[NDArray[np.uint8]], shelf: list[Enrolled], model: Backbone) -> Iterator[Enrolled]:
    """Yield products without end."""
    rng = np.random.default_rng(0)
    embedded: list[Enrolled] = []
    while len(embedded) < EMBEDDED:
        one, other = (int(each) for each in rng.integers(0, len(shots), 2))
        picture = shots[one][:, :, rng.permutation(3)]
        half = shots[other][:, :: int(rng.choice([-1, 1]))][:, :, rng.permutation(3)]
        cut = int(rng.uniform(0.3, 0.7) * len(picture))
        if rng.integers(2) and half.shape == picture.shape:
            picture = np.concatenate([picture[:cut], half[cut:]])
        if rng.integers(2):
            picture = picture[:, ::-1]
        cells = model.maps(frame(np.ascontiguousarray(picture), side=model.side)[None])[0]
        middle = cells[1:-1, 4:-4].reshape(-1, cells.shape[-1])
        embedded.append(replace(shelf[one], product_id=f"made-up-{len(embedded)}", cells=middle[:CELLS]))
        yield embedded[-1]
    while True:
        one, other = (int(each) for each in rng.integers(0, EMBEDDED, 2))
        mixed = np.concatenate([embedded[one].cells[::2], embedded[other].cells[1::2]])
        yield replace(embedded[one], product_id=f"mixed-{rng.integers(1 << 60)}", cells=mixed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--every", type=int, default=10, help="take every so many photographs")
    said = parser.parse_args()
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    cv2.setNumThreads(1)
    model = Backbone.open(said.backbone)
    pictures = [(shot.product_id, opened(shot.path)) for shot in packshots(said.data)]
    shelf = [enrol(name, picture, model) for name, picture in pictures]
    known = {each.product_id for each in shelf}
    samples = [each for each in open_data_set(said.data).samples if each.product_id in known][:: said.every]
    began = time.process_time()
    looks = [(sample.product_id, glance(opened(sample.images[0].path), model)) for sample in samples]
    say("taking a photograph in, ms of CPU", 1000 * (time.process_time() - began) / len(looks))
    more = made_up([picture for _, picture in pictures], shelf, model)
    for size in SIZES:
        shelf += [next(more) for _ in range(size - len(shelf))]
        began = time.process_time()
        shortlist = Shortlist([each.cells for each in shelf])
        say(f"{size} products: making the words, s of CPU", time.process_time() - began)
        held = matched = right = 0
        listing_s = ranking_s = 0.0
        for product, look in looks:
            began = time.process_time()
            places = shortlist.best(look.maps)
            listed = time.process_time()
            comparison = Comparison(look, shelf, model)
            found = comparison.rank(places)
            listing_s, ranking_s = listing_s + listed - began, ranking_s + time.process_time() - listed
            held += product in {shelf[place].product_id for place in places}
            best = sorted(places, key=comparison.patch, reverse=True)[:MATCHED]
            matched += product in {shelf[place].product_id for place in best}
            right += product in {find.product_id for find in found[:1]}
        say(f"{size} products: shortlist, ms of CPU", 1000 * listing_s / len(looks))
        say(f"{size} products: ranking it, ms of CPU", 1000 * ranking_s / len(looks))
        say(f"{size} products: the right one is in the shortlist of {KEPT}", held / len(looks))
        say(f"{size} products: ... among the {MATCHED} whose keypoints are matched", matched / len(looks))
        say(f"{size} products: top-1 (made-up ones share keypoints with real ones)", right / len(looks))


if __name__ == "__main__":
    main()
