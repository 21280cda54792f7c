"""The work on one picture, and the words in which the pool and its processes speak of it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.code_reader import LONG_SIDE, Effort, read_codes
from evidence.codes import Code
from evidence.decode import decode
from evidence.frame import SIDE, frame
from schemas.faults import Poison, Reason


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One picture to prepare. `effort` is None where nobody wants its codes."""

    view: int
    raw: bytes
    effort: Effort | None


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The framed pixels, uint8[160, 160, 3] as bytes, the upright picture's size, and the codes in it."""

    pixels: bytes
    width: int
    height: int
    codes: list[Code]


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
        return Done(frame(rgb).tobytes(), width, height, codes)
    except Poison as poison:
        return Refused(poison.reason, str(poison))
    except MemoryError:
        return Refused(Reason.PICTURE_KILLED, "the picture needs more memory than one may have")


def pixels_of(done: Done) -> NDArray[np.uint8]:
    """Return the framed pixels, uint8[160, 160, 3], read-only."""
    return np.frombuffer(done.pixels, np.uint8).reshape(SIDE, SIDE, 3)
