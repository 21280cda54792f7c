"""Read bar codes and matrix codes from pixels: a cheap look first, stronger ones only where they may help.

One check digit lets one misread in ten through, and photographs of EAN and UPC codes do yield false texts. So such a
text counts as confirmed only when looks through two different transforms of the picture agree on it, and the looks that
read something else at the same place are fewer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import zxingcpp
from cv2.typing import MatLike
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat, Binarizer

from evidence.codes import Code
from evidence.stripes import Region, striped_regions

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
# How many looks must agree; one, where it is not said. UPC-E has half the bars of the others and is misread most.
_VOTES_NEEDED: Final = {"EAN13": 2, "EAN8": 2, "UPCA": 2, "ITF": 2, "ITF14": 2, "UPCE": 3}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time the codes of one picture may take, and whether strong looks go over the whole picture."""

    budget_s: float
    whole: bool


QUICK: Final = Effort(budget_s=0.06, whole=False)  # the line's: strong looks only at striped regions
THOROUGH: Final = Effort(budget_s=2.0, whole=True)  # for a person who waits for one picture


def read_codes(rgb: NDArray[np.uint8], *, view: int, effort: Effort = QUICK) -> list[Code]:
    """Read the codes of one picture, uint8[H, W, 3] or uint8[H, W].

    The first look is always taken. Further ones follow while nothing is found, or something found is not confirmed, and
    while the time lasts. Codes come in the order in which they were found.
    """
    until = time.perf_counter() + effort.budget_s
    grey = _grey(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)) if rgb.ndim == 3 else rgb  # noqa: PLR2004 - has colours
    tally = _Tally()
    for look, region in _plan(grey, tally, effort):
        tally.count(look, _readings(_LOOKS[look], region, grey))
        if tally.settled or time.perf_counter() >= until:
            break
    return tally.codes(view)


def _plan(grey: Grey, tally: _Tally, effort: Effort) -> Iterator[tuple[int, Region]]:
    """Yield which look to take at which region next, as the tally stands by then."""
    height, width = grey.shape
    whole = Region(0, 0, width, height)
    yield 0, whole
    regions = [region.grown(grey) for region in tally.regions() or striped_regions(grey)]
    for look in range(1, len(_LOOKS)):
        for region in regions:
            yield look, region
    if effort.whole:
        for look in range(1, len(_LOOKS)):
            yield look, whole


@dataclass(frozen=True, slots=True)
class _Reading:
    text: str
    symbology: str
    region: Region

    def rivals(self, other: _Reading) -> bool:
        """Tell whether the two cannot both be true: other texts at the same place."""
        return self.text != other.text and (_holds(self.region, other.region) or _holds(other.region, self.region))


@dataclass(slots=True)
class _Tally:
    """Which looks read what. A look votes once for a text, however often and wherever it sees it."""

    _votes: dict[str, set[int]] = field(default_factory=dict)
    _first: dict[str, _Reading] = field(default_factory=dict)

    def count(self, look: int, readings: Iterable[_Reading]) -> None:
        for reading in readings:
            self._votes.setdefault(reading.text, set()).add(look)
            self._first.setdefault(reading.text, reading)

    @property
    def settled(self) -> bool:
        return bool(self._first) and all(self._confirmed(reading) for reading in self._first.values())

    def regions(self) -> list[Region]:
        """Return where something was read that is not confirmed yet."""
        return [reading.region for reading in self._first.values() if not self._confirmed(reading)]

    def codes(self, view: int) -> list[Code]:
        return [Code(each.text, each.symbology, self._confirmed(each), view) for each in self._first.values()]

    def _confirmed(self, reading: _Reading) -> bool:
        votes = len(self._votes[reading.text])
        against = sum(len(self._votes[other.text]) for other in self._first.values() if reading.rivals(other))
        return votes >= _VOTES_NEEDED.get(reading.symbology, 1) and votes > against


@dataclass(frozen=True, slots=True)
class _Look:
    """One way of looking at a picture: a transform, and how the reader finds black and white in it."""

    transform: Callable[[Grey], Grey]
    binarizer: Binarizer = Binarizer.LocalAverage


def _as_is(grey: Grey) -> Grey:
    return grey


def _larger(grey: Grey) -> Grey:
    """Scale up by a half: edges fall on other pixels, so what was misread is rarely misread the same way again."""
    return _scaled(grey, 1.5)


def _equalised(grey: Grey) -> Grey:
    """Even out contrast locally, then double: for faint and unevenly lit codes."""
    return _scaled(_grey(cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)), 2.0)


def _sharpened(grey: Grey) -> Grey:
    """Double and sharpen: for codes out of focus."""
    large = _scaled(grey, 2.0)
    return _grey(cv2.addWeighted(large, 2.0, cv2.GaussianBlur(large, (0, 0), 3), -1.0, 0))


def _flattened(grey: Grey) -> Grey:
    """Double and divide by the paper's own brightness: for codes across folds and shadows."""
    large = _scaled(grey, 2.0)
    paper = cv2.morphologyEx(cv2.GaussianBlur(large, (0, 0), 2), cv2.MORPH_CLOSE, np.ones((31, 31), np.uint8))
    return _grey(cv2.divide(large, cv2.GaussianBlur(paper, (0, 0), 15), scale=255))


# In this order by what each adds for its time, on 233 photographs (bench/codes_photos.py).
_LOOKS: Final = (
    _Look(_as_is),
    _Look(_larger),
    _Look(_equalised),
    _Look(_sharpened, Binarizer.GlobalHistogram),
    _Look(_flattened),
)


def _scaled(grey: Grey, factor: float) -> Grey:
    """Scale up, but not beyond the size at which codes are looked for at all."""
    factor = max(1.0, min(factor, LONG_SIDE / max(grey.shape)))
    return _grey(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))


def _grey(image: MatLike) -> Grey:
    """Tell the type checker what OpenCV's own types leave open."""
    return np.asarray(image, np.uint8)


def _readings(look: _Look, region: Region, grey: Grey) -> Iterator[_Reading]:
    part = np.ascontiguousarray(region.of(grey))
    seen = look.transform(part)
    scale = seen.shape[1] / part.shape[1]
    for found in zxingcpp.read_barcodes(seen, formats=_FORMATS, binarizer=look.binarizer):
        if not found.text:
            continue
        corners = (
            found.position.top_left,
            found.position.top_right,
            found.position.bottom_left,
            found.position.bottom_right,
        )
        columns = [region.left + round(corner.x / scale) for corner in corners]
        rows = [region.top + round(corner.y / scale) for corner in corners]
        place = Region(min(columns), min(rows), max(columns) + 1, max(rows) + 1)
        yield _Reading(found.text, found.format.name, place)


def _holds(region: Region, other: Region) -> bool:
    """Tell whether the middle of the other region lies in this one."""
    x, y = (other.left + other.right) // 2, (other.top + other.bottom) // 2
    return region.left <= x < region.right and region.top <= y < region.bottom
