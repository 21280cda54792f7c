"""Read bar codes and matrix codes from pixels: a cheap look first, stronger ones only where they may help.

One check digit lets one misread in ten through, and photographs of EAN and UPC codes do yield false texts. So such a
text counts as confirmed only when looks through two different transforms of the picture agree on it, and the looks that
read something else at the same place are fewer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import zxingcpp
from cv2.typing import MatLike
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat, Binarizer, ContentType

from evidence.codes import Code
from evidence.patterns import Cut, Grey, Patch, code_patches, cut

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
# The library writes these as people and catalogues do, identifiers of GS1 in brackets.
_PLAIN: Final = (ContentType.Text, ContentType.GS1)
# How many looks must agree; one, where it is not said. UPC-E has half the bars of the others, and the add-on digits
# beside a book's EAN read as one: with three looks one photograph in 231 still yields a false text.
_VOTES_NEEDED: Final = {"EAN13": 2, "EAN8": 2, "UPCA": 2, "ITF": 2, "ITF14": 2, "UPCE": 4}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time the codes of one picture may take, and whether strong looks go over the whole picture.

    The budget is in CPU time as looks took it where they were measured, by their pixels: what is read must depend on
    the picture alone, and a clock of CPU time runs faster too where others use the caches. A clock ends only what takes
    `OVERRUN` times the budget, as pictures do that are made to keep the reader busy. Wall time the pool limits.
    """

    budget_s: float
    whole: bool


QUICK: Final = Effort(budget_s=0.06, whole=False)  # the line's: strong looks only where it is patterned
THOROUGH: Final = Effort(budget_s=0.1, whole=True)  # for folders of photographs, where nobody waits for the line
OVERRUN: Final = 6.0
_LOOK_S: Final = 0.0008  # that every look takes, however small its patch


def read_codes(rgb: NDArray[np.uint8], *, view: int, effort: Effort = QUICK) -> list[Code]:
    """Read the codes of one picture, uint8[H, W, 3] or uint8[H, W].

    The first look is always taken. Further ones follow while nothing is found, or something found is not confirmed, and
    while the budget lasts. Codes come in the order in which they were found.
    """
    until, spent_s = time.thread_time() + OVERRUN * effort.budget_s, 0.0
    grey = _grey(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)) if rgb.ndim == 3 else rgb  # noqa: PLR2004 - has colours
    if (factor := LONG_SIDE / max(grey.shape)) < 1:
        grey = _grey(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
    tally = _Tally()
    for look, patch in _plan(grey, tally, effort):
        tally.count(look, _readings(_LOOKS[look], patch, grey))
        spent_s += _LOOKS[look].takes_s(patch)
        if tally.settled or spent_s >= effort.budget_s or time.thread_time() >= until:
            break
    return tally.codes(view)


def _plan(grey: Grey, tally: _Tally, effort: Effort) -> Iterator[tuple[int, Patch]]:
    """Yield which look to take at which patch next, as the tally stands by then.

    Where something was read, the next looks go there and nowhere else: what is missing is a second opinion.
    """
    whole = Patch.whole(grey)
    yield 0, whole
    found = [patch.grown() for patch in tally.patches() or code_patches(grey)]
    askew = [patch for patch in found if patch.angle]  # what lies level is in the whole picture as well
    for look in range(1, len(_LOOKS)):
        if not effort.whole:
            patches = found
        elif not (patches := [patch.grown() for patch in tally.patches()]) and not _LOOKS[look].confirms_only:
            patches = [*(askew if look < _LOOKS_ASKEW else ()), whole]
        for patch in patches:
            yield look, patch


@dataclass(frozen=True, slots=True)
class _Reading:
    text: str
    symbology: str
    patch: Patch

    def rivals(self, other: _Reading) -> bool:
        """Tell whether the two cannot both be true: other texts at the same place."""
        return self.text != other.text and (
            self.patch.grown().holds(other.patch) or other.patch.grown().holds(self.patch)
        )


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

    def patches(self) -> list[Patch]:
        """Return where something was read that is not confirmed yet."""
        return [reading.patch for reading in self._first.values() if not self._confirmed(reading)]

    def codes(self, view: int) -> list[Code]:
        return [Code(each.text, each.symbology, self._confirmed(each), view) for each in self._first.values()]

    def _confirmed(self, reading: _Reading) -> bool:
        votes = len(self._votes[reading.text])
        against = sum(len(self._votes[other.text]) for other in self._first.values() if reading.rivals(other))
        return votes >= _VOTES_NEEDED.get(reading.symbology, 1) and votes > against


@dataclass(frozen=True, slots=True)
class _Look:
    """One way of looking at a patch: its scale, a transform, and how the reader finds black and white in it."""

    scale: float
    transform: Callable[[Grey], Grey]
    binarizer: Binarizer = Binarizer.GlobalHistogram  # as good after these transforms, in two thirds of the time
    confirms_only: bool = False  # a look at what was read already; too dear for a whole picture
    pixel_ns: float = 20.0  # CPU time by `python -m bench.codes_photos FOLDER --looks`

    def scale_of(self, patch: Patch) -> float:
        """Return by how much a patch is scaled up: not beyond the size at which codes are looked for at all."""
        return max(1.0, min(self.scale, LONG_SIDE / max(patch.width, patch.height)))

    def takes_s(self, patch: Patch) -> float:
        """Return how much CPU time the look at a patch takes, as far as its pixels tell."""
        return _LOOK_S + 1e-9 * self.pixel_ns * patch.width * patch.height * self.scale_of(patch) ** 2


def _as_is(grey: Grey) -> Grey:
    return grey


def _equalised(grey: Grey) -> Grey:
    """Even out contrast locally: for faint and unevenly lit codes."""
    return _grey(cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey))


