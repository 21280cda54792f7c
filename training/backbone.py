"""A pretrained ONNX backbone as an embedding: pooled vectors and maps of cells, all of unit length.

What the file expects is found by `training.photographs.anatomy`; the maps are found here, by their shapes: a map of 14
cells a side says what things are, one of 28 says where their edges are, and comparing pictures needs both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from schemas.faults import Fatal
from training.photographs.anatomy import Anatomy, Normalise, examine, opened
from training.runtime import session

COARSE_PX: Final = 16  # of the input to a cell of the coarse map
FINE_PX: Final = 8
_BATCH: Final = 8

Images = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a backbone says of N pictures."""

    pooled: Vectors  # float32[N, D], unit length
    coarse: Vectors  # float32[N, g, g, C], unit length per cell
    fine: Vectors | None  # float32[N, G, G, c], unit length per cell; None where the backbone has no such map


class Backbone:
    """An opened backbone. `fine` is False where it has no map with twice the cells of the coarse one."""

    def __init__(self, anatomy: Anatomy, model: onnxruntime.InferenceSession, maps: Mapping[int, str]) -> None:
        """Take what `open` found; `maps` are tensors by their pixels to a cell."""
        self._anatomy = anatomy
        self._model = model
        self._maps = maps
        self.side = anatomy.size[0]
        self.fine = FINE_PX in maps

    @classmethod
    def open(cls, path: Path, *, normalise: Normalise | None = None) -> Self:
        """Open a backbone; without `normalise` it is guessed as the rule in `anatomy` says.

        Raises:
            Fatal: it cannot be read, takes no square pictures, or has no map of 1/16 of their side.
        """
        anatomy = examine(path, normalise)
        if anatomy.size[0] != anatomy.size[1]:
            raise Fatal(f"{path} takes {anatomy.size[1]} x {anatomy.size[0]}: export it for square pictures")
        model = onnx.load(str(path))
        maps = _maps(model, anatomy)
        if COARSE_PX not in maps:
            raise Fatal(f"{path} has no map of {anatomy.size[0] // COARSE_PX} cells a side to compare pictures by")
        given_out = {output.name for output in model.graph.output}
        wanted = {anatomy.pooled, *maps.values()} - given_out
        model.graph.output.extend(onnx.ValueInfoProto(name=each) for each in sorted(wanted))
        return cls(anatomy, opened(model.SerializeToString()), maps)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return self._anatomy.sentence()

    def pooled(self, images: Images) -> Vectors:
        """Return float32[N, D] of unit length for uint8[N, side, side, 3]."""
        return self.see(images).pooled

    def maps(self, images: Images) -> Vectors:
        """Return float32[N, g, g, C], unit length per cell, for uint8[N, side, side, 3]."""
        return self.see(images).coarse

    def see(self, images: Images) -> Seen:
        """Return all three for uint8[N, side, side, 3]."""
        names = [self._anatomy.pooled, *(self._maps[each] for each in (COARSE_PX, FINE_PX) if each in self._maps)]
        parts = [self._run(images[at : at + _BATCH], names) for at in range(0, len(images), _BATCH)]
        pooled, coarse, *fine = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Seen(
            pooled=unit(self._anatomy.pool(pooled)),
            coarse=unit(_cells_last(coarse, self.side // COARSE_PX)),
            fine=unit(_cells_last(fine[0], self.side // FINE_PX)) if fine else None,
        )

    def _run(self, images: Images, names: list[str]) -> list[Vectors]:
        """Run on few pictures at a time; a file made for one picture gets one at a time."""
        how = self._anatomy.normalise
        pixels = (images.astype(np.float32) - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
        given = pixels if self._anatomy.channels_last else pixels.transpose(0, 3, 1, 2)
        fixed = self._model.get_inputs()[0].shape[0]
        step = fixed if isinstance(fixed, int) and fixed > 0 else len(given)
        answers = [
            self._model.run(names, {self._anatomy.input: np.ascontiguousarray(given[at : at + step])})
            for at in range(0, len(given), step)
        ]
        return [np.concatenate(each) for each in zip(*answers, strict=True)]


class OwnEmbedding:
    """The line's own embedding model in a backbone's place: it has no fine map."""

    def __init__(self, path: Path) -> None:
        """Open the model file."""
        try:
            self._model = session(path)
            _, self.side, _, self._channels = (int(each) for each in (0, *self._model.get_inputs()[0].shape[1:]))
        except Exception as error:  # onnxruntime raises many types, none of them public
            raise Fatal(f"{path} is no embedding of the line's: name a --backbone instead") from error
        self.fine = False

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        return f"the line's own embedding, {self.side} x {self.side}"

    def see(self, images: Images) -> Seen:
        """Return pooled vectors and the patch map for uint8[N, side, side, 3]; there is no depth."""
        given = np.zeros((*images.shape[:3], self._channels), np.uint8)
        given[..., :3] = images
        pooled, cells = self._model.run(None, {"IMAGES": given})
        side = round(cells.shape[1] ** 0.5)
        return Seen(unit(pooled), unit(cells.reshape(len(cells), side, side, -1)), None)


def unit(vectors: Vectors) -> Vectors:
    """Scale to unit length along the last axis; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def _cells_last(values: Vectors, side: int) -> Vectors:
    return values if values.shape[1] == values.shape[2] == side else values.transpose(0, 2, 3, 1)


def _maps(model: Any, anatomy: Anatomy) -> dict[int, str]:  # noqa: ANN401 - onnx ships no types
    """Find the maps by running once on grey: outputs first, the widest of each size; else the last inner tensor."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = [each.name for each in model.graph.output]
    inner = [output for node in model.graph.node for output in node.output if output and output not in outputs]
    probe.graph.output.extend(onnx.ValueInfoProto(name=each) for each in inner)
    grey = np.zeros((1, *anatomy.size, 3) if anatomy.channels_last else (1, 3, *anatomy.size), np.float32)
    names = [*inner, *outputs]
    seen = dict(zip(names, opened(probe.SerializeToString()).run(names, {anatomy.input: grey}), strict=True))
    found: dict[int, str] = {}
    for pixels in (COARSE_PX, FINE_PX):
        side = anatomy.size[0] // pixels
        square = (side, side)
        fitting = [name for name in names if square in (np.shape(seen[name])[1:3], np.shape(seen[name])[2:])]
        fitting = [name for name in fitting if np.ndim(seen[name]) == 4]  # noqa: PLR2004 - a map
        named = [name for name in fitting if name in outputs]
        if named:
            found[pixels] = max(named, key=lambda name: seen[name].size)
        elif fitting:
            found[pixels] = fitting[-1]
    return found
