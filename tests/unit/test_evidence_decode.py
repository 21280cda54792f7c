"""Hostile bytes: each picture either decodes to one meaning or is refused with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from evidence.decode import MAX_SIDE, decode
from schemas.faults import Poison, Reason


def scene(width: int = 128, height: int = 96) -> Image.Image:
    """A picture whose four corners differ: red, green, blue, white over grey."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    down, across = height // 2, width // 2
    pixels[:down, :across], pixels[:down, across:] = (255, 0, 0), (0, 255, 0)
    pixels[down:, :across], pixels[down:, across:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own options
    """Write a picture."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def corners(rgb: NDArray[np.uint8]) -> list[str]:
    """Name the colours near the corners: top left, top right, bottom left, bottom right."""
    height, width = rgb.shape[:2]
    spots = [rgb[y, x] for y in (height // 8, -height // 8) for x in (width // 8, -width // 8)]
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white", (0, 0, 0): "black"}
    return [names[int(spot[0] > 127), int(spot[1] > 127), int(spot[2] > 127)] for spot in spots]


def refusal(raw: bytes) -> Poison:
    """Decode and return why not."""
    with pytest.raises(Poison) as caught:
        decode(raw, long_side=320)
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few compressed zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    raw = bytearray(encoded(scene(), "JPEG"))
    at = raw.index(b"\xff\xc0")
    raw[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(raw)


def webp_claiming(width: int, height: int) -> bytes:
    """A small lossless WebP whose header claims another size."""
    raw = bytearray(encoded(scene(), "WEBP", lossless=True))
    bits = int.from_bytes(raw[21:25], "little") >> 28 << 28 | (width - 1) | (height - 1) << 14
    raw[21:25] = bits.to_bytes(4, "little")
    return bytes(raw)


class TestFormats:
    """What decodes."""

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    def test_decodes_the_three_formats(self, form: str) -> None:
        """JPEG, PNG and WebP come out as RGB rows."""
        rgb, size = decode(encoded(scene(), form), long_side=320)
        assert (96, 128, 3) == rgb.shape
        assert (128, 96) == size
        assert ["red", "green", "blue", "white"] == corners(rgb)

    @pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "TGA"])
    def test_refuses_other_formats(self, form: str) -> None:
        """Pillow could read these; the line does not."""
        assert Reason.NOT_AN_IMAGE is refusal(encoded(scene(), form)).reason

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\xff",
            b"\xff\xd8",
            b"Not a picture, although its name may end in .jpg.\n" * 20,
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%PDF-1.7\n",
            b"RIFF\x00\x00\x00\x00WEBP",
            b"RIFF\x10\x00\x00\x00WEBPVP8 ",
            b"RIFF\x10\x00\x00\x00WEBPABCD\x00\x00\x00\x00",
            b"\x89PNG\r\n\x1a\n",
        ],
    )
    def test_refuses_what_is_no_picture(self, raw: bytes) -> None:
        """Text, nothing, and bare beginnings are refused in words."""
        poison = refusal(raw)
        assert Reason.NOT_AN_IMAGE is poison.reason
        assert "0x" not in str(poison)

    def test_ignores_what_follows_a_picture(self) -> None:
        """A JPEG with an archive behind it is a JPEG."""
        rgb, _ = decode(encoded(scene(), "JPEG") + b"PK\x03\x04" + bytes(1000), long_side=320)
        assert ["red", "green", "blue", "white"] == corners(rgb)

    def test_takes_the_first_picture_of_a_phones_file(self) -> None:
        """An MPO file is a JPEG with more pictures behind it, a depth map for one."""
        raw = encoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])
        assert (128, 96) == decode(raw, long_side=320)[1]

    @pytest.mark.parametrize("form", ["WEBP", "PNG"])
    def test_refuses_animations(self, form: str) -> None:
        """Nobody can say which frame would be the evidence."""
        raw = encoded(scene(), form, save_all=True, append_images=[Image.new("RGB", (128, 96))], duration=100)
        assert "an animation" in str(refusal(raw))


class TestModes:
    """How other kinds of pixels become RGB."""

    @pytest.mark.parametrize(
        ("mode", "form"), [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGBA", "WEBP")]
    )
    def test_converts(self, mode: str, form: str) -> None:
        """Grey, palette, CMYK and RGBA pictures keep dark dark and light light."""
        rgb, _ = decode(encoded(scene().convert(mode), form), long_side=320)
        assert (96, 128, 3) == rgb.shape
        assert "white" == corners(rgb)[3]
        assert "white" != corners(rgb)[2]

    def test_takes_the_high_byte_of_16_bits(self) -> None:
        """A 16-bit grey of three quarters is an 8-bit grey of three quarters."""
        deep = Image.fromarray(np.full((32, 32), 0xC000, np.uint16))
        rgb, _ = decode(encoded(deep, "PNG"), long_side=320)
        assert {0xC0} == set(np.unique(rgb).tolist())

    def test_lays_transparent_pixels_over_white(self) -> None:
        """Colours hidden behind full transparency are not evidence."""
        hidden = np.zeros((32, 32, 4), np.uint8)
        hidden[..., 0] = 255
        rgb, _ = decode(encoded(Image.fromarray(hidden), "PNG"), long_side=320)
        assert {255} == set(np.unique(rgb).tolist())


class TestOrientation:
    """EXIF orientation."""

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize(
        ("orientation", "expected"),
        [
            (1, ["red", "green", "blue", "white"]),
            (2, ["green", "red", "white", "blue"]),
            (3, ["white", "blue", "green", "red"]),
            (4, ["blue", "white", "red", "green"]),
            (5, ["red", "blue", "green", "white"]),
            (6, ["blue", "red", "white", "green"]),
            (7, ["white", "green", "blue", "red"]),
            (8, ["green", "white", "red", "blue"]),
            (9, ["red", "green", "blue", "white"]),
        ],
    )
    def test_turns_upright_once(self, form: str, orientation: int, expected: list[str]) -> None:
        """All eight orientations, in every format; an unknown one turns nothing."""
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb, size = decode(encoded(scene(), form, exif=exif.tobytes()), long_side=320)
        assert expected == corners(rgb)
        assert (rgb.shape[1], rgb.shape[0]) == size

    def test_broken_metadata_turns_nothing(self) -> None:
        """Pixels are used although their EXIF block is garbage."""
        raw = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*garbage that is no directory")
        assert ["red", "green", "blue", "white"] == corners(decode(raw, long_side=320)[0])


class TestLimits:
    """What a picture claims is checked before memory is spent."""

    @pytest.mark.parametrize(
        ("claim", "width", "height"),
        [
            (png_header, 30_000, 30_000),
            (png_header, MAX_SIDE + 1, 16),
            (png_header, 8_001, 8_000),
            (png_header, 2_000_000_000, 2_000_000_000),
            (jpeg_claiming, 30_000, 30_000),
            (jpeg_claiming, 65_000, 65_000),
            (webp_claiming, 16_383, 16_383),
            (webp_claiming, 16_384, 4_000),
        ],
    )
    def test_refuses_too_many_pixels(self, claim: Callable[[int, int], bytes], width: int, height: int) -> None:
        """The header alone is enough to refuse, and the message gives the size."""
        poison = refusal(claim(width, height))
        assert Reason.TOO_MANY_PIXELS is poison.reason
        assert f"{width} x {height}" in str(poison)

    @pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
    def test_refuses_pictures_that_show_nothing(self, size: tuple[int, int]) -> None:
        """A dot or a line is no picture of a unit."""
        assert Reason.NOT_AN_IMAGE is refusal(encoded(Image.new("RGB", size), "PNG")).reason

    def test_a_bomb_stops_at_its_own_size(self) -> None:
        """Compressed data beyond the claimed pixels is not unpacked."""
        rgb, _ = decode(png_header(16, 16), long_side=320)
        assert (16, 16, 3) == rgb.shape

    def test_reduces_large_jpegs_but_not_below_what_is_asked(self) -> None:
        """Twice the asked size or more is halved, the full size still told."""
        raw = encoded(scene(2048, 1024), "JPEG")
        rgb, size = decode(raw, long_side=320)
        assert (256, 512, 3) == rgb.shape
        assert (2048, 1024) == size
        assert ["red", "green", "blue", "white"] == corners(rgb)
        assert (1024, 2048, 3) == decode(raw, long_side=1600)[0].shape


class TestTruncation:
    """Files cut short."""

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    def test_refuses_half_a_file(self, form: str) -> None:
        """A picture of which half is missing is not a picture of the unit."""
        noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8))
        raw = encoded(noise, form)
        assert Reason.NOT_AN_IMAGE is refusal(raw[: len(raw) // 2]).reason

    @pytest.mark.parametrize("missing", [1, 2, 3, 10])
    def test_refuses_a_jpeg_without_its_end(self, missing: int) -> None:
        """Also when only the end marker is gone: a station that lost a byte may have lost more."""
        assert "truncated" in str(refusal(encoded(scene(), "JPEG")[:-missing]))

    @settings(max_examples=300)
    @given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
    def test_any_damage_ends_in_pixels_or_poison(self, form: str, data: st.DataObject) -> None:
        """Flipped and missing bytes never raise anything else."""
        raw = bytearray(encoded(scene(32, 24), form))
        for _ in range(data.draw(st.integers(1, 8))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(raw)))
        try:
            rgb, _ = decode(bytes(raw[:cut]), long_side=320)
        except Poison:
            return
        assert 3 == rgb.shape[2]
