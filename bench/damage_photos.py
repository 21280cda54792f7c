"""What a head on frozen features is worth by what it is averaged over, and what each choice costs a view.

    python -m bench.damage_photos DATA BACKBONE.onnx [--rounds 10] [--seeds 3]

One row a choice: picture alone or with its mirror image, under each normalisation of pixels. AUROC is the mean over
rounds of five folds, everything chosen inside the folds, for several seeds; the time is CPU milliseconds of one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.data.read import open_data_set
from training.graft import features_of, graft
from training.photographs.anatomy import Normalise, examine, opened
from training.photographs.exam import examine as sit_exam
from training.photographs.prints import Print, PrintShop, read_bytes
from training.photographs.rows import gather


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--rounds", type=int, default=10, help="of five folds (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of the folds (%(default)s)")
    options = parser.parse_args()
    console = Console(width=140)
    samples = open_data_set(options.data).samples
    raws = {
        image.path: raw
        for sample in samples
        for image in sample.images
        if isinstance(raw := read_bytes(image.path), bytes)
    }
    with PrintShop() as shop:
        made = dict(zip(raws, shop.make(list(raws.values())), strict=True))
    table = Table("pixels", "averaged over", "AUROC of folds, by seed", "lowest fold", "calibration error", "ms a view")
    guessed = examine(options.backbone)
    console.print(guessed.sentence(), markup=False)
    for normalise in Normalise:
        anatomy = examine(options.backbone, normalise)
        for flip in (False, True):
            model = opened(graft(anatomy, None, flip=flip))
            began = time.process_time()
            features = {
                path: features_of(model, each.pixels)[0] for path, each in made.items() if isinstance(each, Print)
            }
            view_ms = (time.process_time() - began) * 1000 / len(features)
            rows = gather(samples, features)
            sheets = [
                sit_exam(
                    rows.features, rows.damaged, rows.captures, rows.groups, seed=100 * seed, rounds=options.rounds
                )
                for seed in range(options.seeds)
            ]
            found = [sheet.figures() for sheet in sheets]
            table.add_row(
                f"{normalise}{' (guessed)' if normalise is guessed.normalise else ''}",
                "picture and mirror image" if flip else "picture",
                ", ".join(f"{each['fold_auroc_mean']:.4f}" for each in found),
                f"{min(each['fold_auroc_lowest'] for each in found):.3f}",
                f"{max(each['expected_calibration_error'] for each in found):.3f}",
                f"{view_ms:.1f}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
