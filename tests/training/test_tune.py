"""A backbone goes on learning: torch reads its file as onnxruntime does, learns, and writes it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cli.main import app
from schemas.faults import Fatal
from tests.unit.photographs.conftest import MakeBackbone, MakePhotographs, fixture_backbone, fixture_photographs
from training import onnx_torch
from training import tune as tuning
from training.data.form import DataSet
from training.data.read import open_data_set
from training.onnx_torch import OnnxNetwork
from training.photographs.anatomy import Anatomy, Normalise, examine, opened

__all__ = ["fixture_backbone", "fixture_photographs"]

RNG = np.random.default_rng(4)
Node = tuple[str, tuple[Any, ...], dict[str, Any]]  # what it is, its further inputs, its attributes


def quiet(_stage: str, _done: int, _of: int) -> None:
    """Say nothing."""


def drawn(*shape: int) -> NDArray[np.float32]:
    """Return weights."""
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    """Return a shape or axes as files hold them."""
    return np.array(values, np.int64)


def chain(folder: Path, *nodes: Node) -> Path:
    """Write a backbone: a convolution of stride 16, these nodes one after the other, and a pooling."""
    steps: list[Node] = [("Conv", (drawn(6, 3, 16, 16),), {"strides": [16, 16]}), *nodes]
    made, constants, before = [], [], "pictures"
    for number, (kind, others, attributes) in enumerate(steps):
        names = []
        for place, other in enumerate(others):
            names.append("" if other is None else f"{kind}{number}-{place}")
            if other is not None:
                constants.append(numpy_helper.from_array(np.asarray(other), names[-1]))
        made.append(helper.make_node(kind, [before, *names], [f"t{number}"], **attributes))
        before = f"t{number}"
    made += [
        helper.make_node("GlobalAveragePool", [before], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["f"]),
    ]
    graph = helper.make_graph(
        made,
        "chain",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["N", 3, 64, 64])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [None, None])],
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = folder / "chain.onnx"
    onnx.save(model, str(path))
    return path


class TestReading:
    """What exporters write."""

    @pytest.mark.parametrize(
        "nodes",
        [
            [("Conv", (drawn(6, 1, 3, 3), drawn(6)), {"group": 6, "pads": [1, 0, 2, 1], "dilations": [1, 1]})],
            [("Conv", (drawn(4, 6, 3, 3),), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}), ("Relu", (), {})],
            [("Conv", (drawn(4, 6, 2, 2),), {"auto_pad": "SAME_LOWER"})],
            [("BatchNormalization", (drawn(6), drawn(6), drawn(6), abs(drawn(6))), {"epsilon": 1e-3})],
            [("MaxPool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
            [("AveragePool", (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})],
            [("AveragePool", (), {"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1})],
            [("Clip", (np.float32(0), np.float32(6)), {}), ("LeakyRelu", (), {"alpha": 0.2})],
            [("Clip", (None, np.float32(0.1)), {}), ("HardSwish", (), {}), ("HardSigmoid", (), {"alpha": 0.3})],
            [("Sigmoid", (), {}), ("Mul", (drawn(1, 6, 1, 1),), {}), ("Tanh", (), {}), ("Erf", (), {})],
            [("PRelu", (abs(drawn(6, 1, 1)),), {}), ("Identity", (), {}), ("Dropout", (), {})],
            [("Pad", (ints(0, 0, 1, 2, 0, 0, 0, 1), np.float32(0.5)), {}), ("Softmax", (), {"axis": 1})],
            [
                ("Transpose", (), {"perm": [0, 2, 3, 1]}),
                ("LayerNormalization", (drawn(6), drawn(6)), {"axis": -1}),
                ("MatMul", (drawn(6, 5),), {}),
                ("Add", (drawn(5),), {}),
                ("Transpose", (), {"perm": [0, 3, 1, 2]}),
            ],
            [
                ("ReduceMean", (), {"axes": [2, 3], "keepdims": 0}),
                ("Gemm", (drawn(5, 6), drawn(5)), {"transB": 1, "alpha": 0.5, "beta": 2.0}),
                ("Unsqueeze", (ints(2, 3),), {}),
            ],
            [
                ("Reshape", (ints(0, 6, -1),), {}),
                ("Unsqueeze", (ints(-1),), {}),
                ("Squeeze", (ints(3),), {}),
                ("Reshape", (ints(-1, 6, 4, 4),), {}),
            ],
            [
                ("Sub", (drawn(1, 6, 1, 1),), {}),
                ("Pow", (np.float32(2),), {}),
                ("Sqrt", (), {}),
                ("Div", (np.float32(3),), {}),
            ],
        ],
        ids=lambda nodes: "-".join(kind for kind, *_ in nodes),
    )
    def test_torch_answers_as_onnxruntime_does(self, nodes: list[Node], tmp_path: Path) -> None:
        """To a thousandth, and most of the weights may learn."""
        network = OnnxNetwork(examine(chain(tmp_path, *nodes), Normalise.UNIT))
        assert network.prove() <= 1e-3
        assert len(list(network.parameters())) >= 1

    def test_what_is_not_known_is_named(self, tmp_path: Path) -> None:
        """And what to do instead."""
        anatomy = examine(chain(tmp_path, ("LRN", (), {"size": 3})), Normalise.UNIT)
        with pytest.raises(Fatal, match=r"it holds LRN, .* leave out --fine-tune"):
            OnnxNetwork(anatomy)

    def test_a_misread_file_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wrong operation is found before anything is learnt."""
        anatomy = examine(chain(tmp_path, ("Relu", (), {})), Normalise.UNIT)
        monkeypatch.setitem(onnx_torch._OPERATIONS, "Relu", lambda given, _: given[0])
        with pytest.raises(Fatal, match="not understood"):
            OnnxNetwork(anatomy).prove()


