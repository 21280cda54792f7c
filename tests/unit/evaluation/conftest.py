"""Models and captures small enough for tests, made once."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from evidence.triton import CLASSIFIER, EMBEDDING
from tests.unit.evaluation.toys import calibration, classifier, drawn_set, embedding
from training.data.form import DataSet


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository whose classifier sees red and whose embedding sees blocks of colour."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in ((CLASSIFIER, classifier()), (EMBEDDING, embedding())):
        place = folder / name / "1"
        place.mkdir(parents=True)
        onnx.save(model, place / "model.onnx")
    calibration().save(folder / "fusion.json")
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """36 captures of 6 products with a reference each: every third is damaged, every other product has a decoy."""
    return drawn_set(tmp_path_factory.mktemp("drawn"))
