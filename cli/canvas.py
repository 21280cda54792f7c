"""Drawing for posters: text, boxes and pictures on one tall sheet, cut to length at the end.

The typeface is the one Pillow brings along, so a poster looks the same on every machine; what it cannot write is
replaced before it turns into an empty box.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
WHITE: Final = (255, 255, 255)
INK: Final = (28, 33, 40)
GREY: Final = (104, 114, 126)
PALE: Final = (236, 239, 243)
RULE: Final = (208, 213, 220)
_SPARE_PX: Final = 6000
_SPELLED: Final = {"≥": ">=", "≤": "<=", "–": "-", "—": "-", "×": "x", "→": "->", "\n": " ", "\t": " "}  # noqa: RUF001


class Sheet:
    """A white sheet of a fixed width. Coordinates are pixels from the upper left corner."""

    def __init__(self, width: int) -> None:
        """Take a sheet that is long enough for anything; `save` cuts it."""
        self.width = width
        self._image = Image.new("RGB", (width, _SPARE_PX), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def text(
        self, x: float, y: float, text: str, size: int, color: Color = INK, *, bold: bool = False, anchor: str = "la"
    ) -> None:
        """Write one line; `anchor` as Pillow names it (`la`: x, y is the upper left corner)."""
        weight = size / 60 if bold else 0
        self._draw.text((x, y), writable(text), fill=color, font=font(size), anchor=anchor, stroke_width=weight)

    def paragraph(self, x: float, y: float, width: float, text: str, size: int, color: Color = INK) -> float:
        """Write text, broken to a width, and return the y below it."""
        for line in broken(text, size, width):
            self.text(x, y, line, size, color)
            y += size * 1.38
        return y

    def box(self, x: float, y: float, width: float, height: float, fill: Color, *, radius: int = 0) -> None:
        """Fill a rectangle."""
        if width > 0 and height > 0:
            self._draw.rounded_rectangle((x, y, x + width, y + height), radius, fill=fill)

    def outline(self, x: float, y: float, width: float, height: float, color: Color, *, line: int = 4) -> None:
        """Draw a rectangle that stands out from any picture: a dark line, a light halo."""
        around = (x, y, x + width, y + height)
        self._draw.rounded_rectangle(_grown(around, line // 2 + 2), 8, outline=WHITE, width=line + 4)
        self._draw.rounded_rectangle(around, 6, outline=color, width=line)

    def rule(self, x: float, y: float, width: float, color: Color = RULE) -> None:
        """Draw a thin horizontal line."""
        self._draw.line((x, y, x + width, y), fill=color, width=2)

    def tick(self, x: float, top: float, bottom: float, color: Color, *, line: int = 3) -> None:
        """Draw a vertical line."""
        self._draw.line((x, top, x, bottom), fill=color, width=line)

    def pointer(self, x: float, y: float, color: Color, *, size: int = 11) -> None:
        """Draw a small triangle whose tip points down at x, y."""
        self._draw.polygon([(x, y), (x - size, y - 1.5 * size), (x + size, y - 1.5 * size)], fill=color)

    def stripes(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Fill a rectangle with slanted stripes: what is there, but not free."""
        if width < 1 or height < 1:
            return
        tile = Image.new("RGB", (round(width), round(height)), WHITE)
        draw = ImageDraw.Draw(tile)
        for offset in range(-round(height), round(width), 9):
            draw.line((offset, height, offset + height, 0), fill=color, width=4)
        self._image.paste(tile, (round(x), round(y)))

    def picture(self, x: float, y: float, width: float, height: float, rgb: NDArray[np.uint8]) -> tuple[float, ...]:
        """Place a picture uint8[H, W, 3] whole in a frame; return where it really lies: x, y, width, height."""
        self.box(x, y, width, height, PALE, radius=6)
        picture = Image.fromarray(rgb)
        scale = min(width / picture.width, height / picture.height)
        shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        left, top = round(x + (width - shown.width) / 2), round(y + (height - shown.height) / 2)
        self._image.paste(shown, (left, top))
        return left, top, shown.width, shown.height

    def save(self, path: Path, *, height: float) -> None:
        """Cut the sheet to a height and write it as PNG."""
        self._image.crop((0, 0, self.width, round(height))).save(path, optimize=True)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the typeface in a size."""
    face = ImageFont.load_default(size)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType: install its official wheel")
    return face


def width_of(text: str, size: int) -> float:
    """Return how wide a line is."""
    return font(size).getlength(writable(text))


def writable(text: str) -> str:
    """Spell out what the typeface lacks; anything else that it lacks becomes a question mark."""
    return "".join(char if _has(char) else _SPELLED.get(char, "?") for char in text)


def broken(text: str, size: int, width: float) -> list[str]:
    """Break text between words to lines of a width; a word longer than a line is broken anywhere."""
    lines: list[str] = []
    line = ""
    for piece in (piece for word in text.split() for piece in _pieces(word, size, width)):
        joined = f"{line} {piece}" if line else piece
        if width_of(joined, size) <= width:
            line = joined
        else:
            lines.append(line)
            line = piece
    return [*lines, line] if line else lines


def _pieces(word: str, size: int, width: float) -> list[str]:
    """Return a word in pieces of at most a width, hardly ever more than one."""
    pieces = []
    while len(word) > 1 and width_of(word, size) > width:
        cut = next((length for length in range(len(word) - 1, 1, -1) if width_of(word[:length], size) <= width), 1)
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


@functools.cache
def _has(char: str) -> bool:
    mask, missing = (font(16).getmask(one) for one in (char, "\U0010fff0"))
    return char == " " or bytes(mask) != bytes(missing)


def _grown(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by
