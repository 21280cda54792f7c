"""Make one served file of a pretrained backbone and a linear head, with preprocessing and pooling inside.

The file honours the classifier's contract (docs/models.md), so that the line asks it as it asks the shipped one. The
backbone itself stays as it was; what it expects is found out by `training.anatomy`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CELLS, CLASSIFIER
from schemas.faults import Fatal
from schemas.words import KINDS
from training.photographs.anatomy import Anatomy, opened, trunk_of
from training.runtime import session
from training.triton_config import OUTPUTS, configuration

TOLERANCE: Final = 1e-3
ANSWERS: Final = 1 + len(KINDS) + 1  # damage, kinds, severity
FEATURES: Final = "FEATURES"
_TINY: Final = 1e-12  # a length of nothing is divided by this
_IR: Final = 8  # since version 4 constants need not be inputs; onnxruntime reads up to 10 for years


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What turns features into logits: `weights` float32[D, 9], `bias` float32[9]: damage, seven kinds, severity."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def graft(anatomy: Anatomy, head: Head | None, *, flip: bool) -> bytes:
    """Return the model file's bytes: IMAGES uint8[V, SIDE, SIDE, CHANNELS] to the classifier's outputs.

    Without a head its one output is FEATURES float32[V, D], of unit length: what a head is fitted on. With `flip` they
    are the mean over the picture and its mirror image, which takes twice the time.
    """
    trunk = trunk_of(anatomy)
    build = _Builder(flip=flip)
    pixels = build.pixels(anatomy)
    body = onnx.compose.add_prefix(trunk, "backbone/").graph
    build.nodes.append(helper.make_node("Identity", [pixels], [body.input[0].name]))
    build.nodes += list(body.node)
    pooled, cells = build.pooled(anatomy, "backbone/")
    features, lengths, size = build.unit(pooled, anatomy.width)
    outputs: dict[str, tuple[int, ...]] = {FEATURES: (anatomy.width,)}
    if head is None:
        build.name("Identity", [features], FEATURES)
    else:
        outputs = OUTPUTS[CLASSIFIER]
        build.answers(features, head)
        build.heat(None if cells is None else (cells, lengths, size), head)
    graph = helper.make_graph(
        build.nodes,
        CLASSIFIER if head is not None else "features",
        [helper.make_tensor_value_info("IMAGES", TensorProto.UINT8, ["views", SIDE, SIDE, CHANNELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["views", *dims]) for name, dims in outputs.items()],
        initializer=[*body.initializer, *build.constants],
    )
    graph.sparse_initializer.extend(body.sparse_initializer)
    model = helper.make_model(graph, opset_imports=list(trunk.opset_import), functions=list(trunk.functions))
    model.ir_version = max(_IR, trunk.ir_version)
    return bytes(model.SerializeToString())


def write(
    model: bytes, anatomy: Anatomy, head: Head, probes: NDArray[np.uint8], *, flip: bool, repository: Path
) -> float:
    """Write the classifier into a model repository, once it answers as its parts do; return the largest difference.

    Args:
        model: from `graft`.
        anatomy: of the backbone in it.
        head: likewise.
        probes: uint8[N, SIDE, SIDE, CHANNELS] to compare on.
        flip: as in `graft`.
        repository: Triton's; gets `damage_classifier/1/model.onnx` and its config.pbtxt, each written whole.

    Raises:
        Fatal: the file answers otherwise than its parts; nothing is written then.
    """
    names = list(OUTPUTS[CLASSIFIER])
    try:
        found = opened(model).run(names, {"IMAGES": probes})
    except Exception as error:  # onnxruntime raises many types, none of them public
        raise Fatal(
            f"{anatomy.path} does not run with several pictures at once ({str(error)[:160]}): "
            "export it with a dynamic batch axis"
        ) from error
    wanted = in_parts(anatomy, head, probes, flip=flip)
    worst = max(float(np.abs(left - right).max()) for left, right in zip(wanted, found, strict=True))
    if not worst <= TOLERANCE:
        raise Fatal(
            f"the grafted model differs from its parts by {worst:.2g}, more than {TOLERANCE}: {anatomy.path} may not "
            "treat the pictures of a batch alike; export it with a dynamic batch axis and in evaluation mode"
        )
    folder = repository / CLASSIFIER
    for path, content in (
        (folder / "1" / "model.onnx", model),
        (folder / "config.pbtxt", configuration(CLASSIFIER, gpu=False).encode()),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return worst


def in_parts(anatomy: Anatomy, head: Head, images: NDArray[np.uint8], *, flip: bool) -> list[NDArray[np.float32]]:
    """Answer as the grafted model should, by the backbone's own file, OpenCV and numpy, picture by picture."""
    asked = session(anatomy.path) if not anatomy.inner else opened(trunk_of(anatomy).SerializeToString())
    wanted = [name for name in (anatomy.pooled, anatomy.map) if name is not None]
    answers: list[list[NDArray[np.float32]]] = []
    for image in images:
        takes = [image[..., :3], image[:, ::-1, :3]] if flip else [image[..., :3]]
        unit, heats = [], []
        for take in takes:
            pixels = cv2.resize(take.astype(np.float32), anatomy.size[::-1], interpolation=cv2.INTER_LINEAR)
            pixels = (pixels - np.array(anatomy.normalise.mean, np.float32)) / np.array(
                anatomy.normalise.std, np.float32
            )
            given = pixels[None] if anatomy.channels_last else pixels.transpose(2, 0, 1)[None]
            got = dict(zip(wanted, asked.run(wanted, {anatomy.input: given.astype(np.float32)}), strict=True))
            pooled = anatomy.pool(got[anatomy.pooled])[0]
            length = max(float(np.linalg.norm(pooled)), _TINY)
            unit.append(pooled / length)
            if anatomy.map is not None:
                heats.append(np.tensordot(head.weights[:, 0], anatomy.cells(got[anatomy.map])[0], 1) / length)
        mean = np.mean(unit, axis=0)
        size = max(float(np.linalg.norm(mean)), _TINY)
        logits = mean / size @ head.weights + head.bias
        heat = np.full((CELLS, CELLS), logits[0], np.float32)
        if heats:
            joined = np.mean([heats[0], *(each[:, ::-1] for each in heats[1:])], axis=0) / size + head.bias[0]
            heat = np.asarray(cv2.resize(joined, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR), np.float32)
        answers.append([logits[:1], logits[1:-1], logits[-1:], heat])
    return [np.stack(each).astype(np.float32) for each in zip(*answers, strict=True)]


