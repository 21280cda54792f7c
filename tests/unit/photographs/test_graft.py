"""A backbone, whatever its layout, and a head become one file that answers as its parts do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CELLS, CLASSIFIER
from schemas.faults import Fatal
from training.graft import ANSWERS, TOLERANCE, Head, features_of, graft, in_parts, write
from training.photographs.anatomy import Anatomy, Normalise, examine, opened
from training.triton_config import OUTPUTS

MakeBackbone = Callable[..., Path]
KINDS_OF_FILES = [
    {"ends": "logits"},
    {"ends": "embedding"},
    {"ends": "map"},
    {"ends": "tokens"},
    {"ends": "logits", "last": True},
    {"ends": "logits", "side": 96},
    {"ends": "map", "side": "S"},
    {"ends": "logits", "batch": 1},
    {"ends": "embedding", "opset": 11},
]


def pictures(count: int = 3) -> NDArray[np.uint8]:
    """Return noise on a slope of light, uint8[count, SIDE, SIDE, CHANNELS]."""
    rng = np.random.default_rng(5)
    slope = np.linspace(0, 120, SIDE)[None, None, :, None]
    return (slope + rng.integers(0, 120, (count, SIDE, SIDE, CHANNELS))).astype(np.uint8)


def head_for(anatomy: Anatomy) -> Head:
    """Return a head of random weights."""
    rng = np.random.default_rng(2)
    return Head(
        rng.normal(0, 4, (anatomy.width, ANSWERS)).astype(np.float32), rng.normal(0, 1, ANSWERS).astype(np.float32)
    )


class TestGraft:
    """`graft` and `write`."""

    @pytest.mark.parametrize("flip", [True, False])
    @pytest.mark.parametrize("kind", KINDS_OF_FILES, ids=str)
    def test_the_file_answers_as_its_parts(
        self, backbone: MakeBackbone, tmp_path: Path, kind: dict[str, object], *, flip: bool
    ) -> None:
        """Preprocessing, backbone, pooling, head and heat in one file give what the parts give one by one."""
        anatomy = examine(backbone(**kind))
        head = head_for(anatomy)
        difference = write(
            graft(anatomy, head, flip=flip), anatomy, head, pictures(), flip=flip, repository=tmp_path / "models"
        )
        assert difference <= TOLERANCE
        assert (tmp_path / "models" / CLASSIFIER / "1" / "model.onnx").is_file()
        assert "IMAGES" in (tmp_path / "models" / CLASSIFIER / "config.pbtxt").read_text()

    def test_it_honours_the_contract(self, backbone: MakeBackbone) -> None:
        """Names, shapes and types are those that Triton is told and the line asks for, for any number of views."""
        anatomy = examine(backbone())
        file = graft(anatomy, head_for(anatomy), flip=True)
        onnx.checker.check_model(onnx.load_from_string(file), full_check=True)
        model = opened(file)
        for count in (1, 8):
            answers = model.run(list(OUTPUTS[CLASSIFIER]), {"IMAGES": pictures(count)})
            shapes = [(count, *shape) for shape in OUTPUTS[CLASSIFIER].values()]
            assert shapes == [answer.shape for answer in answers]
            assert {np.dtype(np.float32)} == {answer.dtype for answer in answers}

    @pytest.mark.parametrize("flip", [True, False])
    def test_heat_is_damage_spread_over_the_view(self, backbone: MakeBackbone, *, flip: bool) -> None:
        """The cells' mean is the damage logit, so what a cell shows is its own share of it."""
        anatomy = examine(backbone())
        model = opened(graft(anatomy, head_for(anatomy), flip=flip))
        damage, heat = model.run(["DAMAGE", "HEAT"], {"IMAGES": pictures()})
        np.testing.assert_allclose(damage[:, 0], heat.mean(axis=(1, 2)), atol=1e-4)

    def test_a_mark_is_hot_where_it_lies(self, backbone: MakeBackbone) -> None:
        """With a head that likes what a dark mark looks like, the hottest cell lies on the mark."""
        anatomy = examine(backbone())
        plain = np.full((1, SIDE, SIDE, CHANNELS), 128, np.uint8)
        marked = plain.copy()
        marked[:, 32:64, 160:192] = np.random.default_rng(0).integers(0, 255, (32, 32, CHANNELS), np.uint8)
        look = opened(graft(anatomy, None, flip=True))
        likes = (features_of(look, marked) - features_of(look, plain))[0]
        weights = np.zeros((anatomy.width, ANSWERS), np.float32)
        weights[:, 0] = likes / np.linalg.norm(likes)
        model = opened(graft(anatomy, Head(weights, np.zeros(ANSWERS, np.float32)), flip=True))
        (heat,) = model.run(["HEAT"], {"IMAGES": marked})
        row, column = divmod(int(heat[0].argmax()), CELLS)
        assert 32 - 16 <= (row + 0.5) * SIDE / CELLS <= 64 + 16
        assert 160 - 16 <= (column + 0.5) * SIDE / CELLS <= 192 + 16

    def test_without_places_heat_is_the_same_everywhere(self, backbone: MakeBackbone) -> None:
        """Where no map leads to the features, the file says no place rather than a wrong one."""
        anatomy = dataclasses.replace(examine(backbone(ends="tokens")), map=None)
        damage, heat = opened(graft(anatomy, head_for(anatomy), flip=False)).run(
            ["DAMAGE", "HEAT"], {"IMAGES": pictures(2)}
        )
        assert np.array_equal(np.broadcast_to(damage[:, :, None], heat.shape), heat)

    def test_tokens_of_a_map_have_places(self, backbone: MakeBackbone) -> None:
        """The map in front of tokens is found by its mean, whatever lies between."""
        assert "cells" == examine(backbone(ends="tokens")).map

    def test_mirrored_pictures_score_alike(self, backbone: MakeBackbone) -> None:
        """Averaged over both, a picture and its mirror image have the same features; without, they have not."""
        anatomy = examine(backbone())
        image = pictures(1)
        for flip, alike in ((True, True), (False, False)):
            look = opened(graft(anatomy, None, flip=flip))
            turned = np.ascontiguousarray(image[:, :, ::-1])
            assert alike == np.allclose(features_of(look, image), features_of(look, turned), atol=1e-5)

    def test_depth_does_not_matter(self, backbone: MakeBackbone) -> None:
        """Channels behind the colours are left out, as such backbones know none."""
        anatomy = examine(backbone())
        look = opened(graft(anatomy, None, flip=False))
        image = pictures(1)
        flat = image.copy()
        flat[..., 3:] = 0
        assert np.array_equal(features_of(look, image), features_of(look, flat))

    def test_a_file_that_differs_from_its_parts_is_not_written(self, backbone: MakeBackbone, tmp_path: Path) -> None:
        """A model grafted with another head than the one it is compared with is refused."""
        anatomy = examine(backbone())
        head = head_for(anatomy)
        other = Head(head.weights * 2, head.bias)
        with pytest.raises(Fatal, match="differs from its parts"):
            write(graft(anatomy, other, flip=True), anatomy, head, pictures(), flip=True, repository=tmp_path / "no")
        assert not (tmp_path / "no").exists()

    def test_the_parts_know_severity_and_kinds(self, backbone: MakeBackbone) -> None:
        """What the file is compared with has the contract's shapes itself."""
        anatomy = examine(backbone())
        answers = in_parts(anatomy, head_for(anatomy), pictures(2), flip=True)
        assert [(2, *shape) for shape in OUTPUTS[CLASSIFIER].values()] == [answer.shape for answer in answers]


