"""How long data sets take to open and to check, and how much memory.

    python -m bench.dataset_reading [--rows 20000] [--pictures 2000]

Makes a manifest and a Kaputt tree of that many rows (files of one byte: no reader opens them), and a folder of so many
pictures for the check. Each is read in a process of its own. A hundred thousand rows are three times as many files: on
a slow disk making and deleting them takes minutes, reading them does not.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console

from training.data import open_data_set
from training.data.check import check
from training.data.form import Sample
from training.data.split import split_by_product

_SIDE = 480


def main() -> None:
    """Make the sets, read them, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    options = parser.parse_args()
    say = Console(width=120).print
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _manifest(root / "manifest", options.rows)
        _kaputt(root / "kaputt", options.rows)
        _pictures(root / "pictures", options.pictures)
        for what, work, name in (
            ("open a manifest", _open, "manifest"),
            ("open a Kaputt tree", _open, "kaputt"),
            ("open and split it", _split, "kaputt"),
            ("check", _check, "pictures"),
            ("check --deep", _check_deep, "pictures"),
        ):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                count, seconds, mib = process.submit(_measured, work, root / name).result()
            say(f"{what:<20} {count:>8,} samples  {seconds:6.2f} s CPU  {mib:5.0f} MiB more than before")


def _measured(work: Callable[[Path], Sequence[Sample]], path: Path) -> tuple[int, float, float]:
    """Return samples, seconds of CPU, and by how many MiB the process grew."""
    cv2.setNumThreads(1)
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    data = work(path)  # kept until its memory is measured
    seconds = time.process_time() - began
    return len(data), seconds, (psutil.Process().memory_info().rss - before) / (1 << 20)


def _open(path: Path) -> tuple[Sample, ...]:
    return open_data_set(path).samples


def _split(path: Path) -> list[Sample]:
    parts = split_by_product(open_data_set(path), {"train": 0.85, "validation": 0.05, "test": 0.1}, 1)
    return [sample for part in parts.values() for sample in part.samples]


def _check(path: Path) -> tuple[Sample, ...]:
    data = open_data_set(path)
    check(data)
    return data.samples


def _check_deep(path: Path) -> tuple[Sample, ...]:
    data = open_data_set(path)
    check(data, deep=True)
    return data.samples


def _put(path: Path, data: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _manifest(root: Path, rows: int) -> None:
    root.mkdir()
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "product_id", "kinds", "severity", "split", "material"))
        for number in range(rows):
            path = f"img/{number // 1000:03d}/{number:06d}.jpg"
            _put(root / path)
            truth = ("damaged", "deformation", "minor") if number % 3 == 0 else ("intact", "", "")
            split = "test" if number % 30 < 3 else "train"  # noqa: PLR2004 - a tenth of the products, three rows each
            table.writerow((path, truth[0], f"p{number // 3}", truth[1], truth[2], split, "cardboard"))


def _kaputt(root: Path, rows: int) -> None:
    queries, references = [], []
    for number in range(rows):
        name = f"data/train/query-data/image/{number:06d}.jpg"
        mask = name.replace("image", "mask").replace("jpg", "png")
        _put(root / "query-image" / name)
        _put(root / "query-mask" / mask)
        hurt = number % 3 == 0
        queries.append(
            {
                "capture_id": f"{number:06d}", "item_identifier": f"p{number // 3}", "item_material": "cardboard",
                "defect": hurt, "major_defect": False, "defect_types": "deformation,spillage" if hurt else None,
                "query_image": name, "query_mask": mask,
            }
        )  # fmt: skip
        if number % 3 == 0:
            reference = name.replace("query", "reference")
            _put(root / "reference-image" / reference)
            references.append({"item_identifier": f"p{number // 3}", "reference_image": reference})
    (root / "datasets").mkdir()
    parquet.write_table(pa.Table.from_pylist(queries), root / "datasets" / "query-train.parquet")
    parquet.write_table(pa.Table.from_pylist(references), root / "datasets" / "reference-train.parquet")


def _pictures(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 255, (40, 40, 3), np.uint8)
        picture = cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        name = f"{'damaged' if number % 3 == 0 else 'intact'}/{number:06d}.jpg"
        _put(root / name, bytes(cv2.imencode(".jpg", picture)[1].tobytes()))


if __name__ == "__main__":
    main()
