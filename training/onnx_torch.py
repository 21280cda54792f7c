"""A convolutional ONNX backbone as a torch module: the same file, its weights free to learn, and back into the file.

Only what exporters write for convolutional networks up to their features is known here; anything else is named and
refused. The node types follow the ONNX operator reference, opset 13 and later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional

from schemas.faults import Fatal
from training.photographs.anatomy import Anatomy, opened, trunk_of
from training.untyped import Tensor

TOLERANCE: Final = 1e-3  # of the largest feature: torch and onnxruntime add up in other orders
PLANE: Final = 4  # axes of a batch of maps: number, channel, row, column
LEARNT: Final = {  # which inputs of a node are weights; statistics of a batch stay what they were
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
}

Attributes = dict[str, Any]
Inputs = list[Any]  # tensors; None for an input left out


class OnnxNetwork(nn.Module):
    """The part of a backbone that its features need. Weights are parameters, all else is as the file has it."""

    def __init__(self, anatomy: Anatomy) -> None:
        """Read the file.

        Raises:
            Fatal: it holds a node that is not known here.
        """
        super().__init__()
        self._anatomy = anatomy
        self._model = trunk_of(anatomy)
        nodes = list(self._model.graph.node)
        unknown = sorted({node.op_type for node in nodes} - set(_OPERATIONS) - {"Constant"})
        if unknown:
            raise Fatal(
                f"{anatomy.path} cannot be fine-tuned, only used as it is: it holds {', '.join(unknown)}, and what is "
                "known here are convolutional networks; leave out --fine-tune"
            )
        weights = {
            node.input[place]
            for node in nodes
            for place in LEARNT.get(node.op_type, ())
            if place < len(node.input) and node.input[place]
        }
        self._names: list[str] = []
        self._weights = nn.ParameterList()
        self._fixed: dict[str, Tensor] = {}
        for each in self._model.graph.initializer:
            values = torch.from_numpy(np.array(numpy_helper.to_array(each)))
            if each.name in weights and values.is_floating_point():
                self._names.append(each.name)
                self._weights.append(nn.Parameter(values))
            else:
                self._fixed[each.name] = values
        self._steps: list[tuple[str, list[str], list[str], Attributes]] = []
        for node in nodes:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant":
                self._fixed[node.output[0]] = _constant(attributes, anatomy)
            else:
                self._steps.append((node.op_type, list(node.input), list(node.output), attributes))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32[N, height, width, 3], normalised, to features float32[N, D], not scaled to unit length."""
        known: dict[str, Tensor] = {
            self._anatomy.input: pixels if self._anatomy.channels_last else pixels.permute(0, 3, 1, 2)
        }
        known |= dict(zip(self._names, self._weights, strict=True))
        for kind, inputs, outputs, attributes in self._steps:
            given = [None if not name else known[name] if name in known else self._constant(name) for name in inputs]
            known[outputs[0]] = _OPERATIONS[kind](given, attributes)
        found = known[self._anatomy.pooled]
        if self._anatomy.rank == PLANE:
            return found.mean((1, 2) if self._anatomy.map_last else (2, 3))
        return found.mean(1) if self._anatomy.rank == 3 else found  # noqa: PLR2004 - tokens

    def save(self, path: Path) -> None:
        """Write the file with the weights as they are now, whole or not at all."""
        now = dict(zip(self._names, self._weights, strict=True))
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for each in model.graph.initializer:
            if each.name in now:
                values = now[each.name].detach().cpu().numpy()
                each.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), each.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(model.SerializeToString())
        unfinished.replace(path)

    def prove(self) -> float:
        """Return how far torch and onnxruntime are apart on two pictures of noise, as a share of the largest feature.

        Raises:
            Fatal: further than `TOLERANCE`, or one of the two cannot take two pictures at once.
        """
        anatomy = self._anatomy
        noise = np.random.default_rng(0).uniform(-1, 1, (2, *anatomy.size, 3)).astype(np.float32)
        try:
            (said,) = opened(self._model.SerializeToString()).run(
                [anatomy.pooled], {anatomy.input: noise if anatomy.channels_last else noise.transpose(0, 3, 1, 2)}
            )
            with torch.no_grad():
                ours = self(torch.from_numpy(noise)).numpy()
        except Exception as error:  # onnxruntime and torch raise many types
            raise Fatal(
                f"{anatomy.path} cannot be fine-tuned, it does not run on two pictures at once ({str(error)[:160]}): "
                "export it with a dynamic batch axis, or leave out --fine-tune"
            ) from error
        theirs = anatomy.pool(said)
        apart = float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-9))
        if not apart <= TOLERANCE:
            raise Fatal(
                f"{anatomy.path} is not understood: torch and onnxruntime differ by {apart:.2g} of its features"
            )
        return apart

    def _constant(self, name: str) -> Tensor:
        """Return a fixed tensor, where the weights are."""
        value = self._fixed[name]
        device = self._weights[0].device if len(self._weights) else value.device
        if value.device != device and value.is_floating_point():
            value = self._fixed[name] = value.to(device)
        return value