@dataclass(slots=True)
class _Builder:
    """Nodes and constants in the making. Operators are those whose form is the same from opset 13 on."""

    flip: bool
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def constant(self, values: Sequence[float] | NDArray[np.float32], dtype: type = np.float32) -> str:
        name = f"graft/constant_{next(self._numbers)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def name(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        return self.name(operator, list(inputs), f"graft/{operator}_{next(self._numbers)}", **attributes)

    def mirrored(self, values: str, axis: int) -> str:
        """Reverse an axis."""
        return self.add("Slice", values, self.whole(-1), self.whole(-(2**31)), self.whole(axis), self.whole(-1))

    def sized(self, values: str, height: int, width: int) -> str:
        """Scale float32[N, C, h, w]."""
        kept = self.add("Slice", self.add("Shape", values), self.whole(0), self.whole(2), self.whole(0))
        sizes = self.add("Concat", kept, self.whole(height, width), axis=0)
        return self.add("Resize", values, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")

    def pixels(self, anatomy: Anatomy) -> str:
        """From IMAGES to what the backbone takes; mirror images follow behind the others."""
        rgb = self.add("Slice", "IMAGES", self.whole(0), self.whole(3), self.whole(3))
        numbers = self.add("Cast", rgb, to=TensorProto.FLOAT)
        scaled = self.add("Sub", numbers, self.constant(anatomy.normalise.mean))
        scaled = self.add("Div", scaled, self.constant(anatomy.normalise.std))
        if self.flip:
            scaled = self.add("Concat", scaled, self.mirrored(scaled, 2), axis=0)
        planes = self.add("Transpose", scaled, perm=[0, 3, 1, 2])
        if anatomy.size != (SIDE, SIDE):
            planes = self.sized(planes, *anatomy.size)
        return self.add("Transpose", planes, perm=[0, 2, 3, 1]) if anatomy.channels_last else planes

    def pooled(self, anatomy: Anatomy, prefix: str) -> tuple[str, str | None]:
        """Return the names of the pooled vectors [N, D] and of the map [N, D, h, w] they are the mean of, if any."""
        raw, cells = prefix + anatomy.pooled, None
        if anatomy.map is not None:
            cells = prefix + anatomy.map
            if anatomy.map_last:
                cells = self.add("Transpose", cells, perm=[0, 3, 1, 2])
        if anatomy.rank == 4:  # noqa: PLR2004 - a map, of which the mean counts
            source = self.add("Transpose", raw, perm=[0, 3, 1, 2]) if anatomy.map_last else raw
            raw = self.add("GlobalAveragePool", source)
        elif anatomy.rank == 3:  # noqa: PLR2004 - tokens [N, T, D], likewise
            raw = self.add("GlobalAveragePool", self.add("Transpose", raw, perm=[0, 2, 1]))
        return self.add("Reshape", raw, self.whole(-1, anatomy.width)), cells

    def unit(self, pooled: str, width: int) -> tuple[str, str, str]:
        """Return the features [V, D], the lengths [N, 1] of what was pooled, and the lengths [V, 1] of their mean."""
        units, lengths = self._unit(pooled)
        if not self.flip:
            return units, lengths, ""
        takes = self.add("Reshape", units, self.whole(2, -1, width))
        mean = self.add("Mul", self.add("ReduceSum", takes, self.whole(0), keepdims=0), self.constant([0.5]))
        features, size = self._unit(mean)
        return features, lengths, size

    def _unit(self, vectors: str) -> tuple[str, str]:
        squares = self.add("ReduceSum", self.add("Mul", vectors, vectors), self.whole(1), keepdims=1)
        length = self.add("Max", self.add("Sqrt", squares), self.constant([_TINY]))
        return self.add("Div", vectors, length), length

    def answers(self, features: str, head: Head) -> None:
        """Name DAMAGE, KINDS and SEVERITY."""
        logits = self.add("MatMul", features, self.constant(head.weights))
        logits = self.add("Add", logits, self.constant(head.bias))
        for name, start, stop in (("DAMAGE", 0, 1), ("KINDS", 1, ANSWERS - 1), ("SEVERITY", ANSWERS - 1, ANSWERS)):
            self.name("Slice", [logits, self.whole(start), self.whole(stop), self.whole(1)], name)

    def heat(self, source: tuple[str, str, str] | None, head: Head) -> None:
        """Name HEAT: the damage head at each cell, whose mean is DAMAGE; DAMAGE everywhere where cells say nothing."""
        if source is None:
            flat = self.add("Reshape", "DAMAGE", self.whole(-1, 1, 1))
            self.name("Expand", [flat, self.whole(1, CELLS, CELLS)], "HEAT")
            return
        cells, lengths, size = source
        weights = self.constant(head.weights[:, 0].reshape(1, -1, 1, 1))
        warm = self.add("Conv", cells, weights)
        warm = self.add("Div", warm, self.add("Reshape", lengths, self.whole(-1, 1, 1, 1)))
        if self.flip:
            half = self.add("Div", self.add("Shape", warm), self.whole(2, 1, 1, 1))
            rows = self.add("Slice", half, self.whole(0), self.whole(1), self.whole(0))
            first = self.add("Slice", warm, self.whole(0), rows, self.whole(0))
            second = self.mirrored(self.add("Slice", warm, rows, self.whole(2**31), self.whole(0)), 3)
            warm = self.add("Mul", self.add("Add", first, second), self.constant([0.5]))
            warm = self.add("Div", warm, self.add("Reshape", size, self.whole(-1, 1, 1, 1)))
        warm = self.sized(self.add("Add", warm, self.constant(head.bias[:1])), CELLS, CELLS)
        self.name("Reshape", [warm, self.whole(-1, CELLS, CELLS)], "HEAT")


def features_of(model: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32[N, D] for uint8[N, SIDE, SIDE, CHANNELS], one picture at a time as batches bring nothing here."""
    return np.concatenate([model.run([FEATURES], {"IMAGES": image[None]})[0] for image in images])
