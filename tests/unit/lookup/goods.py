"""Cartons drawn for these tests, photographs of them, and a small backbone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

Picture = NDArray[np.uint8]
HEIGHT, WIDTH = 300, 170


def carton(number: int) -> Picture:
    """Draw the front of a carton: uint8[300, 170, 3], patterned all over, no two numbers alike."""
    rng = np.random.default_rng([number, 11])
    front = np.full((HEIGHT, WIDTH, 3), rng.integers(60, 220, 3), np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        colour = tuple(int(each) for each in rng.integers(0, 256, 3))
        if rng.integers(2):
            cv2.circle(front, (x, y), int(rng.integers(4, 18)), colour, -1)
        else:
            cv2.rectangle(front, (x, y), (x + int(rng.integers(5, 40)), y + int(rng.integers(4, 20))), colour, -1)
    for line in range(5):
        word = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVWXYZ"), 6))
        cv2.putText(front, word, (6, 45 + 55 * line), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (20, 20, 20), 3, cv2.LINE_AA)
    return front


def packshot(front: Picture) -> Picture:
    """Put a front before a white ground: uint8[360, 360, 3]."""
    shot = np.full((360, 360, 3), 255, np.uint8)
    shot[30 : 30 + HEIGHT, 95 : 95 + WIDTH] = front
    return shot


def photograph(front: Picture, seed: int) -> Picture:
    """Take a front in front of clutter, turned and from the side, darker, blurred and noisy: uint8[400, 400, 3]."""
    rng = np.random.default_rng([seed, 12])
    clutter = cv2.resize(rng.integers(0, 256, (25, 25, 3)).astype(np.uint8), (400, 400), interpolation=cv2.INTER_CUBIC)
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    turn = np.deg2rad(rng.uniform(-15, 15))
    turned = (corners - [WIDTH / 2, HEIGHT / 2]) @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    ) + 200
    placed = (turned + rng.uniform(-8, 8, (4, 2))).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, placed)
    shown = cv2.warpPerspective(front, matrix, (400, 400), flags=cv2.INTER_LINEAR)
    where = cv2.warpPerspective(np.ones((HEIGHT, WIDTH), np.uint8), matrix, (400, 400)) > 0
    sharp = np.where(where[..., None], shown, clutter).astype(np.float32)
    seen = cv2.GaussianBlur(sharp, (0, 0), 0.8) * rng.uniform(0.7, 1.1) + rng.normal(size=sharp.shape) * 4
    return np.asarray(np.clip(seen, 0, 255), np.uint8)


def save(picture: Picture, path: Path) -> Path:
    """Write a picture as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def backbone(path: Path, *, side: int = 224, last: bool = False, batch: int | None = None, fine: bool = True) -> Path:
    """Write a backbone of two random layers: a fine map, a coarse map made of it, and pooled features."""
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(12, 3, 8, 8)).astype(np.float32)
    kernel -= kernel.mean(axis=(2, 3), keepdims=True)
    second = rng.normal(size=(16, 12, 2, 2)).astype(np.float32)
    shape = [batch or "N", side, side, 3] if last else [batch or "N", 3, side, side]
    nodes = [helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node("Conv", ["x" if last else "image", "k1"], ["c1"], strides=[8, 8]),
        helper.make_node("Abs", ["c1"], ["fine"]),
        helper.make_node("Conv", ["fine", "k2"], ["coarse"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["coarse"], ["gap"]),
        helper.make_node("Flatten", ["gap"], ["embedding"]),
    ]
    outputs = ["embedding", "coarse", *(["fine"] if fine else [])]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(kernel, "k1"), onnx.numpy_helper.from_array(second, "k2")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path
