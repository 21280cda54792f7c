"""One picture file: what its header says, whether it is whole, and, where it is decoded, what it looks like."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evidence.decode import check_size, check_webp_canvas, decode
from schemas.faults import Poison
from training.data.findings import Matter

LARGEST_BYTES: Final = 256 << 20  # a picture of 64 million pixels, hardly compressed
_ENDS: Final = 4096  # bytes at either end that stand for the content where it is not read whole
_LOOK: Final = 128  # pixels of the long side that are enough to tell what a picture looks like
_PLAIN: Final = 8.0  # grey levels, standard deviation: what is below has no look to compare


@dataclass(frozen=True, slots=True)
class Look:
    """What a picture file is. `compression` is the mean of a JPEG's first quantisation table, 0 for other forms."""

    size_bytes: int
    width: int
    height: int
    form: str
    compression: float
    content: bytes  # digest of the file, or of its size and both ends
    decoded: bool
    brightness: float = 0.0  # mean grey level of a decoded picture
    contrast: float = 0.0  # standard deviation of its grey levels
    fingerprint: int | None = None  # 64 bits that survive another compression; None where there is nothing to see


class Unusable(Exception):
    """A file that is no picture; says which matter it is and why."""

    def __init__(self, matter: Matter, why: str) -> None:
        super().__init__(why)
        self.matter = matter


def look_at(path: Path, *, decoded: bool, whole: bool) -> Look:
    """Look at a picture; decode it if asked, and take its `content` from the whole file or from its ends.

    Raises:
        Unusable: it is no picture that the line would take.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_BYTES:
                raise Unusable(Matter.UNREADABLE, f"{size >> 20} MiB")
            raw = file.read() if decoded or whole else b""
            head, tail = _ends(file, size)
            check_webp_canvas(head)
            file.seek(0)
            width, height, form, compression = _header(file)
    except OSError as error:
        why = error.strerror or "no readable JPEG, PNG or WebP"
        raise Unusable(
            Matter.UNREADABLE, "an empty file" if path.is_file() and not path.stat().st_size else why
        ) from error
    except Poison as poison:
        raise Unusable(Matter.UNREADABLE, str(poison)) from poison
    if not _ended(form, size, head, tail):
        raise Unusable(Matter.TRUNCATED, f"{size} bytes")
    content = hashlib.blake2b(raw if whole else f"{size} ".encode() + head + tail, digest_size=16).digest()
    if not decoded:
        return Look(size, width, height, form, compression, content, decoded=False)
    try:
        rgb, _ = decode(raw, long_side=_LOOK)
    except Poison as poison:
        raise Unusable(Matter.UNREADABLE, str(poison)) from poison
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    mean, spread = float(grey.mean()), float(grey.std())
    if int(np.ptp(rgb, axis=(0, 1)).max()) <= 1:
        raise Unusable(Matter.ONE_COLOUR, f"colour {rgb[0, 0].tolist()}")
    return Look(size, width, height, form, compression, content, True, mean, spread, _fingerprint(grey, spread))


def _ends(file: BinaryIO, size: int) -> tuple[bytes, bytes]:
    file.seek(0)
    head = file.read(_ENDS)
    file.seek(max(0, size - _ENDS))
    return head, file.read(_ENDS)


def _header(file: BinaryIO) -> tuple[int, int, str, float]:
    """Return width, height, form and compression. Raises Poison or OSError."""
    with warnings.catch_warnings(action="ignore"):
        try:
            with Image.open(file, formats=("JPEG", "PNG", "WEBP")) as image:
                check_size(*image.size)
                tables = getattr(image, "quantization", None) or {}
                first = list(tables.values())[:1]
                compression = sum(first[0]) / len(first[0]) if first and first[0] else 0.0
                return image.size[0], image.size[1], str(image.format), compression
        except (Poison, MemoryError):
            raise
        except Exception as error:  # Pillow's readers raise whatever malformed bytes lead them into
            raise OSError(None, None) from error


def _ended(form: str, size: int, head: bytes, tail: bytes) -> bool:
    """Tell whether a file has its end: cameras may append to a JPEG, nothing may be missing."""
    if form in {"JPEG", "MPO"}:
        return b"\xff\xd9" in tail
    if form == "PNG":
        return b"IEND" in tail
    return int.from_bytes(head[4:8], "little") <= size - 8


def _fingerprint(grey: NDArray[np.uint8], spread: float) -> int | None:
    """Return which of 8 x 8 neighbours is brighter: the same for a picture saved twice, seldom for two pictures."""
    if spread < _PLAIN:
        return None
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, 1:] - small[:, :-1] > 2).ravel()  # noqa: PLR2004 - noise of a grey level or two decides nothing
    return int.from_bytes(np.packbits(bits).tobytes())
