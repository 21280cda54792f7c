"""Networks, learning and the whole recipe, tiny. These tests run where torch is: `make training` makes that place."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from evidence.calibration import Calibration
from evidence.frame import CHANNELS, SIDE
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.faults import Fatal
from training.album import Album, Order, album
from training.course import Point
from training.export import export
from training.learn import Budget, Lesson, learn
from training.measure import view_figures
from training.networks import Pair
from training.recipe import SIZES, Places, Scale, bake
from training.runtime import session
from training.triton_config import OUTPUTS

PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, CHANNELS), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures() -> Album:
    """A few pictures of a few products."""
    return album(Order(seed=5, split="train", products=4, captures=24, twins=True), cache=None, processes=1)


class TestExport:
    """What Triton gets."""

    @pytest.mark.parametrize("width", sorted({size.width for size in SIZES.values()}))
    @pytest.mark.parametrize(("place", "name"), [(0, CLASSIFIER), (1, EMBEDDING)])
    def test_the_file_answers_as_the_contract_says(self, place: int, name: str, width: float, tmp_path: Path) -> None:
        """Any number of views, every output with its shape and type; vectors of unit length; small at any width."""
        network = Pair(width).eval().served()[place]
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

    def test_a_lesson_that_was_cut_short_goes_on(self, pictures: Album, tmp_path: Path) -> None:
        """From its checkpoint it ends where an uninterrupted one ends, bit for bit."""
        budget = Budget(steps=4, products=3, limit_s=10**6)

        class Cut(Exception):
            """Power is lost."""

        def cut(point: Point) -> None:
            if point.step == 2:
                raise Cut

        whole = learn(pictures, budget, seed=1, threads=1)
        path = tmp_path / "lesson.pt"
        with pytest.raises(Cut):
            learn(pictures, budget, seed=1, threads=1, checkpoint=path, say=cut, keep_every_s=0)
        other = dataclasses.replace(budget, limit_s=10**7)  # how long it may take is no part of what it is
        again = learn(pictures, other, seed=1, threads=1, checkpoint=path)
        assert [1, 2, 3, 4] == [point.step for point in again.course]
        assert all(torch.equal(left, right) for left, right in zip(*map(weights_of, (whole, again)), strict=True))

    def test_a_lesson_that_is_over_stays_so(self, pictures: Album, tmp_path: Path) -> None:
        """Asked again with more time, as where pictures are in the cache by now, it learns nothing more."""
        path = tmp_path / "lesson.pt"
        first, again = (
            learn(pictures, Budget(steps=10**6, products=3, limit_s=limit_s), seed=1, checkpoint=path)
            for limit_s in (2, 600)
        )
        assert first.steps <= again.steps <= first.steps + 1  # one, if it ended within the last instant
        assert again.seconds < 30

    def test_a_checkpoint_of_another_lesson_is_left_alone(self, pictures: Album, tmp_path: Path) -> None:
        """Another seed begins anew, and so do wider networks."""
        path = tmp_path / "lesson.pt"
        budget = Budget(steps=2, products=3)
        learn(pictures, budget, seed=1, threads=1, checkpoint=path)
        other = learn(pictures, budget, seed=2, threads=1, checkpoint=path)
        wider = learn(pictures, budget, seed=2, width=1.25, threads=1, checkpoint=path)
        assert [1, 2] == [point.step for point in other.course] == [point.step for point in wider.course]

    def test_one_head_can_learn_alone(self, pictures: Album) -> None:
        """The other's weights stay as they were drawn."""
        fresh, taught = Pair(), learn(pictures, Budget(steps=2, products=3), seed=1, heads=("embedding",), threads=1)
        assert ["identity", "comparison"] == list(taught.course[-1].losses)
        assert taught.pair.classifier.map.bias.allclose(fresh.classifier.map.bias)

    def test_moved_views_are_another_lesson(self, pictures: Album, tmp_path: Path) -> None:
        """As repeatable as any, and one that was begun with views as they come is not gone on with."""
        path, budget = tmp_path / "lesson.pt", Budget(steps=2, products=3)
        plain = learn(pictures, budget, seed=1, threads=1, checkpoint=path)
        budget = dataclasses.replace(budget, moved=True)
        moved = learn(pictures, budget, seed=1, threads=1, checkpoint=path)
        again = learn(pictures, budget, seed=1, threads=1)
        assert [1, 2] == [point.step for point in moved.course]
        assert moved.course[0].losses != plain.course[0].losses
        assert all(torch.equal(left, right) for left, right in zip(*map(weights_of, (moved, again)), strict=True))

    def test_an_embedding_cannot_be_learnt_without_families(self, pictures: Album) -> None:
        """It says what is missing."""
        lonely = dataclasses.replace(pictures, reference=np.zeros(len(pictures), bool))
        with pytest.raises(Fatal, match="2 references"):
            learn(lonely, Budget(steps=1), seed=1, heads=("embedding",))


