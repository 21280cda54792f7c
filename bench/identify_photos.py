"""Measure naming products in photographs: top-1, strangers refused, and the limits that ship.

    python -m bench.identify_photos DATA BACKBONE [--processes 2] [--every 1]

DATA has one reference a product and photographs labelled with their product. Strangers are made by taking products out
of the gallery: 8 drawn at random, 20 times (siblings of one brand stay in), and whole brands, 20 times. A brand is what
comes before the first hyphen of a name. Everything is ranked by the command's own code on the smaller gallery.

FAR is the share of photographs of left-out products with any accepted answer, DIR the share of the others whose right
product comes first and is accepted. The limit at which FAR is 1 % is read off each draw; the shipped limits are tried
as they are, and a limit for each size of choice is read off the draws of that size.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.decode import decode
from training.backbone import Backbone
from training.data.read import open_data_set
from training.lookup.answer import answer, limit
from training.lookup.gallery import Packshot, packshots
from training.lookup.search import Comparison, glance
from training.lookup.shelf import Enrolled, enrol

DRAWS: Final = 20
LEFT_OUT: Final = 8
FAR: Final = 0.01
SIZES: Final = (1, 3, 10, 23)


@dataclass(frozen=True, slots=True)
class Trial:
    """One photograph against one choice of products: the first product, its score, siblings named, accepted."""

    first: int
    score: float
    siblings: int
    accepted: bool


_bench: list[tuple[Backbone, list[Enrolled], list[NDArray[np.intp]]]] = []


def begin(backbone: Path, shots: Sequence[Packshot], choices: Sequence[NDArray[np.intp]]) -> None:
    """Enrol the gallery in this process."""
    cv2.setNumThreads(1)
    model = Backbone.open(backbone)
    shelf = [enrol(shot.product_id, opened(shot.path), model) for shot in shots]
    _bench[:] = [(model, shelf, list(choices))]


def opened(path: Path) -> NDArray[np.uint8]:
    """Decode a picture."""
    return decode(path.read_bytes(), long_side=1024)[0]


def tried(path: Path) -> tuple[list[Trial], float, tuple[str, ...]]:
    """Rank one photograph among all products, then in each choice; say how long the first took and its five."""
    model, shelf, choices = _bench[0]
    names = [each.product_id for each in shelf]
    rgb = opened(path)
    began = time.process_time()
    comparison = Comparison(glance(rgb, model), shelf, model)
    whole = comparison.rank()
    took_ms = 1000 * (time.process_time() - began)
    trials = []
    for places in choices:
        found = answer(comparison.rank(places.tolist()), products=len(places))
        first = found.finds[0]
        trials.append(Trial(names.index(first.product_id), first.score, len(found.siblings), found.accepted))
    return trials, took_ms, tuple(find.product_id for find in whole[:5])


def drawn(names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield choices of products: without 8, without whole brands (up to 9 products), and smaller ones."""
    everything = np.arange(len(names))
    brands = np.array([name.split("-", maxsplit=1)[0] for name in names])
    for seed in range(DRAWS):
        yield "siblings", np.setdiff1d(everything, np.random.default_rng(seed).choice(len(names), LEFT_OUT, False))
    for seed in range(DRAWS):
        out: list[int] = []
        for brand in np.random.default_rng(seed).permutation(np.unique(brands)):
            own = np.flatnonzero(brands == brand).tolist()
            out += own if len(out) + len(own) <= LEFT_OUT + 1 and len(out) < LEFT_OUT else []
        yield "brands", np.setdiff1d(everything, out)
    for size in SIZES:
        for seed in range(DRAWS):
            yield f"size {size}", np.random.default_rng([size, seed]).choice(len(names), size, False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="take every so many photographs")
    parser.add_argument("--skip", type=int, default=0, help="leave so many out before the first")
    parser.add_argument("--keep", type=Path, help="write the trials here (npz)")
    said = parser.parse_args()
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    shots = packshots(said.data)
    names = [shot.product_id for shot in shots]
    photographs = [
        (sample.images[0].path, names.index(sample.product_id))
        for sample in open_data_set(said.data).samples
        if sample.product_id in names
    ][said.skip :: said.every]
    choices = list(drawn(names))
    with ProcessPoolExecutor(
        said.processes,
        mp_context=get_context("spawn"),
        initializer=begin,
        initargs=(said.backbone, shots, [places for _, places in choices]),
    ) as pool:
        results = list(pool.map(tried, [path for path, _ in photographs], chunksize=4))
    own = np.array([number for _, number in photographs])
    first = np.array([[trial.first for trial in trials] for trials, _, _ in results])
    score = np.array([[trial.score for trial in trials] for trials, _, _ in results])
    siblings = np.array([[trial.siblings for trial in trials] for trials, _, _ in results])
    fives = [five for _, _, five in results]
    if said.keep:
        kinds = np.array([kind for kind, _ in choices])
        inside = np.array([np.isin(np.arange(len(names)), places) for _, places in choices])
        np.savez(
            said.keep, own=own, first=first, score=score, siblings=siblings, kinds=kinds, inside=inside, fives=fives
        )
    right = np.array([[names[number] == name for name in five] for number, five in zip(own, fives, strict=True)])
    say("photographs", len(own))
    say("top-1", right[:, 0].mean())
    say("top-5", right.any(axis=1).mean())
    say("CPU for a photograph among all, ms", float(np.mean([took for _, took, _ in results])))
    report(own, first, score, choices)


