"""Pictures made to cost more than they are, a few hundred kilobytes to a few megabytes each."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image

MIB: Final = 1024 * 1024


def png(*extra: bytes, width: int = 64, height: int = 64, claimed: tuple[int, int] | None = None) -> bytes:
    """Return a black PNG with chunks of one's own before its pixels, which may claim another size than it has."""
    header = struct.pack(">IIBBBBB", *(claimed or (width, height)), 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes((1 + 3 * width) * height))
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *extra, chunk(b"IDAT", rows), chunk(b"IEND", b"")])


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG, checksum included."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def jpeg(*segments: bytes) -> bytes:
    """Return a small JPEG with segments of one's own behind its first marker."""
    raw = still("JPEG")
    return raw[:2] + b"".join(segments) + raw[2:]


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def still(form: str, *, frames: int = 1) -> bytes:
    """Return a small picture, or one of many frames."""
    out = io.BytesIO()
    more = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(1, frames)]
    Image.new("RGB", (64, 64)).save(out, form, **({"save_all": True, "append_images": more} if more else {}))
    return out.getvalue()


@functools.cache
def _zeros(mebibytes: int) -> bytes:
    """Return zeros, packed a thousand to one."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(mebibytes)), packer.flush()])


def _scans(times: int) -> bytes:
    """Return a progressive JPEG of 16 million pixels that says its last scan over and over."""
    out = io.BytesIO()
    Image.new("RGB", (4_000, 4_000)).save(out, "JPEG", progressive=True)
    raw = out.getvalue()
    last = raw[raw.rfind(b"\xff\xc4", 0, raw.rfind(b"\xff\xda")) : -2]
    return raw[:-2] + last * times + raw[-2:]


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "a text that unpacks to 256 MiB": lambda: png(chunk(b"zTXt", b"k\0\0" + _zeros(256))),
    "another text that does": lambda: png(chunk(b"iTXt", b"k\0\1\0\0\0" + _zeros(256))),
    "a colour profile that does": lambda: png(chunk(b"iCCP", b"k\0\0" + _zeros(256))),
    "three hundred texts of 1 MiB": lambda: png(*[chunk(b"zTXt", b"%d\0\0" % n + _zeros(1)) for n in range(300)]),
    "half a million chunks": lambda: png(chunk(b"abCd", b"") * 500_000),
    "metadata of 8 MiB": lambda: png(chunk(b"eXIf", b"MM\0*" + bytes(8 * MIB))),
    "pixels that unpack to 256 MiB": lambda: png(chunk(b"IDAT", _zeros(256))),
    "a size of 900 million pixels": lambda: png(claimed=(30_000, 30_000)),
    "a hundred colour profiles": lambda: jpeg(
        *[segment(0xE2, b"ICC_PROFILE\0" + bytes([n + 1, 255]) + bytes(65_000)) for n in range(100)]
    ),
    "a hundred blocks of metadata": lambda: jpeg(*[segment(0xE1, b"Exif\0\0" + bytes(65_000)) for _ in range(100)]),
    "a million comments": lambda: jpeg(segment(0xFE, b"") * 1_000_000),
    "three hundred scans": lambda: _scans(300),
    "a thousand frames of WebP": lambda: still("WEBP", frames=1_000),
    "two hundred frames of PNG": lambda: still("PNG", frames=200),
}