class TestTuning:
    """Learning, and the file that comes out."""

    @pytest.fixture
    def data(self, photographs: MakePhotographs) -> DataSet:
        """Boxes, whole and torn."""
        return open_data_set(photographs(12))

    def tuned(self, data: DataSet, anatomy: Anatomy, folder: Path, *, steps: int = 12) -> bytes:
        """Tune and return the file."""
        return tuning.tune(anatomy, data, quiet, folder=folder, steps=steps, seed=3).path.read_bytes()

    def test_weights_move_and_the_file_is_the_same_backbone(
        self, data: DataSet, backbone: MakeBackbone, tmp_path: Path
    ) -> None:
        """Inputs, outputs and nodes stay; a head on its features loses less on what it learnt from."""
        anatomy = examine(backbone(), Normalise.UNIT)
        tuned = tuning.tune(anatomy, data, quiet, folder=tmp_path, steps=30, seed=3)
        before, after = (opened(each.path.read_bytes()) for each in (anatomy, tuned))
        assert before.get_inputs()[0].shape[1:] == after.get_inputs()[0].shape[1:]
        noise = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
        (moved,) = after.run([anatomy.pooled], {anatomy.input: noise})
        assert (1, anatomy.width) == tuned.pool(moved).shape
        weights = [
            {each.name: numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer}
            for path in (anatomy.path, tuned.path)
        ]
        assert {"w1", "w2"} == set(weights[1])
        assert all((weights[0][name] != weights[1][name]).any() for name in weights[1])

    def test_an_interrupted_run_ends_where_one_without_a_break_does(
        self, data: DataSet, backbone: MakeBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """To the last bit; and finished once, it is not done again."""
        anatomy = examine(backbone(), Normalise.UNIT)
        whole = self.tuned(data, anatomy, tmp_path / "whole")

        def until(stage: str, done: int, _of: int) -> None:
            if stage == "fine-tuning" and done == 8:
                raise KeyboardInterrupt

        monkeypatch.setattr(tuning, "KEEP_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            tuning.tune(anatomy, data, until, folder=tmp_path / "two", steps=12, seed=3)
        steps: list[int] = []
        ended = tuning.tune(
            anatomy,
            data,
            lambda stage, done, _: steps.append(done) if stage == "fine-tuning" else None,
            folder=tmp_path / "two",
            steps=12,
            seed=3,
        )
        assert [8, 9, 10, 11, 12] == steps
        assert whole == ended.path.read_bytes()
        assert [ended.path.name] == [each.name for each in (tmp_path / "two").iterdir()]
        assert whole == self.tuned(data, anatomy, tmp_path / "two")

    def test_the_command_measures_on_products_that_the_backbone_did_not_see(
        self, photographs: MakePhotographs, backbone: MakeBackbone, tmp_path: Path
    ) -> None:
        """Six in ten captures for the backbone, the rest for head and figures; the served file proves itself."""
        words = ("--data", photographs(30), "--backbone", backbone(), "--out", tmp_path / "m", "--rounds", 1)
        arguments = ["train", "classifier", *map(str, words), "--no-mirror", "--fine-tune", "--steps", "10"]
        result = CliRunner().invoke(app, arguments)
        assert 0 == result.exit_code, result.output
        card = json.loads((tmp_path / "m" / "card.json").read_text())
        assert (36, 24) == (card["tuned_on"], card["captures"])
        assert card["onnx_difference"] <= 1e-3
        assert "--fine-tune --steps 10" in card["made_by"]

    def test_too_few_to_learn_from_is_said(
        self, photographs: MakePhotographs, backbone: MakeBackbone, tmp_path: Path
    ) -> None:
        """Ten of each are the least."""
        anatomy = examine(backbone(), Normalise.UNIT)
        with pytest.raises(Fatal, match="10 damaged and 10 intact"):
            tuning.tune(anatomy, open_data_set(photographs(6)), quiet, folder=tmp_path, steps=2, seed=0)

    @pytest.mark.parametrize("column", [[], [("product",)]], ids=["too-few", "one-product"])
    def test_products_that_cannot_be_parted_are_said(
        self, photographs: MakePhotographs, backbone: MakeBackbone, tmp_path: Path, column: list[tuple[str]]
    ) -> None:
        """Too few captures for two shares, or all of one product."""
        folder = photographs(30 if column else 12)
        if column:
            lines = (folder / "manifest.csv").read_text().splitlines()
            text = "\n".join([f"{lines[0]},product_id", *(f"{line},one" for line in lines[1:])])
            (folder / "manifest.csv").write_text(text + "\n")
        words = ("--data", folder, "--backbone", backbone(), "--out", tmp_path / "m", "--fine-tune")
        result = CliRunner().invoke(app, ["train", "classifier", *map(str, words)])
        assert isinstance(result.exception, Fatal)
        assert "leave out --fine-tune" in str(result.exception)
        assert not (tmp_path / "m").exists()