def _constant(attributes: Attributes, anatomy: Anatomy) -> Tensor:
    if "value" in attributes:
        return torch.from_numpy(np.array(numpy_helper.to_array(attributes["value"])))
    name, value = next(iter(attributes.items()))
    if name in {"value_float", "value_floats", "value_int", "value_ints"}:
        return torch.tensor(value)
    raise Fatal(f"{anatomy.path} holds a constant by {name}, which is not known here: leave out --fine-tune")


def _numbers(given: Inputs, place: int, attributes: Attributes, name: str) -> list[int] | None:
    """Return integers that newer files give as an input and older ones as an attribute."""
    if place < len(given) and given[place] is not None:
        return [int(each) for each in given[place].reshape(-1).tolist()]
    return None if name not in attributes else [int(each) for each in attributes[name]]


def _bound(given: Inputs, place: int, attributes: Attributes, name: str) -> float | None:
    if place < len(given) and given[place] is not None:
        return float(given[place])
    return attributes.get(name)


def _padded(maps: Tensor, kernel: Sequence[int], attributes: Attributes, *, value: float = 0.0) -> Tensor:
    """Return maps with the border that a window of this size asks for."""
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    how = attributes.get("auto_pad", b"NOTSET")
    if how in {b"SAME_UPPER", b"SAME_LOWER"}:
        border: list[int] = []
        for size, window, stride, dilation in zip(maps.shape[2:], kernel, strides, dilations, strict=True):
            wanted = max(0, (-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size)
            less, more = wanted // 2, wanted - wanted // 2
            border = [*((less, more) if how == b"SAME_UPPER" else (more, less)), *border]
    else:
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        border = [left, right, top, bottom]
    return functional.pad(maps, border, value=value) if any(border) else maps


def _conv(given: Inputs, attributes: Attributes) -> Tensor:
    maps, weight = given[0], given[1]
    bias = given[2] if len(given) > 2 else None  # noqa: PLR2004 - the third input
    return functional.conv2d(
        _padded(maps, weight.shape[2:], attributes),
        weight,
        bias,
        stride=tuple(attributes.get("strides", (1, 1))),
        dilation=tuple(attributes.get("dilations", (1, 1))),
        groups=attributes.get("group", 1),
    )


def _max_pool(given: Inputs, attributes: Attributes) -> Tensor:
    kernel = attributes["kernel_shape"]
    return functional.max_pool2d(
        _padded(given[0], kernel, attributes, value=float("-inf")),
        kernel,
        attributes.get("strides", (1, 1)),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _average_pool(given: Inputs, attributes: Attributes) -> Tensor:
    kernel, strides = attributes["kernel_shape"], attributes.get("strides", (1, 1))
    maps = _padded(given[0], kernel, attributes)
    mean = functional.avg_pool2d(maps, kernel, strides)
    if attributes.get("count_include_pad", 0) or maps.shape == given[0].shape:
        return mean
    inside = _padded(torch.ones_like(given[0][:1, :1]), kernel, attributes)
    return mean / functional.avg_pool2d(inside, kernel, strides)


def _gemm(given: Inputs, attributes: Attributes) -> Tensor:
    left = given[0].T if attributes.get("transA") else given[0]
    right = given[1].T if attributes.get("transB") else given[1]
    product = attributes.get("alpha", 1.0) * (left @ right)
    return product if len(given) < 3 or given[2] is None else product + attributes.get("beta", 1.0) * given[2]  # noqa: PLR2004


def _batch_norm(given: Inputs, attributes: Attributes) -> Tensor:
    maps, scale, shift, mean, variance = given
    return functional.batch_norm(
        maps, mean, variance, scale, shift, training=False, eps=attributes.get("epsilon", 1e-5)
    )


def _layer_norm(given: Inputs, attributes: Attributes) -> Tensor:
    shape = given[0].shape[attributes.get("axis", -1) :]
    shift = given[2] if len(given) > 2 else None  # noqa: PLR2004 - the third input
    return functional.layer_norm(given[0], shape, given[1], shift, attributes.get("epsilon", 1e-5))


def _reduce_mean(given: Inputs, attributes: Attributes) -> Tensor:
    axes = _numbers(given, 1, attributes, "axes")
    return given[0].mean(axes or list(range(given[0].ndim)), keepdim=bool(attributes.get("keepdims", 1)))


def _reshape(given: Inputs, attributes: Attributes) -> Tensor:
    wanted = _numbers(given, 1, attributes, "shape") or []
    kept = [given[0].shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    return given[0].reshape(kept)


def _flatten(given: Inputs, attributes: Attributes) -> Tensor:
    axis = attributes.get("axis", 1)
    return given[0].reshape(int(np.prod(given[0].shape[:axis])), -1)


def _squeeze(given: Inputs, attributes: Attributes) -> Tensor:
    axes = _numbers(given, 1, attributes, "axes")
    return given[0].squeeze() if axes is None else given[0].squeeze(tuple(axes))


def _unsqueeze(given: Inputs, attributes: Attributes) -> Tensor:
    values, axes = given[0], _numbers(given, 1, attributes, "axes") or []
    for axis in sorted(each % (values.ndim + len(axes)) for each in axes):
        values = values.unsqueeze(axis)
    return values


def _clip(given: Inputs, attributes: Attributes) -> Tensor:
    return given[0].clamp(_bound(given, 1, attributes, "min"), _bound(given, 2, attributes, "max"))


def _pad(given: Inputs, attributes: Attributes) -> Tensor:
    if attributes.get("mode", b"constant") != b"constant":
        raise Fatal(f"a border by {attributes['mode'].decode()} is not known here: leave out --fine-tune")
    pads = _numbers(given, 1, attributes, "pads") or []
    half = len(pads) // 2
    border = [each for axis in reversed(range(half)) for each in (pads[axis], pads[half + axis])]
    return functional.pad(given[0], border, value=_bound(given, 2, attributes, "value") or 0.0)


_OPERATIONS: Final[dict[str, Callable[[Inputs, Attributes], Tensor]]] = {
    "Add": lambda given, _: given[0] + given[1],
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda given, how: torch.cat(given, how["axis"]),
    "Conv": _conv,
    "Div": lambda given, _: given[0] / given[1],
    "Dropout": lambda given, _: given[0],
    "Erf": lambda given, _: torch.erf(given[0]),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda given, how: (how.get("alpha", 0.2) * given[0] + how.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda given, _: functional.hardswish(given[0]),
    "Identity": lambda given, _: given[0],
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda given, how: functional.leaky_relu(given[0], how.get("alpha", 0.01)),
    "MatMul": lambda given, _: given[0] @ given[1],
    "MaxPool": _max_pool,
    "Mul": lambda given, _: given[0] * given[1],
    "PRelu": lambda given, _: torch.where(given[0] < 0, given[0] * given[1], given[0]),
    "Pad": _pad,
    "Pow": lambda given, _: given[0] ** given[1],
    "ReduceMean": _reduce_mean,
    "Relu": lambda given, _: given[0].relu(),
    "Reshape": _reshape,
    "Sigmoid": lambda given, _: given[0].sigmoid(),
    "Softmax": lambda given, how: given[0].softmax(how.get("axis", -1)),
    "Sqrt": lambda given, _: given[0].sqrt(),
    "Squeeze": _squeeze,
    "Sub": lambda given, _: given[0] - given[1],
    "Tanh": lambda given, _: given[0].tanh(),
    "Transpose": lambda given, how: given[0].permute(*how.get("perm", range(given[0].ndim)[::-1])),
    "Unsqueeze": _unsqueeze,
}
