"""What these tests share: a backbone and three products."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.unit.lookup.goods import backbone, carton, packshot
from training.backbone import Backbone
from training.lookup.shelf import Enrolled, enrol


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backbone's file."""
    return backbone(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture(scope="session")
def eye(toy: Path) -> Backbone:
    """The backbone, opened."""
    return Backbone.open(toy)


@pytest.fixture(scope="session")
def shelf(eye: Backbone) -> list[Enrolled]:
    """Six products, a packshot each."""
    return [enrol(f"P-{number}", packshot(carton(number)), eye) for number in range(6)]
