"""What picture files hold: colours, depth, and the whole work that the pool's processes do on them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Final

import numpy as np
import zxingcpp
from PIL import Image

from evidence.code_reader import QUICK
from evidence.decode import decode
from evidence.depth import channels, decode_depth
from evidence.frame import SIDE
from evidence.picture_work import Done, Job, work
from schemas.faults import Poison
from tests.fuzz.mutators import png_chunks
from tests.fuzz.scratch import scratch
from tests.fuzz.target import Target
from training.data.files import Unusable, look_at

_LENGTH: Final = struct.Struct("<I")  # before the depth, in inputs that hold both
_WORDS: Final = (
    *(b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xe1", b"\xff\xe2"),
    *(b"Exif\0\0", b"MM\0*", b"II*\0", b"MPF\0", b"JFIF\0", b"Adobe", b"ICC_PROFILE\0", b"Photoshop 3.0\0"),
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"zTXt", b"iTXt", b"acTL", b"fdAT", b"pHYs"),
    *(b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF"),
)


def _colours(raw: bytes) -> None:
    """Any bytes are pixels or Poison."""
    with suppress(Poison, MemoryError):
        rgb, (width, height) = decode(raw, long_side=2 * SIDE)
        if (
            rgb.ndim != 3
            or rgb.shape[2] != 3
            or min(rgb.shape[:2]) < 1
            or rgb.shape[1] > width
            or rgb.shape[0] > height
        ):
            raise AssertionError(f"{rgb.shape} of a picture of {width} x {height}")


def _depth(raw: bytes) -> None:
    """Any bytes are depth or Poison, and any depth has its two channels or none."""
    with suppress(Poison, MemoryError):
        channels(decode_depth(raw))


def _work(raw: bytes) -> None:
    """The whole work on a picture with its depth: a reply, whatever the two are."""
    depth = None
    if len(raw) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(raw)
        rest = raw[_LENGTH.size :]
        depth, raw = (rest[:length], rest[length:]) if 0 < length <= len(rest) else (None, rest)
    reply = work(Job(0, raw, QUICK, depth))
    if isinstance(reply, Done) and len(reply.pixels) != SIDE * SIDE * 5:
        raise AssertionError(f"{len(reply.pixels)} bytes of pixels")


def _looked_at(raw: bytes) -> None:
    """A file in a data set is a picture or Unusable."""
    file = scratch() / "picture"
    file.write_bytes(raw)
    with suppress(Unusable, MemoryError):
        look_at(file, decoded=True, whole=True)


@cache
def _seeds() -> Sequence[bytes]:
    """Render small pictures in every form that is taken, and some that are not."""
    rng = np.random.default_rng(1)
    rgb = Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [
        *(_saved(rgb, form, exif=exif.tobytes()) for form in ("JPEG", "PNG", "WEBP")),
        _saved(rgb, "JPEG", progressive=True, quality=60),
        _saved(rgb, "WEBP", lossless=True),
        _saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        _saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(180)]),
        *(_saved(rgb.convert(mode), "PNG") for mode in ("L", "LA", "P", "RGBA", "1")),
        *(_saved(rgb.convert(mode), "JPEG") for mode in ("L", "CMYK")),
        _saved(rgb.convert("P"), "PNG", transparency=0),
        _saved(rgb.convert("P"), "GIF"),
    ]
    return [*made, *_depths()]


@cache
def _depths() -> Sequence[bytes]:
    """Render depth as cameras give it: a plane, a box on it, holes."""
    plane = np.full((24, 32), 7_000, np.uint16)
    plane[8:16, 8:24] = 6_000
    holes = plane.copy()
    holes[::3] = 0
    arrays = (plane, holes, np.zeros_like(plane), np.full((9, 200), 65_535, np.uint16))
    return [_saved(Image.fromarray(array), "PNG") for array in arrays]


@cache
def _jobs() -> Sequence[bytes]:
    """Render pictures with codes, alone and with depth."""
    drawn = [
        zxingcpp.create_barcode(text, form).to_image(scale=2)
        for text, form in (("9506000134352", zxingcpp.BarcodeFormat.EAN13), ("P-1", zxingcpp.BarcodeFormat.QRCode))
    ]
    coded = [_saved(Image.fromarray(np.array(each, np.uint8)), "PNG") for each in drawn]
    return [
        *(_LENGTH.pack(0) + each for each in (*coded, *_seeds()[:4])),
        *(_LENGTH.pack(len(depth)) + depth + coded[0] for depth in _depths()),
    ]


def _saved(image: Image.Image, form: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


_MIB: Final = 1024  # as much as the pool allows, see settings.line
TARGETS: Final = (
    Target("pictures.colours", _colours, _seeds, _WORDS, png_chunks, timeout_s=20, memory_mib=_MIB, inputs=4_000),
    Target("pictures.depth", _depth, _depths, _WORDS, png_chunks, timeout_s=20, memory_mib=_MIB, inputs=2_000),
    Target("pictures.work", _work, _jobs, _WORDS, timeout_s=20, memory_mib=_MIB, inputs=150),
    Target("pictures.files", _looked_at, _seeds, _WORDS, png_chunks, timeout_s=20, memory_mib=_MIB, inputs=2_000),
)
