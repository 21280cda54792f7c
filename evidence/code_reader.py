"""Read bar codes and matrix codes from pixels: a cheap look first, stronger ones only while nothing is found.

One check digit lets one misread in ten through, and photographs of EAN and UPC codes do yield false texts. So such a
text counts as confirmed only when looks through two different transforms of the picture agree on it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import zxingcpp
from cv2.typing import MatLike
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat, Binarizer

from evidence.codes import Code

Grey = NDArray[np.uint8]

LONG_SIDE: Final = 1_600  # a code that a camera resolves is readable at this size, and the time stays bounded
# What product labels use. Each further format costs time and adds false reads (all of them: 3.8 ms instead of 2.2).
_FORMATS: Final = zxingcpp.BarcodeFormats(
    [
        BarcodeFormat.EAN13,
        BarcodeFormat.EAN8,
        BarcodeFormat.UPCA,
        BarcodeFormat.UPCE,
        BarcodeFormat.ITF,
        BarcodeFormat.Code128,
        BarcodeFormat.DataBar,
        BarcodeFormat.QRCode,
        BarcodeFormat.DataMatrix,
    ]
)
# One weak check digit, or none.
_WEAK: Final = frozenset({"EAN13", "EAN8", "UPCA", "UPCE", "ITF", "ITF14"})


@dataclass(frozen=True, slots=True)
class _Look:
    """One way of looking at a picture: a transform, and how the reader finds black and white in it."""

    transform: Callable[[Grey], Grey]
    binarizer: Binarizer = Binarizer.LocalAverage


def _as_is(grey: Grey) -> Grey:
    return grey


def _larger(grey: Grey) -> Grey:
    """Scale up by a half: edges fall on other pixels, so what was misread is rarely misread the same way again."""
    return _grey(cv2.resize(grey, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR))


def _equalised(grey: Grey) -> Grey:
    """Even out contrast locally, then double: for faint and unevenly lit codes."""
    return _doubled(_grey(cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)))


def _sharpened(grey: Grey) -> Grey:
    """Double and sharpen: for codes out of focus."""
    large = _doubled(grey)
    return _grey(cv2.addWeighted(large, 2.0, cv2.GaussianBlur(large, (0, 0), 3), -1.0, 0))


def _flattened(grey: Grey) -> Grey:
    """Double and divide by the paper's own brightness: for codes across folds and shadows."""
    large = _doubled(grey)
    paper = cv2.morphologyEx(cv2.GaussianBlur(large, (0, 0), 2), cv2.MORPH_CLOSE, np.ones((31, 31), np.uint8))
    return _grey(cv2.divide(large, cv2.GaussianBlur(paper, (0, 0), 15), scale=255))


def _doubled(grey: Grey) -> Grey:
    return _grey(cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


def _grey(image: MatLike) -> Grey:
    """Tell the type checker what OpenCV's own types leave open."""
    return np.asarray(image, np.uint8)


# In this order by what each adds for its time, on 233 photographs (bench/codes_photos.py).
_LOOKS: Final = (
    _Look(_as_is),
    _Look(_larger),
    _Look(_equalised),
    _Look(_sharpened, Binarizer.GlobalHistogram),
    _Look(_flattened),
)


def read_codes(rgb: NDArray[np.uint8], *, view: int, budget_s: float) -> list[Code]:
    """Read the codes of one picture, uint8[H, W, 3] or uint8[H, W].

    The first look is always taken. Further looks follow while nothing is found, or something found is not confirmed,
    and while the time budget lasts. Readings come in the order in which they were found.
    """
    until = time.perf_counter() + budget_s
    grey = _grey(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)) if rgb.ndim == 3 else rgb  # noqa: PLR2004 - has colours
    votes: dict[tuple[str, str], int] = defaultdict(int)
    for look in _LOOKS:
        for reading in set(_readings(look, grey)):
            votes[reading] += 1
        if (votes and all(_holds(symbology, count) for (_, symbology), count in votes.items())) or (
            time.perf_counter() >= until
        ):
            break
    return [Code(text, symbology, _holds(symbology, count), view) for (text, symbology), count in votes.items()]


def _holds(symbology: str, votes: int) -> bool:
    return votes >= (2 if symbology in _WEAK else 1)


def _readings(look: _Look, grey: Grey) -> Iterator[tuple[str, str]]:
    for found in zxingcpp.read_barcodes(look.transform(grey), formats=_FORMATS, binarizer=look.binarizer):
        if found.text:
            yield found.text, found.format.name
