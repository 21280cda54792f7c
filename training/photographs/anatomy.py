"""Find out what a pretrained backbone in an ONNX file expects and where its features are.

Whoever exported it chose names, layout and outputs; what is found is decided by looking at the graph and by running it
once on noise, never by the file's name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from evidence.frame import SIDE
from schemas.faults import Fatal

OPSET: Final = 13  # older files are converted: from here on the operators that a graft needs have kept their form
_FEATURES: Final = re.compile("embed|pool|feat", re.IGNORECASE)
_HOPS: Final = 16  # so far before the outputs a backbone's features are looked for
_CLASSES_OF_TENSORFLOW: Final = 1001  # ImageNet with a class for the background, which nobody else has
_MAKERS_OF_TENSORFLOW: Final = ("tf2onnx", "keras", "tensorflow")
_ALIKE: Final = 1e-3


class Normalise(enum.StrEnum):
    """How a backbone wants its pixels: by name, as the option says it."""

    SYMMETRIC = "symmetric"  # -1 .. 1
    UNIT = "unit"  # 0 .. 1
    IMAGENET = "imagenet"  # less the mean, over the deviation of ImageNet's channels
    RAW = "raw"  # 0 .. 255: the file normalises by itself

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of each channel, in grey levels: what is taken away."""
        match self:
            case Normalise.SYMMETRIC:
                return 127.5, 127.5, 127.5
            case Normalise.IMAGENET:  # torchvision's numbers
                return 0.485 * 255, 0.456 * 255, 0.406 * 255
        return 0.0, 0.0, 0.0

    @property
    def std(self) -> tuple[float, float, float]:
        """Of each channel, in grey levels: what is divided by."""
        match self:
            case Normalise.SYMMETRIC:
                return 127.5, 127.5, 127.5
            case Normalise.IMAGENET:
                return 0.229 * 255, 0.224 * 255, 0.225 * 255
            case Normalise.UNIT:
                return 255.0, 255.0, 255.0
        return 1.0, 1.0, 1.0


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A backbone: its input, and the tensor whose mean over places, D = `width` numbers, says what a picture shows."""

    path: Path
    input: str
    channels_last: bool
    size: tuple[int, int]  # height and width it wants
    normalise: Normalise
    why: str  # this normalisation
    pooled: str  # [N, D], [N, T, D] or a map
    rank: int  # of `pooled`
    width: int
    map: str | None  # [N, D, h, w], of which `pooled` is the mean; None where no tensor is
    map_last: bool  # maps have their channels last
    inner: bool  # the file does not give them out by itself

    def pool(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32[N, D] for the tensor `pooled`."""
        if self.rank == 4:  # noqa: PLR2004 - a map
            return np.asarray(self.cells(values).mean(axis=(2, 3)), np.float32)
        return np.asarray(values.mean(axis=1) if self.rank == 3 else values, np.float32)  # noqa: PLR2004 - tokens

    def cells(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32[N, D, h, w] for a map."""
        return values.transpose(0, 3, 1, 2) if self.map_last else values

    def sentence(self) -> str:
        """Say in words what was found."""
        place = f"mean of the map {self.map}" if self.map else "no map that its places could be read from"
        layout = "NHWC" if self.channels_last else "NCHW"
        return (
            f"{self.path.name}: {self.size[1]} x {self.size[0]} {layout}, pixels {self.normalise} ({self.why}); "
            f"{self.width} features from {self.pooled}, {place}"
        )


def opened(model: bytes) -> onnxruntime.InferenceSession:
    """Open a model in memory, on one thread as `training.runtime.session` does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def examine(path: Path, normalise: Normalise | None = None) -> Anatomy:
    """Examine a backbone.

    Raises:
        Fatal: it cannot be read, takes no pictures, or shows no features; the message names the fix.
    """
    model = _load(path)
    name, channels_last, size = _input(model, path)
    seen = _look_inside(model, name, channels_last, size, path)
    pooled = _pooled(model, seen)
    if pooled is None:
        raise Fatal(f"{path} has no tensor that could be its features: export it with its pooled features as an output")
    rank, cells, map_last = seen[pooled].ndim, None, False
    if rank == 4:  # noqa: PLR2004 - a map, or pooled with its places kept
        map_last = seen[pooled].shape[1] == seen[pooled].shape[2] != seen[pooled].shape[3]
    mean = _mean(seen[pooled], last=map_last)
    for other, values in seen.items():
        if values.ndim == 4 and min(sorted(values.shape[1:])[:2]) > 1:  # noqa: PLR2004 - a map
            for last in (False, True):
                means = _mean(values, last=last)
                if means.shape == mean.shape and np.allclose(
                    means, mean, rtol=_ALIKE, atol=_ALIKE * np.abs(mean).max()
                ):
                    cells, map_last = other, last
    chosen, why = (normalise, "as told") if normalise is not None else _guess(model, name, channels_last, seen)
    given_out = {output.name for output in model.graph.output}
    return Anatomy(
        path=path,
        input=name,
        channels_last=channels_last,
        size=size,
        normalise=chosen,
        why=why,
        pooled=pooled,
        rank=rank,
        width=mean.shape[0],
        map=cells,
        map_last=map_last,
        inner=not {pooled, cells or pooled} <= given_out,
    )


def trunk_of(anatomy: Anatomy) -> Any:  # noqa: ANN401 - onnx ships no types
    """Return the part of the backbone that its features need, as a model of any batch size."""
    model = _load(anatomy.path)
    wanted = [name for name in dict.fromkeys((anatomy.pooled, anatomy.map)) if name is not None]
    needed, kept = set(wanted), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(_inputs(node))
            kept.append(node)
    given = next(each for each in model.graph.input if each.name == anatomy.input)
    given.type.tensor_type.shape.dim[0].Clear()
    graph = onnx.helper.make_graph(
        kept[::-1],
        "backbone",
        [given],
        [onnx.ValueInfoProto(name=name) for name in wanted],
        initializer=[each for each in model.graph.initializer if each.name in needed],
    )
    graph.sparse_initializer.extend(each for each in model.graph.sparse_initializer if each.values.name in needed)
    trunk = onnx.helper.make_model(graph, opset_imports=list(model.opset_import), functions=list(model.functions))
    trunk.ir_version = max(8, model.ir_version)
    return trunk


def _load(path: Path) -> Any:  # noqa: ANN401 - onnx ships no types
    try:
        model = onnx.load(str(path))
        opset = max((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), default=0)
        return onnx.version_converter.convert_version(model, OPSET) if opset < OPSET else model
    except Exception as error:  # protobuf, onnx and the file system raise whatever they like
        raise Fatal(f"{path} is no ONNX model that can be read: {str(error)[:200] or type(error).__name__}") from error


def _input(model: Any, path: Path) -> tuple[str, bool, tuple[int, int]]:  # noqa: ANN401 - onnx ships no types
    """Return the name, whether channels come last, and height and width."""
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    if len(inputs) != 1:
        raise Fatal(f"{path} has {len(inputs)} inputs; a backbone takes pictures and nothing else")
    kind = inputs[0].type.tensor_type
    sides = [dim.dim_value for dim in kind.shape.dim]
    if len(sides) != 4 or 3 not in (sides[1], sides[3]):  # noqa: PLR2004 - batches of pictures of three channels
        raise Fatal(f"{path} takes {sides}; a backbone takes [N, 3, height, width] or [N, height, width, 3]")
    if kind.elem_type != TensorProto.FLOAT:
        raise Fatal(f"{path} takes {TensorProto.DataType.Name(kind.elem_type)}: export it with a float32 input")
    last = sides[1] != 3  # noqa: PLR2004 - channels
    height, width = sides[1:3] if last else sides[2:]
    return inputs[0].name, last, (height or SIDE, width or SIDE)


def _inputs(node: Any) -> Iterator[str]:  # noqa: ANN401 - onnx ships no types
    """Yield the tensors a node reads, those of the graphs inside it included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _inputs(inner)


def _look_inside(
    model: Any,  # noqa: ANN401 - onnx ships no types
    name: str,
    channels_last: bool,
    size: tuple[int, int],
    path: Path,
) -> dict[str, NDArray[np.float32]]:
    """Run on noise; return the float tensors near the outputs, in the order in which they are computed."""
    outputs = [each.name for each in model.graph.output]
    near, edge = set(outputs), set(outputs)
    for _ in range(_HOPS):
        edge = {source for node in model.graph.node if edge & set(node.output) for source in node.input} - near
        near |= edge
    inner = [output for node in model.graph.node for output in node.output if output in near and output]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=each) for each in inner if each not in outputs)
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    given = noise if channels_last else noise.transpose(0, 3, 1, 2)
    try:
        answers = opened(probe.SerializeToString()).run(inner, {name: given})
    except Exception as error:  # onnxruntime raises many types, none of them public
        raise Fatal(f"{path} does not run on one picture of {size[1]} x {size[0]}: {str(error)[:200]}") from error
    return {
        each: values
        for each, values in zip(inner, answers, strict=True)
        if isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim in {2, 3, 4}
    }


def _pooled(model: Any, seen: dict[str, NDArray[np.float32]]) -> str | None:  # noqa: ANN401 - onnx ships no types
    """Choose the features: named so; else what was pooled last; else what the last layer reads; else what is left."""
    outputs = [each.name for each in model.graph.output if each.name in seen]
    flat = [name for name, values in seen.items() if values.size == max(values.shape)]
    named = [name for name in outputs if name in flat and _FEATURES.search(name)]
    if named:
        return str(max(named, key=lambda name: seen[name].size))
    for node in reversed(model.graph.node):
        source = node.input[0] if node.input else ""
        pools = node.op_type in {"GlobalAveragePool", "ReduceMean", "AveragePool"}
        if pools and node.output[0] in flat and source in seen and seen[source].ndim == 4:  # noqa: PLR2004 - a map
            return str(node.output[0])
    for node in reversed(model.graph.node):
        if node.op_type in {"Gemm", "MatMul"} and node.input[0] in flat and seen[node.input[0]].ndim == 2:  # noqa: PLR2004
            return str(node.input[0])
    flat_outputs = [name for name in outputs if name in flat]
    tokens = [name for name in outputs if seen[name].ndim == 3]  # noqa: PLR2004 - [N, T, D]
    maps = [name for name, values in seen.items() if values.ndim == 4]  # noqa: PLR2004 - [N, D, h, w]
    left = [*flat_outputs, *tokens, *reversed([m for m in maps if m in outputs]), *reversed(maps)]
    return str(left[0]) if left else None


def _mean(values: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
    """Return float32[D], the mean over places or tokens."""
    if values.ndim == 4:  # noqa: PLR2004 - a map
        return np.asarray(values[0].mean(axis=(0, 1) if last else (1, 2)), np.float32)
    return np.asarray(values[0].mean(axis=0) if values.ndim == 3 else values[0], np.float32)  # noqa: PLR2004 - tokens


def _guess(
    model: Any,  # noqa: ANN401 - onnx ships no types
    name: str,
    channels_last: bool,
    seen: dict[str, NDArray[np.float32]],
) -> tuple[Normalise, str]:
    """Say which normalisation, and by which rule."""
    constants = {each.name for each in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    current = name
    while True:
        users = [node for node in model.graph.node if current in node.input]
        if len(users) != 1 or users[0].op_type not in {"Transpose", "Cast", "Identity"}:
            break
        current = users[0].output[0]
    if any(
        node.op_type == "BatchNormalization"
        or (node.op_type in {"Sub", "Div", "Mul", "Add"} and constants & set(node.input))
        for node in users
    ):
        return Normalise.RAW, "guessed: the file begins by normalising"
    if channels_last:
        return Normalise.SYMMETRIC, "guessed: channels come last, as TensorFlow has them"
    if any(_CLASSES_OF_TENSORFLOW in seen[each.name].shape for each in model.graph.output if each.name in seen):
        return Normalise.SYMMETRIC, "guessed: 1001 classes, as TensorFlow has them"
    if any(maker in model.producer_name.lower() for maker in _MAKERS_OF_TENSORFLOW):
        return Normalise.SYMMETRIC, f"guessed: made by {model.producer_name}"
    return Normalise.IMAGENET, "guessed: nothing speaks for another"