class TestExamine:
    """`examine`."""

    @pytest.mark.parametrize(
        ("kind", "normalise"),
        [
            ({}, Normalise.IMAGENET),
            ({"classes": 1001}, Normalise.SYMMETRIC),
            ({"last": True}, Normalise.SYMMETRIC),
        ],
        ids=str,
    )
    def test_guesses_the_normalisation_by_its_rule(
        self, backbone: MakeBackbone, kind: dict[str, object], normalise: Normalise
    ) -> None:
        """TensorFlow's signs mean -1 .. 1, nothing means ImageNet's numbers, and the sentence says why."""
        anatomy = examine(backbone(**kind))
        assert normalise == anatomy.normalise
        assert "guessed" in anatomy.sentence()

    def test_takes_what_it_is_told(self, backbone: MakeBackbone) -> None:
        """An option outweighs the rule."""
        assert Normalise.UNIT == examine(backbone(), Normalise.UNIT).normalise

    def test_prefers_what_was_pooled_to_logits(self, backbone: MakeBackbone) -> None:
        """Features are what the last layer reads, not the classes of another task; the map is found with them."""
        anatomy = examine(backbone())
        assert ("mean", "cells", True) == (anatomy.pooled, anatomy.map, anatomy.inner)

    def test_names_what_cannot_be_used(self, tmp_path: Path) -> None:
        """Bytes that are no model end in a sentence, not in a traceback."""
        (tmp_path / "no.onnx").write_bytes(b"\x08\x07 not a model")
        with pytest.raises(Fatal, match=r"no\.onnx"):
            examine(tmp_path / "no.onnx")
