"""How well a classifier's file tells damaged views from intact ones: a first look, before `training.evaluation`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from evidence.triton import CLASSIFIER
from training.album import Album
from training.evaluation.models import file_of
from training.runtime import session
from training.scores import auroc, average_precision, recall_at

_BATCH: Final = 32


def view_figures(album: Album, repository: Path) -> dict[str, float]:
    """Return figures of the classifier of a repository, each view for itself, references included."""
    opened = session(file_of(repository, CLASSIFIER))
    batches = (np.ascontiguousarray(album.pixels[at : at + _BATCH]) for at in range(0, len(album), _BATCH))
    scores = np.concatenate([opened.run(["DAMAGE"], {"IMAGES": batch})[0][:, 0] for batch in batches]).astype(float)
    found = {
        "views": float(len(album)),
        "damaged": float(album.damaged.sum()),
        "auroc": auroc(scores, album.damaged),
        "average_precision": average_precision(scores, album.damaged),
        "recall_at_1_percent_fpr": recall_at(scores, album.damaged, 0.01) if (~album.damaged).any() else math.nan,
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}
