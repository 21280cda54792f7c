"""Letters and codes: text in the typefaces OpenCV brings, and barcodes that scanners read."""

from __future__ import annotations

import functools
from typing import Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from booth.catalogue import Colour, PrintedCode

Paint = NDArray[np.uint8]  # uint8[h, w, 3] or uint8[h, w, 4] with opacity last; blue, green, red

PX_PER_CM: Final = 20.0


def pixels(length_cm: float) -> int:
    """Turn a length on a face into whole pixels of its artwork."""
    return max(8, round(length_cm * PX_PER_CM))


@functools.lru_cache(maxsize=1)
def _typeface() -> tuple[cv2.FontFace, cv2.FontFace]:
    return cv2.FontFace("sans"), cv2.FontFace("italic")


def write(
    face: Paint, text: str, x: float, y: float, colour: Colour, size: float, weight: int = 400, *, slanted: bool = False
) -> None:
    """Print `text` with its baseline starting at (x, y); `size` in pixels."""
    upright, italic = _typeface()
    cv2.putText(face, text, (int(x), int(y)), colour, italic if slanted else upright, int(size), weight)


def text_width(text: str, size: float, weight: int = 400) -> int:
    """Measure how wide `write` will print."""
    _, _, width, _ = cv2.getTextSize((10, 10), text, (0, 0), _typeface()[0], int(size), weight)
    return int(width)


def code_label(code: PrintedCode, room_px: int) -> Paint:
    """Draw a code with its quiet zone on white, at most `room_px` wide."""
    kinds = {"EAN13": zxingcpp.EAN13, "Code128": zxingcpp.Code128, "DataMatrix": zxingcpp.DataMatrix}
    options = {"gs1": True} if code.symbology == "DataMatrix" else {}
    modules = np.asarray(
        zxingcpp.create_barcode(code.text, kinds[code.symbology], **options).to_image(scale=1, add_quiet_zones=False)
    )
    flat = code.symbology != "DataMatrix"
    if flat:
        modules = modules[:1]
    quiet = 9 if flat else 2
    scale = min(2.75 if flat else 6.5, room_px / (modules.shape[1] + 2 * quiet))
    width, height = round(modules.shape[1] * scale), 58 if flat else round(modules.shape[0] * scale)
    fine = np.repeat(np.repeat(modules, 1 if flat else 8, axis=0), 8, axis=1)  # so that a module may be 1.6 pixels wide
    fine = np.broadcast_to(fine, (height, fine.shape[1])) if flat else fine
    bars = np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    margin = round(quiet * scale)
    bars = np.pad(bars, ((margin // 2 if flat else margin, 17), (margin, margin)), constant_values=250)
    label: Paint = np.repeat(bars[..., None], 3, axis=2)
    np.maximum(label, 24, out=label)  # ink is not black
    digits = code.text.strip("()").replace(")", " ")
    write(label, digits, (label.shape[1] - text_width(digits, 14)) / 2, label.shape[0] - 4, (40, 40, 40), 14)
    return label
