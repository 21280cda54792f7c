"""Backbones as embeddings: what the file expects is found, what comes out has unit length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schemas.faults import Fatal
from tests.unit.lookup.goods import backbone, carton
from training.backbone import Backbone, unit
from training.photographs.anatomy import Normalise

IMAGES = np.stack([np.resize(carton(number), (224, 224, 3)) for number in range(3)])


class TestBackbone:
    """An opened file."""

    def test_maps_and_pooled_vectors_have_unit_length(self, eye: Backbone) -> None:
        """float32[N, D], and two square maps, one with twice the cells a side."""
        seen = eye.see(IMAGES)

        assert seen.fine is not None
        assert [(3, 16), (3, 14, 14, 16), (3, 28, 28, 12)] == [
            each.shape for each in (seen.pooled, seen.coarse, seen.fine)
        ]
        for each in (seen.pooled, seen.coarse, seen.fine):
            assert np.linalg.norm(each, axis=-1) == pytest.approx(1, abs=1e-4)

    def test_one_at_a_time_or_together_is_the_same(self, eye: Backbone) -> None:
        """Batches change nothing."""
        together = eye.maps(IMAGES)

        assert eye.maps(IMAGES[1:2])[0] == pytest.approx(together[1], abs=1e-5)
        assert eye.pooled(IMAGES[1:2])[0] == pytest.approx(eye.pooled(IMAGES)[1], abs=1e-5)

    def test_channels_last_see_the_same(self, toy: Path, tmp_path: Path) -> None:
        """The layout is read off the input."""
        last = Backbone.open(backbone(tmp_path / "last.onnx", last=True), normalise=Normalise.UNIT)

        assert last.maps(IMAGES) == pytest.approx(Backbone.open(toy, normalise=Normalise.UNIT).maps(IMAGES), abs=1e-5)

    def test_a_file_for_one_picture_takes_many(self, toy: Path, tmp_path: Path) -> None:
        """It is asked about one after the other."""
        single = Backbone.open(backbone(tmp_path / "single.onnx", batch=1), normalise=Normalise.UNIT)

        assert single.maps(IMAGES) == pytest.approx(Backbone.open(toy, normalise=Normalise.UNIT).maps(IMAGES), abs=1e-5)

    def test_maps_inside_the_file_are_found(self, tmp_path: Path) -> None:
        """Though the file gives out others only."""
        hidden = Backbone.open(backbone(tmp_path / "hidden.onnx", fine=False))

        assert hidden.fine
        assert hidden.see(IMAGES).fine is not None

    def test_the_side_is_the_files(self, tmp_path: Path) -> None:
        """Another input size has another grid."""
        small = Backbone.open(backbone(tmp_path / "small.onnx", side=160))

        assert (160, (1, 10, 10, 16)) == (small.side, small.maps(IMAGES[:1, :160, :160]).shape)

    def test_what_is_no_model_is_refused(self, tmp_path: Path) -> None:
        """With the file's name."""
        (tmp_path / "no.onnx").write_bytes(b"no")

        with pytest.raises(Fatal, match=r"no\.onnx"):
            Backbone.open(tmp_path / "no.onnx")


class TestUnit:
    """Scaling to unit length."""

    def test_zeros_stay_zeros(self) -> None:
        """A vector without length has no direction."""
        assert [[0, 0], [0.6, 0.8]] == pytest.approx(unit(np.array([[0, 0], [3, 4]], np.float32)))