def _sharpened(grey: Grey) -> Grey:
    """Take the blur away: for codes out of focus."""
    return _grey(cv2.addWeighted(grey, 2.0, cv2.GaussianBlur(grey, (0, 0), 3), -1.0, 0))


def _sharpened_hard(grey: Grey) -> Grey:
    """Take more and wider blur away: for codes far out of focus."""
    return _grey(cv2.addWeighted(grey, 3.0, cv2.GaussianBlur(grey, (0, 0), 6), -2.0, 0))


def _softened(grey: Grey) -> Grey:
    """Blur a little: for matrix codes whose modules are speckled or drawn apart."""
    return _grey(cv2.GaussianBlur(grey, (0, 0), 1))


def _flattened(grey: Grey) -> Grey:
    """Divide by the paper's own brightness: for codes across folds and shadows."""
    paper = cv2.morphologyEx(cv2.GaussianBlur(grey, (0, 0), 2), cv2.MORPH_CLOSE, np.ones((31, 31), np.uint8))
    return _grey(cv2.divide(grey, cv2.GaussianBlur(paper, (0, 0), 15), scale=255))


# In this order by what each adds for its time (bench/codes_photos.py): the second is as cheap as the first and reads 13
# more of 204. The third confirms: scaled by a half, edges fall on other pixels, and what was misread is rarely misread
# the same way again.
_LOOKS: Final = (
    _Look(1.0, _as_is, Binarizer.LocalAverage, pixel_ns=12),
    _Look(1.0, _equalised),
    _Look(1.5, _as_is, Binarizer.LocalAverage),
    _Look(2.0, _equalised),
    _Look(2.0, _sharpened),
    _Look(2.0, _flattened, pixel_ns=50),
    _Look(2.0, _sharpened_hard, pixel_ns=25),
    _Look(1.0, _softened, pixel_ns=12),
    _Look(3.0, _equalised, confirms_only=True, pixel_ns=25),
)

_LOOKS_ASKEW: Final = 4  # of these, for what lies askew, where the whole picture is looked at as well


def _grey(image: MatLike) -> Grey:
    """Tell the type checker what OpenCV's own types leave open."""
    return np.asarray(image, np.uint8)


def _readings(look: _Look, patch: Patch, grey: Grey) -> Iterator[_Reading]:
    """Read a patch, scaled up."""
    part = cut(grey, patch, look.scale_of(patch))
    picture = look.transform(part.grey)
    found = zxingcpp.read_barcodes(picture, formats=_FORMATS, binarizer=look.binarizer)
    texts = [each.text for each in found]
    if any(each.content_type not in _PLAIN for each in found):
        # Control characters come as `<SOH>` then, which no scanner says; brackets around identifiers stay.
        plain = zxingcpp.read_barcodes(
            picture, formats=_FORMATS, binarizer=look.binarizer, text_mode=zxingcpp.TextMode.Plain
        )
        texts = [
            each.text if each.content_type in _PLAIN else bare.text for each, bare in zip(found, plain, strict=True)
        ]
    for each, text in zip(found, texts, strict=True):
        if text:
            yield _Reading(text, each.format.name, _place(each.position, part))


def _place(position: zxingcpp.Position, part: Cut) -> Patch:
    """Return where in the picture a code was found, as a patch along its own direction."""
    quad = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    (left, top), (right, upper), (far, low), (near, lower) = (part.back(corner.x, corner.y) for corner in quad)
    return Patch(
        x=(left + right + far + near) / 4,
        y=(top + upper + low + lower) / 4,
        width=math.hypot(right - left, upper - top),
        height=math.hypot(near - left, lower - top),
        angle=math.atan2(upper - top, right - left),
    )