def report(
    own: NDArray[np.intp],
    first: NDArray[np.intp],
    score: NDArray[np.float64],
    choices: Sequence[tuple[str, NDArray[np.intp]]],
) -> None:
    """Print rates by kind of choice."""
    for kind in dict.fromkeys(kind for kind, _ in choices):
        rates, shipped, far = [], [], []
        for column, (each, places) in enumerate(choices):
            if each != kind:
                continue
            known = np.isin(own, places)
            strangers = np.sort(score[~known, column])[::-1]
            at = strangers[int(FAR * len(strangers))]
            right = known & (first[:, column] == own)
            rates.append((right & (score[:, column] > at)).sum() / known.sum())
            believed = score[:, column] >= limit(len(places))
            shipped.append((right & believed).sum() / known.sum())
            far.append(believed[~known].mean())
        say(f"{kind}: DIR at FAR 1 %, mean of the draws", float(np.mean(rates)))
        say(f"{kind}: its deviation from draw to draw", float(np.std(rates)))
        columns = np.flatnonzero([each == kind for each, _ in choices])
        inside = np.array([np.isin(own, choices[column][1]) for column in columns.tolist()]).T
        everyone = np.ones(len(own), np.bool_)
        say(f"{kind}: limit at FAR 1 %, all draws together", pooled_limit(score[:, columns], inside, everyone))
        far_elsewhere, dir_elsewhere = elsewhere(own, first[:, columns], score[:, columns], inside)
        say(f"{kind}: FAR at the limit fitted on half of the products, on the other half", far_elsewhere)
        say(f"{kind}: DIR there", dir_elsewhere)
        say(f"{kind}: DIR at the shipped limit", float(np.mean(shipped)))
        say(f"{kind}: FAR at the shipped limit", float(np.mean(far)))


def pooled_limit(score: NDArray[np.float64], inside: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float:
    """Return the limit at FAR 1 % of some photographs over all columns; `inside` says whose product can be chosen."""
    strangers = np.sort(score[rows][~inside[rows]])[::-1]
    return float(strangers[int(FAR * len(strangers))])


def elsewhere(
    own: NDArray[np.intp], first: NDArray[np.intp], score: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[float, float]:
    """Fit the limit on photographs of half of the products, return FAR and DIR of the others; the mean of 20 splits."""
    rates = []
    for seed in range(DRAWS):
        half = np.random.default_rng(seed).permutation(own.max() + 1)[: own.max() // 2]
        fitted = np.isin(own, half)
        at = pooled_limit(score, inside, fitted)
        believed, known = score[~fitted] > at, inside[~fitted]
        right = first[~fitted] == own[~fitted][:, None]
        rates.append((believed[~known].mean(), (believed & right & known).sum() / known.sum()))
    far, found = np.mean(rates, axis=0)
    return float(far), float(found)


def say(what: str, value: float) -> None:
    """Print one measured value."""
    print(f"{value:10.3f}  {what}", flush=True)  # noqa: T201 - printing is the point


if __name__ == "__main__":
    main()
