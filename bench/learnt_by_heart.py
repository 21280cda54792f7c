"""Does the classifier know damage, or the captures it learnt from? `python -m bench.learnt_by_heart`.

Three groups of captures, each taken intact and damaged: some that it learnt from, others of the same products, and
others of products it never saw. Where the second is as bad as the third it does not know artwork by heart; where both
are worse than the first it knows captures, and more of them would teach it more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from booth.catalogue import Split
from evidence.assemble import combine_views
from training.card import Card
from training.evaluation.booth_source import Booth, BoothShot
from training.evaluation.metrics import recall_with_doubt
from training.evaluation.models import Pair
from training.evaluation.source import prepare
from training.recipe import CARD, OWN, SIZES
from training.scores import auroc

NEVER_SEEN: Final = 21  # seed of the products that no network learns from
HEAD: Final = "| | captures | AUROC | recall at 1 % false positives | at 5 % |\n|---|---:|---:|---:|---:|"


@dataclass(frozen=True, slots=True)
class Group:
    """Captures of one world, by number: each is taken twice, intact and damaged."""

    name: str
    seed: int
    split: Split
    products: int
    first: int

    def shots(self, captures: int) -> Iterator[BoothShot]:
        """Return the orders for so many intact captures and as many damaged ones."""
        for rate in (0.0, 1.0):
            booth = Booth(
                self.seed, self.first + captures, self.products, split=self.split, damage_rate=rate, redesigned=0.0
            )
            yield from (shot for shot in booth.shots() if shot.number >= self.first)


def groups(card: Card) -> list[Group]:
    """Return what to compare, for models of the recipe."""
    learnt = next(each for each in card.worlds if each.split == "train")
    taken = next(scale.train[1] for scale in SIZES.values() if scale.train[0] == learnt.products)
    return [
        Group("captures it learnt from", learnt.seed, "train", learnt.products, 0),
        Group("others of the same products", learnt.seed, "train", learnt.products, taken),
        Group("others of products it never saw", NEVER_SEEN, "test", learnt.products, 0),
    ]


@cache
def models(repository: Path) -> Pair:
    """Open the models once a process."""
    cv2.setNumThreads(1)
    return Pair(repository)


def ask(repository: Path, shot: BoothShot) -> tuple[float, bool, str]:
    """Return the classifier's logit for a capture, whether it is damaged, and its product."""
    raw = shot.take()
    found = models(repository).score(prepare(raw.views, codes=False).pixels)
    logit = combine_views(found.damage, found.kinds, found.severity, found.heat).damage / 1e6
    return logit, bool(raw.label and raw.label.damaged), raw.product_id or ""


def line(name: str, scores: NDArray[np.float64], damaged: NDArray[np.bool_], product: NDArray[np.int64]) -> str:
    """Return a row of the table."""
    cells = [name, f"{len(scores):,}", f"{auroc(scores, damaged):.3f}"]
    for rate in (0.01, 0.05):
        recall = recall_with_doubt(scores, damaged, product, rate, prevalence=0.001)
        doubt = recall.over_products
        told = f"{recall.recall:.2f} ({doubt.low:.2f} to {doubt.high:.2f})"
        cells.append("too few to tell" if recall.refused else told)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Take, ask and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=1200, help="of each group, taken twice (%(default)s)")
    parser.add_argument("--models", type=Path, default=OWN.repository, help="Triton's model repository (%(default)s)")
    options = parser.parse_args()
    compared = groups(Card.load(options.models / CARD))
    if not 1 <= options.captures <= (most := compared[1].first):
        parser.error(f"--captures {options.captures}: from 1 to {most}, so many captures were learnt from")
    processes, table = max(2, len(os.sched_getaffinity(0))), []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for group in compared:
            shots = list(group.shots(options.captures))
            answers = pool.map(ask, [options.models] * len(shots), shots, chunksize=16)
            found = list(track(answers, group.name, total=len(shots), console=Console(stderr=True)))
            scores, damaged, product = (np.array(each) for each in zip(*found, strict=True))
            table.append(line(group.name, scores, damaged, np.unique(product, return_inverse=True)[1]))
    console = Console(width=200)
    console.print(HEAD, markup=False)
    for each in table:
        console.print(each, markup=False)


if __name__ == "__main__":
    main()