class TestRecipe:
    """The whole recipe, tiny."""

    def test_loss_and_figures_move(self, tmp_path: Path) -> None:
        """In ninety steps all losses fall, and what was learnt is told apart better than by a network of chance."""
        lessons = album(Order(seed=5, split="train", products=6, captures=36, twins=True), cache=None)
        lesson = learn(lessons, Budget(steps=90, products=4, limit_s=250), seed=1)
        first, last = lesson.course[0].losses, lesson.course[-1].losses
        assert last["damage"] < 0.9 * first["damage"]
        assert last["identity"] < 0.95 * first["identity"]
        assert last["comparison"] < 0.9 * first["comparison"]
        found = []
        for name, pair in (("chance", Pair().eval()), ("taught", lesson.pair)):
            export(pair.served()[0], CLASSIFIER, repository=tmp_path / name, profiles=None, probes=PIXELS)
            found.append(view_figures(lessons, tmp_path / name)["auroc"])
        assert found[1] > max(0.6, found[0] + 0.05)

    @pytest.mark.parametrize(
        ("rendering_s", "learning_s"),
        [(0.0, 1440), (600.0, 1440), (1000.0, 2700 - 2000), (3000.0, 60)],
        ids=["cached", "fast", "slow", "too slow"],
    )
    def test_a_slow_machine_learns_for_less_long(self, rendering_s: float, learning_s: float) -> None:
        """`small` takes 45 minutes in all, where that leaves a minute to learn; who has no limit keeps none."""
        assert learning_s == pytest.approx(SIZES["small"].learning(rendering_s).limit_s)
        assert SIZES["small"].budget.steps == SIZES["small"].learning(rendering_s).steps
        assert math.isinf(SIZES["large"].learning(rendering_s).limit_s)

    def test_it_bakes_a_servable_repository(self, tmp_path: Path) -> None:
        """Models, configurations, calibration and card are there and belong together."""
        scale = Scale(train=(6, 20), fit=(6, 100), test=(6, 100), budget=Budget(steps=4, products=4, limit_s=60))
        places = Places(tmp_path / "models", tmp_path / "gpu", None, tmp_path / "cache")
        card = bake(scale, places, seed=3, made_by="a test")
        calibration = Calibration.load(places.repository / "fusion.json")
        calibration.check(classifier=f"{CLASSIFIER}:1", embedding=f"{EMBEDDING}:1")
        assert card.sha256 == json.loads((places.repository / "card.json").read_text())["sha256"]
        for name in (CLASSIFIER, EMBEDDING):
            assert (places.repository / name / "1" / "model.onnx").exists()
            assert f'name: "{name}"' in (tmp_path / "gpu" / name / "config.pbtxt").read_text()
        assert {"alone_auroc", "by_code_auroc", "by_image_ece"} <= card.figures.keys()


def weights_of(lesson: Lesson) -> list[torch.Tensor]:
    """Return all weights of a lesson's pair."""
    return list(lesson.pair.state_dict().values())
