"""The exported models in this process, answering as `evidence.triton.Models` does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CLASSIFIER, EMBEDDING, Embeddings, Scores
from schemas.faults import Fatal
from training.runtime import session
from training.triton_config import OUTPUTS


class Pair:
    """Both models of a repository, each on one thread."""

    def __init__(self, repository: Path) -> None:
        """Open them.

        Raises:
            Fatal: one is not there, or is of another version of this software.
        """
        self._classifier, self._embedding = (_opened(repository, model) for model in (CLASSIFIER, EMBEDDING))

    def score(self, pixels: NDArray[np.uint8]) -> Scores:
        """Classify uint8[N, side, side, channels]."""
        damage, kinds, severity, heat = self._classifier.run(list(OUTPUTS[CLASSIFIER]), {"IMAGES": pixels})
        return Scores(damage[:, 0], kinds, severity[:, 0], heat, f"{CLASSIFIER}:1")

    def embed(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """Embed uint8[N, side, side, channels]."""
        vectors, patches = self._embedding.run(list(OUTPUTS[EMBEDDING]), {"IMAGES": pixels})
        return Embeddings(vectors, patches, f"{EMBEDDING}:1")


def _opened(repository: Path, model: str) -> InferenceSession:
    """Open a model whose input and outputs are those that the line asks for.

    Raises:
        Fatal: it is not there, or it is of another version of this software.
    """
    path = file_of(repository, model)
    opened = session(path)
    wanted = {"IMAGES": (SIDE, SIDE, CHANNELS), **OUTPUTS[model]}
    found = {each.name: tuple(each.shape[1:]) for each in (*opened.get_inputs(), *opened.get_outputs())}
    for name, shape in wanted.items():
        there = found.get(name)
        if there is None or len(there) != len(shape) or any(map(_differ, there, shape)):
            raise Fatal(
                f"{path} has {name} of shape {there}, this software needs {shape}: make the models of this version: "
                "make models"
            )
    return opened


def _differ(there: int | str | None, wanted: int) -> bool:
    """Tell whether a side is of another length; one that is only named in the file may be of any."""
    return isinstance(there, int) and there != wanted


def file_of(repository: Path, model: str) -> Path:
    """Return the file of a model.

    Raises:
        Fatal: it is not there.
    """
    path = repository / model / "1" / "model.onnx"
    if not path.is_file():
        raise Fatal(f"{path} is missing: name a model repository with --models, or make one: make models")
    return path


def digests(repository: Path) -> dict[str, str]:
    """Return the SHA-256 of each model's file. Raises as `file_of` does."""
    names = (CLASSIFIER, EMBEDDING)
    return {name: hashlib.sha256(file_of(repository, name).read_bytes()).hexdigest() for name in names}
