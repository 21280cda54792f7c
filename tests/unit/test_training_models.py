"""The models as committed: complete, small, described as they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from evidence.calibration import Calibration
from evidence.triton import CLASSIFIER, EMBEDDING
from training.triton_config import configuration

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "triton_models"
MODELS = [CLASSIFIER, EMBEDDING]


@pytest.mark.parametrize("name", MODELS)
class TestModel:
    """One folder of Triton's repository."""

    def test_both_profiles_are_what_the_recipe_writes(self, name: str) -> None:
        """Nobody edits a config.pbtxt by hand and forgets the recipe, or the other profile."""
        assert configuration(name, gpu=False) == (REPOSITORY / name / "config.pbtxt").read_text()
        assert configuration(name, gpu=True) == (ROOT / "deploy/triton/gpu" / name / "config.pbtxt").read_text()

    def test_the_card_is_of_this_file(self, name: str) -> None:
        """Figures are those of the very weights beside them, which are small."""
        content = (REPOSITORY / name / "1" / "model.onnx").read_bytes()
        card = json.loads((REPOSITORY / "card.json").read_text())
        assert card["sha256"][name] == hashlib.sha256(content).hexdigest()
        assert len(content) <= 10_000_000  # what each may have
        assert card["onnx_difference"][name] <= 1e-3


class TestRelease:
    """The models together."""

    def test_the_calibration_is_of_these_models(self) -> None:
        """It names the versions that Triton reports, and its own name is made from the weights and itself."""
        calibration = Calibration.load(REPOSITORY / "fusion.json")
        calibration.check(classifier=f"{CLASSIFIER}:1", embedding=f"{EMBEDDING}:1")
        content = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(calibration, version="")))
        for name in MODELS:
            content.update((REPOSITORY / name / "1" / "model.onnx").read_bytes())
        assert f"fusion-{content.hexdigest()[:12]}" == calibration.version
        assert len(calibration.negatives) >= 299

    def test_only_models_are_folders(self) -> None:
        """Triton takes every folder of its repository for a model."""
        assert sorted(MODELS) == sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir())

    def test_they_are_trained(self) -> None:
        """The card states figures that no random network reaches."""
        figures = json.loads((REPOSITORY / "card.json").read_text())["figures"]
        assert figures["alone_auroc"] > 0.75
        assert figures["by_code_auroc"] > figures["alone_auroc"]
        assert figures["looks_among_80_top1"] > 0.9

    def test_the_page_shows_the_card(self) -> None:
        """docs/models.md has the figures of the card."""
        figures = json.loads((REPOSITORY / "card.json").read_text())["figures"]
        assert f"| by code auroc | {figures['by_code_auroc']:.3f} |" in (ROOT / "docs/models.md").read_text()
