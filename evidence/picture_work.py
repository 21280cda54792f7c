"""The work on one picture, and the words in which the pool and its processes speak of it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.code_reader import LONG_SIDE, Effort, read_codes
from evidence.codes import Code
from evidence.decode import decode
from evidence.depth import Depth, decode_depth
from evidence.frame import CHANNELS, SIDE, model_input
from schemas.faults import Poison, Reason


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One picture to prepare, with its depth where there is one. `effort` is None where nobody wants its codes."""

    view: int
    raw: bytes
    effort: Effort | None
    depth: bytes | None = None


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The models' input, uint8[224, 224, 5] as bytes, the upright picture's size, and the codes in it.

    `depth_fault` says why the depth that came with the picture could not be used.
    """

    pixels: bytes
    width: int
    height: int
    codes: list[Code]
    depth_fault: str = ""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """Why the picture cannot be used."""

    reason: Reason
    message: str


Reply = Done | Refused


def work(job: Job) -> Reply:
    """Decode, frame and read one picture."""
    try:
        rgb, (width, height) = decode(job.raw, long_side=2 * SIDE if job.effort is None else LONG_SIDE)
        codes = [] if job.effort is None else read_codes(rgb, view=job.view, effort=job.effort)
        depth, fault = _depth(job.depth)
        return Done(model_input(rgb, depth).tobytes(), width, height, codes, fault)
    except Poison as poison:
        return Refused(poison.reason, str(poison))
    except MemoryError:
        return Refused(Reason.PICTURE_KILLED, "the picture needs more memory than one may have")


def pixels_of(done: Done) -> NDArray[np.uint8]:
    """Return the models' input, uint8[224, 224, 5], read-only."""
    return np.frombuffer(done.pixels, np.uint8).reshape(SIDE, SIDE, CHANNELS)


def _depth(raw: bytes | None) -> tuple[Depth | None, str]:
    """Decode the depth, if any. Depth is used when present and never required: a bad one costs only itself."""
    if raw is None:
        return None, ""
    try:
        return decode_depth(raw), ""
    except Poison as poison:
        return None, str(poison)
