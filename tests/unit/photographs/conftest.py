"""Drawn photographs of boxes, whole and torn, and tiny backbones with random weights."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH = 16  # features of the tiny backbone
MakeBackbone = Callable[..., Path]
MakePhotographs = Callable[..., Path]


def box(rng: np.random.Generator, *, torn: bool) -> NDArray[np.uint8]:
    """Draw a box on a table, uint8[120, 160, 3]; a torn one has black gashes."""
    picture = np.full((120, 160, 3), int(rng.integers(150, 220)), np.uint8)
    left, top = int(rng.integers(20, 50)), int(rng.integers(15, 35))
    cv2.rectangle(picture, (left, top), (left + 80, top + 60), [int(each) for each in rng.integers(90, 170, 3)], -1)
    for _ in range(6 if torn else 0):
        start = left + int(rng.integers(0, 70)), top + int(rng.integers(0, 50))
        cv2.line(picture, start, (start[0] + int(rng.integers(-18, 18)), start[1] + 18), (5, 5, 5), 3)
    noise = rng.normal(0, 3, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(name="photographs", scope="module")
def fixture_photographs(tmp_path_factory: pytest.TempPathFactory) -> MakePhotographs:
    """Return a function that draws `count` photographs of each class with a manifest into a new folder."""

    def draw(count: int = 16, *, seed: int = 0) -> Path:
        folder = tmp_path_factory.mktemp("photos")
        rng = np.random.default_rng(seed)
        rows = []
        for number in range(2 * count):
            torn = number % 2 == 0
            cv2.imwrite(str(folder / f"{number}.png"), box(rng, torn=torn))
            rows.append((f"{number}.png", "damaged" if torn else "intact"))
        with (folder / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
        return folder

    return draw


@pytest.fixture(name="backbone", scope="module")
def fixture_backbone(tmp_path_factory: pytest.TempPathFactory) -> MakeBackbone:
    """Return a function that writes a convolutional network of random weights.

    `ends` is what it gives out: `logits` (pooled inside), `embedding` (named, too), `map`, or `tokens` [N, T, D].
    """

    def write(
        *,
        ends: str = "logits",
        last: bool = False,
        side: int | str = 224,
        batch: int | str = "N",
        classes: int = 10,
        opset: int = 17,
    ) -> Path:
        rng = np.random.default_rng(1)
        weights = {
            "w1": rng.normal(0, 0.2, (8, 3, 7, 7)),
            "w2": rng.normal(0, 0.2, (WIDTH, 8, 3, 3)),
            "w3": rng.normal(0, 0.2, (WIDTH, classes)),
        }
        nodes = [helper.make_node("Transpose", ["pictures"], ["planes"], perm=[0, 3, 1, 2])] if last else []
        nodes += [
            helper.make_node("Conv", ["planes" if last else "pictures", "w1"], ["c1"], strides=[8, 8], pads=[3] * 4),
            helper.make_node("Relu", ["c1"], ["r1"]),
            helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1] * 4),
            helper.make_node("Relu", ["c2"], ["cells"]),
        ]
        if ends in {"logits", "embedding"}:
            nodes += [
                helper.make_node("GlobalAveragePool", ["cells"], ["mean"]),
                helper.make_node("Flatten", ["mean"], ["embedding" if ends == "embedding" else "vector"]),
                helper.make_node("MatMul", ["embedding" if ends == "embedding" else "vector", "w3"], ["logits"]),
            ]
        if ends == "tokens":
            weights["shape"] = np.array([0, WIDTH, -1])
            nodes += [
                helper.make_node("Reshape", ["cells", "shape"], ["rows"]),
                helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
            ]
        shape = [batch, side, side, 3] if last else [batch, 3, side, side]
        names = {"map": ["cells"], "tokens": ["tokens"], "embedding": ["logits", "embedding"]}.get(ends, ["logits"])
        ranks = {"logits": 2, "embedding": 2, "cells": 4, "tokens": 3}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * ranks[name]) for name in names],
            initializer=[
                numpy_helper.from_array(values.astype(np.int64 if name == "shape" else np.float32), name)
                for name, values in weights.items()
                if name in {"w1", "w2"} | ({"w3"} if ranks[names[0]] == 2 else {"shape"} & set(weights))
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        path = tmp_path_factory.mktemp("backbone") / f"{ends}-{last}-{side}-{batch}-{classes}.onnx"
        onnx.save(model, str(path))
        return path

    return write
