"""Ask a classifier's file about pictures, as the line would: each picture a capture of one view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.assemble import ClassifierEvidence, combine_views
from evidence.frame import CHANNELS, SIDE
from evidence.triton import CLASSIFIER
from schemas.faults import Fatal
from training.photographs.prints import Print, PrintShop, Unreadable, read_bytes
from training.runtime import session
from training.triton_config import OUTPUTS

_CHUNK: Final = 32  # pictures in hand at a time


class Scorer:
    """A classifier's file, opened in this process; `path` is a model repository, a model's folder or the file.

    Raises:
        Fatal: there is no such model, or it honours another contract.
    """

    def __init__(self, path: Path) -> None:
        self.file = _file(path)
        try:
            self._session = session(self.file)
        except Exception as error:  # onnxruntime raises many types, none of them public
            raise Fatal(f"{self.file} does not open: {str(error)[:200]}") from error
        self._names = list(OUTPUTS[CLASSIFIER])
        inputs = {each.name: each.shape[1:] for each in self._session.get_inputs()}
        outputs = {each.name for each in self._session.get_outputs()}
        if inputs != {"IMAGES": [SIDE, SIDE, CHANNELS]} or not set(self._names) <= outputs:
            raise Fatal(
                f"{self.file} is no damage_classifier of this version: it takes {inputs} where IMAGES "
                f"[{SIDE}, {SIDE}, {CHANNELS}] is meant. Train it anew: sideline train classifier"
            )

    def score(self, pixels: NDArray[np.uint8]) -> ClassifierEvidence:
        """Say what a capture of V views shows, uint8[V, SIDE, SIDE, CHANNELS].

        Raises:
            Fatal: the model answers with numbers that are none.
        """
        answers = self._session.run(self._names, {"IMAGES": pixels})
        if not all(np.isfinite(each).all() for each in answers):
            raise Fatal(f"{self.file} answers with numbers that are not finite: do not serve it, train it anew")
        damage, kinds, severity, heat = answers
        return combine_views(damage[:, 0], kinds, severity[:, 0], heat)


def score_pictures(scorer: Scorer, paths: Sequence[Path]) -> Iterator[ClassifierEvidence | Unreadable]:
    """Yield what each picture shows, in order; a picture that cannot be read says why instead."""
    with PrintShop() as shop:
        for start in range(0, len(paths), _CHUNK):
            raws = [read_bytes(path) for path in paths[start : start + _CHUNK]]
            prints = iter(shop.make([raw for raw in raws if isinstance(raw, bytes)]))
            for raw in raws:
                made = next(prints) if isinstance(raw, bytes) else raw
                yield scorer.score(made.pixels) if isinstance(made, Print) else made


def _file(path: Path) -> Path:
    for candidate in (path, path / "1" / "model.onnx", path / CLASSIFIER / "1" / "model.onnx"):
        if candidate.is_file():
            return candidate
    raise Fatal(
        f"{path} holds no {CLASSIFIER}/1/model.onnx: name what `sideline train classifier --out` wrote, "
        "or leave --model out for the shipped one"
    )
