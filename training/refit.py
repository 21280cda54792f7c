"""From models and captures that they did not learn from to `fusion.json`: fit on some products, measure on others.

Both go the line's own way (`training.evaluation.trial`). The first trial runs with a makeshift calibration, which
changes nothing of what its rows keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from evidence.calibration import Calibration
from evidence.triton import CLASSIFIER, EMBEDDING
from training.data.form import DataSet
from training.data.read import open_data_set
from training.data.split import split_by_product
from training.evaluation.booth_source import Booth
from training.evaluation.disk_source import Disk
from training.evaluation.figures import Figures, figures
from training.evaluation.fitting import fitted, makeshift
from training.evaluation.for_card import card_figures, vetted_negatives
from training.evaluation.rows import About, Row, read
from training.evaluation.source import Source
from training.evaluation.trial import run

FITTING: Final = 1000  # added to the seed of the products that the fusion is fitted on
FIT: Final = (500, 1600)  # products and captures of the booth to fit on: limits of identification are for so many
EXAM: Final = (80, 1600)  # ... to measure on
DAMAGE_RATE: Final = 0.3
SHARES: Final = {"fit": 0.6, "measure": 0.4}  # of a data set's products
LOOKS_OF: Final = 400  # captures whose looks are tried on choices of every size, where they are only measured
LEAST: Final = 30  # captures of a slice

Timed = Callable[[str], AbstractContextManager[object]]
Say = Callable[[str, int, int], None]


def exam(size: tuple[int, int], seed: int) -> Source:
    """Return captures of the booth's products that no network learns from."""
    products, captures = size
    return Booth(seed, captures, products=products, split="test", site_style="mixed", damage_rate=DAMAGE_RATE)


def refit(
    models: Path, *, data: Path | None, seed: int, say: Say = lambda _stage, _done, _all: None
) -> dict[str, float]:
    """Fit the fusion of a repository's models on a data set, or on the booth, and write `fusion.json`.

    Raises:
        Fatal: the data set has too few captures, products or references.
    """
    if data is None:
        sources = [exam(FIT, seed + FITTING), exam(EXAM, seed)]
    else:
        parts: dict[str, DataSet] = split_by_product(open_data_set(data), SHARES, seed)
        sources = [Disk(parts[name], None) for name in SHARES]
    return card_figures(fit_and_measure(models, *sources, say=say))


def fit_and_measure(
    models: Path,
    fitting: Source,
    measuring: Source,
    *,
    processes: int = 2,
    timed: Timed = lambda _stage: nullcontext(),
    say: Say = lambda _stage, _done, _all: None,
) -> Figures:
    """Fit on one source, measure on another, write `fusion.json` beside the models and return the figures.

    Raises:
        Fatal: too few captures, products or references.
    """
    with TemporaryDirectory(prefix="sideline-fusion-") as folder:
        scratch = Path(folder)
        for model in (CLASSIFIER, EMBEDDING):
            (scratch / model).symlink_to((models / model).resolve(), target_is_directory=True)
        with timed("calibrate"):
            makeshift().save(scratch / "fusion.json")
            _, rows = _trial(fitting, scratch, scratch / "fit", processes, likeness=True, say=say)
            calibration = fitted(rows)
            calibration.save(scratch / "fusion.json")
        with timed("measure"):
            about, rows = _trial(measuring, scratch, scratch / "measure", processes, likeness=False, say=say)
            save(msgspec.structs.replace(calibration, negatives=vetted_negatives(rows)), models)
            return figures(about, rows, prevalence=0.001, least=LEAST)


def save(calibration: Calibration, repository: Path) -> Path:
    """Write the calibration beside the models, named by its content and theirs.

    Decisions record that name. Triton takes folders for models, not files.
    """
    content = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(calibration, version="")))
    for model in (CLASSIFIER, EMBEDDING):
        content.update((repository / model / "1" / "model.onnx").read_bytes())
    path = repository / "fusion.json"
    msgspec.structs.replace(calibration, version=f"fusion-{content.hexdigest()[:12]}").save(path)
    return path


def _trial(
    source: Source, models: Path, out: Path, processes: int, *, likeness: bool, say: Say
) -> tuple[About, list[Row]]:
    path = run(
        source,
        models,
        out,
        processes=processes,
        looks_of=len(source.shots()) if likeness else LOOKS_OF,
        likeness=likeness,
        say=lambda progress: say(progress.stage, progress.done, progress.of),
    )
    return read(path)
