"""Networks and recipe where torch is at hand (the `training` dependency group); skipped elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the training group only: make models installs it")

from evidence.calibration import Calibration  # noqa: E402 - only where torch is
from evidence.triton import CLASSIFIER, EMBEDDING  # noqa: E402
from schemas.faults import Fatal  # noqa: E402
from training.album import Album, Order, album  # noqa: E402
from training.export import export  # noqa: E402
from training.learn import Budget, learn  # noqa: E402
from training.networks import Pair  # noqa: E402
from training.recipe import Places, Scale, bake  # noqa: E402
from training.runtime import session  # noqa: E402
from training.triton_config import OUTPUTS  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures() -> Album:
    """A few pictures of a few products."""
    return album(Order(seed=5, split="train", products=4, captures=24, twins=True), cache=None, processes=1)


class TestExport:
    """What Triton gets."""

    @pytest.mark.parametrize(("place", "name"), [(0, CLASSIFIER), (1, EMBEDDING)])
    def test_the_file_answers_as_the_contract_says(self, place: int, name: str, tmp_path: Path) -> None:
        """Any number of views, every output with its shape and type; vectors of unit length."""
        network = Pair().eval().served()[place]
        assert export(network, name, repository=tmp_path, profiles=None, probes=PIXELS) <= 1e-3
        opened = session(tmp_path / name / "1" / "model.onnx")
        for count in (1, 3):
            answers = opened.run(list(OUTPUTS[name]), {"IMAGES": PIXELS[:count]})
            assert [(count, *shape) for shape in OUTPUTS[name].values()] == [answer.shape for answer in answers]
            assert all(answer.dtype == np.float32 for answer in answers)
            if name == EMBEDDING:
                assert all(np.allclose(1, np.linalg.norm(answer, axis=-1), atol=1e-5) for answer in answers)

    def test_a_network_that_answers_otherwise_than_its_file_is_refused(self, tmp_path: Path) -> None:
        """A network left in training mode draws its dropout anew: the difference is found."""
        network = Pair().served()[0].train()
        with pytest.raises(Fatal, match="differs from its network"):
            export(network, CLASSIFIER, repository=tmp_path, profiles=None, probes=PIXELS)


class TestLearn:
    """Learning is repeatable and goes the right way."""

    def test_the_same_seed_gives_the_same_weights(self, pictures: Album) -> None:
        """Two runs of a few steps end bit by bit alike, another seed elsewhere."""
        budget = Budget(steps=2, products=3, limit_s=600)
        first, again, other = (learn(pictures, budget, seed=seed, threads=1).pair for seed in (1, 1, 2))
        weights = [pair.classifier.damage.weight for pair in (first, again, other)]
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_a_short_time_limit_ends_it(self, pictures: Album) -> None:
        """The limit is kept to within a step, however many steps were asked for."""
        lesson = learn(pictures, Budget(steps=10**6, products=3, limit_s=2), seed=1)
        assert 1 <= lesson.steps < 10**6
        assert lesson.seconds < 30


@pytest.mark.slow
class TestRecipe:
    """The whole recipe, tiny."""

    def test_it_bakes_a_servable_repository(self, tmp_path: Path) -> None:
        """Models, configurations, calibration and card are there and belong together."""
        scale = Scale(train=(12, 80), test=(8, 120), budget=Budget(steps=6, products=6, limit_s=60))
        places = Places(tmp_path / "models", tmp_path / "gpu", None, tmp_path / "cache")
        card = bake(scale, places, seed=3, made_by="a test")
        calibration = Calibration.load(places.repository / "fusion.json")
        calibration.check(classifier=f"{CLASSIFIER}:1", embedding=f"{EMBEDDING}:1")
        assert card.sha256 == json.loads((places.repository / "card.json").read_text())["sha256"]
        for name in (CLASSIFIER, EMBEDDING):
            assert (places.repository / name / "1" / "model.onnx").exists()
            assert f'name: "{name}"' in (tmp_path / "gpu" / name / "config.pbtxt").read_text()
        assert {"classifier_auroc", "fused_auroc_by_code", "identity_top1_patches"} <= card.figures.keys()
