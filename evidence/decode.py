"""From hostile bytes to pixels: what a picture claims is checked before memory is spent on it.

Only JPEG, PNG and WebP, only stills, whole files, of a size a camera makes. Runs inside the pool's processes; training
and the tools that explain a decision call the same function, so that a picture has one meaning.
"""

from __future__ import annotations

import io
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.faults import Poison, Reason

FORMATS: Final = ("JPEG", "PNG", "WEBP")  # no other reader of Pillow's ever sees a stranger's bytes
MAX_PIXELS: Final = 64_000_000
MAX_SIDE: Final = 16_384
MIN_SIDE: Final = 8  # nothing can be seen in less; the smallest matrix code has 10 modules a side
_ORIENTATION: Final = 0x0112  # the EXIF tag
# EXIF orientation -> what makes the picture upright (EXIF 2.32, table 6).
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # our own limit is stricter and names its reason


def decode(raw: bytes, *, long_side: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode a picture upright into RGB uint8[H, W, 3], and return it with the full picture's (width, height).

    A JPEG whose long side is at least twice `long_side` may come back reduced by a power of two, never below
    `long_side`: its decoder can leave out detail that nobody asked for, in a fraction of the time.

    Raises:
        Poison: `not_an_image` (other formats, truncated files, animations, tiny pictures) or `too_many_pixels`.
        MemoryError: decoding needs more than the process may have.
    """
    check_webp_canvas(raw)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(raw), formats=FORMATS) as image,
        ):
            width, height = image.size
            check_size(width, height)
            _check_still(image)
            orientation = _orientation(image)
            if image.mode in {"RGB", "L"}:
                scale = long_side / max(width, height)
                image.draft(image.mode, (round(width * scale), round(height * scale)))
            image.load()
            rgb = _to_rgb(image)
            if (turn := _UPRIGHT.get(orientation)) is not None:
                rgb = rgb.transpose(turn)
            size = (height, width) if orientation >= 5 else (width, height)  # noqa: PLR2004 - these lie on their side
            return np.array(rgb, np.uint8), size
    except (Poison, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise whatever malformed bytes lead them into
        raise Poison(Reason.NOT_AN_IMAGE, f"no readable JPEG, PNG or WebP: {_plain(error)}") from error


def _check_still(image: Image.Image) -> None:
    """Refuse animations: which frame would be the evidence? A phone's MPO file is a JPEG with extras behind it."""
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise Poison(Reason.NOT_AN_IMAGE, "an animation, where a still picture was expected")


def check_size(width: int, height: int) -> None:
    """Refuse pictures beyond the limits. Raises Poison."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise Poison(
            Reason.TOO_MANY_PIXELS,
            f"{width} x {height} pixels; the limits are {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} million in all",
        )
    if min(width, height) < MIN_SIDE:
        raise Poison(Reason.NOT_AN_IMAGE, f"{width} x {height} pixels show nothing; {MIN_SIDE} a side are needed")


def check_webp_canvas(raw: bytes) -> None:
    """Check a WebP's size by its own header: Pillow's reader reserves the whole canvas as soon as it opens the file."""
    if raw[:4] != b"RIFF" or raw[8:12] != b"WEBP":
        return
    body = raw[20:30].ljust(10, b"\0")
    match raw[12:16]:
        case b"VP8X":  # 24 bits each, one less
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        case b"VP8L":  # after a signature byte 14 bits each, one less
            bits = int.from_bytes(body[1:5], "little")
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":  # after a frame tag and a start code 14 bits each, and two of scaling
            size = int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
        case _:
            raise Poison(Reason.NOT_AN_IMAGE, "no readable JPEG, PNG or WebP: a WebP without a picture")
    check_size(*size)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; broken or unknown metadata turns nothing."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as in `decode`; the pixels may be fine
        return 1
    return value if value in _UPRIGHT else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode: the high byte of 16-bit greys, transparent pixels over white."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, np.int64).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture).convert("RGB")
    return image.convert("RGB")


def _plain(error: Exception) -> str:
    """Return an error's words without the addresses of objects that Pillow puts into them."""
    words = str(error).partition(" <_io")[0]
    return words[:200] or type(error).__name__
