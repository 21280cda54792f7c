"""Models and captures small enough for tests: red is damage, and what a picture shows is its blocks of colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evidence.calibration import Calibration, Densities, Gallery, Line
from evidence.discrepancy import PATCH_SIZE
from evidence.discrepancy import SIDE as CELLS
from evidence.frame import CHANNELS, SIDE
from evidence.identity_limits import IdentityLimits, ImageTier
from evidence.triton import CLASSIFIER, EMBEDDING
from gallery.entry import VECTOR_SIZE
from schemas.words import KINDS, MICRO, DamageKind, Severity
from training.data.form import DataSet, Image, Label, Pristine, Sample

PRODUCTS = 6
CAPTURES = 36


def calibration() -> Calibration:
    """Return a calibration that believes in looks a little."""
    densities = Densities(origin=0, step=200_000, damaged=[1, 2, 4], intact=[4, 2, 1], other=[2, 2, 2])
    gallery = Gallery(line=Line(slope=MICRO, intercept=0), weight=300_000, densities=densities)
    tier = ImageTier(products=MICRO, margin_weight=500_000, score=900_000, right=950_000)
    return Calibration(
        version="fusion-of-a-test",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
        prior=-6_900_000,
        alone=Line(slope=MICRO, intercept=0),
        by_code=gallery,
        by_image=gallery,
        weight_cap=500_000,
        clip=4 * MICRO,
        limits=IdentityLimits(tiers=(tier,)),
    )


def drawn_set(root: Path) -> DataSet:
    """36 captures of 6 products with a reference each: every third is damaged, every other product has a decoy."""
    references, samples = [], []
    for product in range(PRODUCTS):
        path = root / f"reference-{product}.png"
        cv2.imwrite(str(path), painted(product, noise=0))
        references.append(Pristine(f"r-{product}", f"p-{product}", (Image(path),), split="test"))
    for number in range(CAPTURES):
        product, damaged = number % PRODUCTS, number % 3 == 0
        picture = painted(product, noise=number + 1)
        if damaged:
            cv2.circle(picture, (60 + 3 * number, 90), 24, (0, 0, 250), -1)
        path = root / f"capture-{number}.png"
        cv2.imwrite(str(path), picture)
        label = (
            Label(True, frozenset({DamageKind.PENETRATION}), Severity.MAJOR if number % 2 else Severity.MINOR)
            if damaged
            else Label(False)
        )
        facts = {"material": "paper" if product % 3 else "cardboard", "decoy": "crack" if product % 2 else "none"}
        samples.append(Sample(f"c-{number}", (Image(path),), label, f"p-{product}", "test", facts))
    return DataSet("drawn", root, tuple(samples), tuple(references))


def painted(product: int, *, noise: int) -> NDArray[np.uint8]:
    """Paint a product: blocks of blue and green, uint8[240, 320, 3]; odd ones carry a printed red spot."""
    rng = np.random.default_rng(product)
    blocks = rng.integers(30, 220, (5, 6, 3), np.uint8)
    blocks[..., 2] = 40
    picture = cv2.resize(blocks, (320, 240), interpolation=cv2.INTER_NEAREST)
    if product % 2:
        cv2.circle(picture, (250, 180), 14, (30, 30, 160), -1)
    shaken = picture + np.random.default_rng([noise, 1]).normal(0, 2, picture.shape)
    return np.asarray(np.clip(shaken, 0, 255), np.uint8)


def classifier() -> onnx.ModelProto:
    """Return a model that takes the reddest cell for damage."""
    red = np.zeros((1, CHANNELS, 1, 1), np.float32)
    red[0, :3, 0, 0] = (12.0, -4.0, -4.0)
    nodes = [
        *_pooled(),
        helper.make_node("Conv", ["CELLS", "RED", "BIAS"], ["ROUND"]),
        helper.make_node("Reshape", ["ROUND", "MAP"], ["HEAT"]),
        helper.make_node("ReduceMax", ["HEAT", "AXES"], ["PEAK"], keepdims=1),
        helper.make_node("Reshape", ["PEAK", "ONE"], ["DAMAGE"]),
        helper.make_node("Add", ["DAMAGE", "LESS"], ["SEVERITY"]),
        helper.make_node("MatMul", ["DAMAGE", "ALL"], ["KINDS"]),
    ]
    constants = {
        **_SHAPED,
        "RED": red,
        "BIAS": np.array([-3.0], np.float32),
        "MAP": np.array([-1, CELLS, CELLS], np.int64),
        "AXES": np.array([1, 2], np.int64),
        "ONE": np.array([-1, 1], np.int64),
        "LESS": np.array([-0.5], np.float32),
        "ALL": np.ones((1, len(KINDS)), np.float32),
    }
    outputs = {"DAMAGE": (1,), "KINDS": (len(KINDS),), "SEVERITY": (1,), "HEAT": (CELLS, CELLS)}
    return _model(nodes, constants, outputs)


def embedding() -> onnx.ModelProto:
    """Return a model that embeds mean colours of cells."""
    rng = np.random.default_rng(0)
    nodes = [
        *_pooled(),
        helper.make_node("Sub", ["CELLS", "HALF"], ["CENTRED"]),
        helper.make_node("Flatten", ["CENTRED"], ["FLAT"]),
        helper.make_node("MatMul", ["FLAT", "MIX"], ["LONG"]),
        helper.make_node("LpNormalization", ["LONG"], ["EMBEDDING"], axis=1, p=2),
        helper.make_node("Transpose", ["CENTRED"], ["LAST"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["LAST", "LIST"], ["LISTED"]),
        helper.make_node("MatMul", ["LISTED", "SPREAD"], ["WIDE"]),
        helper.make_node("LpNormalization", ["WIDE"], ["PATCHES"], axis=2, p=2),
    ]
    constants = {
        **_SHAPED,
        "HALF": np.array([0.4], np.float32),
        "MIX": rng.normal(size=(CHANNELS * CELLS * CELLS, VECTOR_SIZE)).astype(np.float32),
        "LIST": np.array([0, CELLS * CELLS, CHANNELS], np.int64),
        "SPREAD": rng.normal(size=(CHANNELS, PATCH_SIZE)).astype(np.float32),
    }
    return _model(nodes, constants, {"EMBEDDING": (VECTOR_SIZE,), "PATCHES": (CELLS * CELLS, PATCH_SIZE)})


_SHAPED = {"SCALE": np.array([1 / 255], np.float32)}


def _pooled() -> list[onnx.NodeProto]:
    """Return what turns pixels into the mean colours of cells."""
    step = SIDE // CELLS
    return [
        helper.make_node("Cast", ["IMAGES"], ["REAL"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["REAL", "SCALE"], ["SMALL"]),
        helper.make_node("Transpose", ["SMALL"], ["FIRST"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["FIRST"], ["CELLS"], kernel_shape=[step, step], strides=[step, step]),
    ]


def _model(
    nodes: list[onnx.NodeProto], constants: Mapping[str, object], outputs: dict[str, tuple[int, ...]]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("IMAGES", TensorProto.UINT8, ["N", SIDE, SIDE, CHANNELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
