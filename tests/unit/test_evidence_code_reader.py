"""Codes in pictures, drawn here: read upright and askew, confirmed only by two looks, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat

from evidence.code_reader import QUICK, THOROUGH, Effort, read_codes
from evidence.codes import Code
from evidence.patterns import Patch, code_patches, cut

FIRST_LOOK = Effort(budget_s=0.0, whole=False)
EAN = "4006381333931"


def drawn(text: str, form: BarcodeFormat, *, module: int = 2) -> NDArray[np.uint8]:
    """Draw a code with its quiet zone, uint8[H, W]."""
    bars = np.asarray(zxingcpp.create_barcode(text, form).to_image(scale=module, add_quiet_zones=True))
    return bars if bars.shape[0] > 30 else cv2.resize(bars, None, fx=1, fy=60 / bars.shape[0])  # type: ignore[return-value]


def pasted(*codes: tuple[NDArray[np.uint8], int, int], side: int = 480) -> NDArray[np.uint8]:
    """Lay codes on a grey picture, uint8[side, side, 3], each at its row and column."""
    picture = np.full((side, side), 170, np.uint8)
    for code, row, column in codes:
        height, width = code.shape
        picture[row : row + height, column : column + width] = code
    return np.repeat(picture[..., None], 3, axis=2)


def seen_askew(picture: NDArray[np.uint8], *, turn_deg: float, shear: float) -> NDArray[np.uint8]:
    """Turn and shear a picture about its middle, with the noise of a camera."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), turn_deg, 1.0)
    slant = np.array([[1, shear, -shear * side / 2], [0, 1, 0], [0, 0, 1]])
    moved = cv2.warpAffine(picture, turn @ slant, (side, side), borderValue=(170, 170, 170))
    noise = np.random.default_rng(7).normal(0, 4, moved.shape)
    return (moved + noise).clip(0, 255).astype(np.uint8)


class TestReadCodes:
    """`read_codes`."""

    @pytest.mark.parametrize(
        ("form", "text"),
        [
            (BarcodeFormat.Code128, "X001ABCDEF"),
            (BarcodeFormat.QRCode, "https://id.gs1.org/01/09506000134352"),
            (BarcodeFormat.DataMatrix, "LPN0001"),
        ],
    )
    def test_confirms_strong_codes_at_once(self, form: BarcodeFormat, text: str) -> None:
        """Code 128, QR and Data Matrix check themselves well enough for one look."""
        picture = pasted((drawn(text, form), 100, 60))
        assert [Code(text, form.name, confirmed=True, view=3)] == read_codes(picture, view=3, effort=FIRST_LOOK)

    @pytest.mark.parametrize(
        ("form", "text"),
        [(BarcodeFormat.EAN13, EAN), (BarcodeFormat.EAN8, "96385074"), (BarcodeFormat.ITF, "10614141000033")],
    )
    def test_confirms_weak_codes_by_a_second_look(self, form: BarcodeFormat, text: str) -> None:
        """After one look an EAN is a suspicion, after two that agree it is known."""
        picture = pasted((drawn(text, form), 100, 100))
        assert [(text, False)] == [(c.text, c.confirmed) for c in read_codes(picture, view=0, effort=FIRST_LOOK)]
        assert [(text, True)] == [(c.text, c.confirmed) for c in read_codes(picture, view=0)]

    def test_reads_several_codes(self) -> None:
        """Every code of a picture is told, so that one that contradicts is not hidden."""
        picture = pasted(
            (drawn(EAN, BarcodeFormat.EAN13), 60, 60), (drawn("9780804816632", BarcodeFormat.EAN13), 300, 60)
        )
        codes = read_codes(picture, view=0)
        assert {(EAN, True), ("9780804816632", True)} == {(code.text, code.confirmed) for code in codes}

    @pytest.mark.parametrize("turn_deg", [0, 20, 35, 45, 60, 90, 115, 150, 180, 210])
    @pytest.mark.parametrize("shear", [0.0, 0.35])
    def test_reads_bars_at_any_angle(self, turn_deg: int, shear: float) -> None:
        """Units lie as they fall: turned and in perspective, where straight scan lines would miss bars."""
        low = drawn(EAN, BarcodeFormat.EAN13)[:60]
        picture = seen_askew(pasted((low, 210, 130)), turn_deg=turn_deg, shear=shear)
        assert [(EAN, True)] == [(code.text, code.confirmed) for code in read_codes(picture, view=0, effort=THOROUGH)]

    def test_says_control_characters_as_they_are(self) -> None:
        """A separator inside a text stays one character and is not spelled out, as scanners send it."""
        text = "[)>\x1e06\x1dP123\x1e\x04"
        picture = pasted((drawn(text, BarcodeFormat.QRCode, module=4), 60, 60))
        assert [text] == [code.text for code in read_codes(picture, view=0)]

    def test_a_faint_code_needs_no_pattern(self) -> None:
        """Print too faint for the patch finder is read all the same where whole pictures are looked at."""
        bars = 150 + drawn(EAN, BarcodeFormat.EAN13, module=3).astype(np.int16) // 20
        picture = pasted((bars.astype(np.uint8), 100, 60))
        assert [] == code_patches(picture[..., 0].copy())
        patient = {whole: Effort(budget_s=60.0, whole=whole) for whole in (False, True)}
        assert [] == read_codes(picture, view=0, effort=patient[False])
        assert [Code(EAN, "EAN13", confirmed=True, view=0)] == read_codes(picture, view=0, effort=patient[True])

    def test_reads_nothing_from_noise(self) -> None:
        """Noise and plain print hold no code, whatever the effort."""
        noise = np.random.default_rng(3).integers(0, 255, (240, 240, 3), np.uint8)
        assert [] == read_codes(noise, view=0, effort=THOROUGH)

    def test_takes_grey_pictures_and_large_ones(self) -> None:
        """Grey pictures need no colours; beyond 1,600 pixels they are reduced first."""
        grey = pasted((drawn(EAN, BarcodeFormat.EAN13, module=8), 200, 200), side=3_000)[..., 0]
        assert [EAN] == [code.text for code in read_codes(grey, view=0)]

    def test_keeps_to_its_budget(self) -> None:
        """Past the budget no further look starts: stripes everywhere and no code in them cost one look more at most."""
        stripes = np.zeros((640, 640), np.uint8)
        stripes[:, ::7] = stripes[:, 1::7] = stripes[:, 3::11] = 255
        started = time.process_time()
        assert [] == read_codes(stripes, view=0, effort=Effort(budget_s=0.0, whole=True))
        first_s = time.process_time() - started
        started = time.process_time()
        read_codes(stripes, view=0, effort=Effort(budget_s=60.0, whole=True))
        assert 2 * first_s < time.process_time() - started

    @pytest.mark.parametrize("effort", [QUICK, THOROUGH])
    def test_what_is_read_does_not_depend_on_the_clock(self, effort: Effort, monkeypatch: pytest.MonkeyPatch) -> None:
        """A blurred, noisy code takes several looks to confirm; a machine with half the speed takes the same ones."""
        blurred = cv2.GaussianBlur(pasted((drawn(EAN, BarcodeFormat.EAN13, module=2), 210, 130)), (0, 0), 2.0)
        noise = np.random.default_rng(5).normal(0, 12, blurred.shape)
        picture = (blurred + noise).clip(0, 255).astype(np.uint8)
        taken: list[int] = []
        looks: Callable[..., object] = zxingcpp.read_barcodes

        def counted(*arguments: object, **options: object) -> object:
            taken.append(1)
            return looks(*arguments, **options)

        monkeypatch.setattr(zxingcpp, "read_barcodes", counted)
        clock, read, counts = time.thread_time, [], []
        for slower in (0.0, 1.0, 2.0):
            monkeypatch.setattr(time, "thread_time", lambda slower=slower: clock() * slower)
            read.append(read_codes(picture, view=0, effort=effort))
            counts.append(len(taken))
            taken.clear()

        assert counts[0] > 3, "one look is enough for this picture"
        assert [counts[0]] * 3 == counts
        assert [read[0]] * 3 == read

    def test_a_picture_made_to_take_long_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What takes several times as long as its pixels say is not looked at further: each look takes a second."""
        stripes = np.zeros((320, 320), np.uint8)
        stripes[:, ::7] = stripes[:, 1::7] = stripes[:, 3::11] = 255
        seconds = iter(range(1_000))
        asked: list[float] = []

        def clock() -> float:
            asked.append(float(next(seconds)))
            return asked[-1]

        monkeypatch.setattr(time, "thread_time", clock)
        assert [] == read_codes(stripes, view=0, effort=Effort(budget_s=0.4, whole=True))
        assert [0.0, 1.0, 2.0, 3.0] == asked

    def test_quick_spends_little_on_a_picture_without_a_code(self) -> None:
        """Where nothing is patterned like a code, the first look is the only one."""
        plain = pasted()
        cv2.circle(plain, (240, 240), 150, (90, 60, 30), -1)
        assert [] == code_patches(plain[..., 0].copy())
        assert [] == read_codes(plain, view=0, effort=QUICK)


class TestCodePatches:
    """`code_patches` and `cut`."""

    @pytest.mark.parametrize("turn_deg", [0, 30, 70])
    def test_finds_bars_and_their_direction(self, turn_deg: int) -> None:
        """The patch lies on the bars, its width along the row of bars."""
        low = drawn(EAN, BarcodeFormat.EAN13)[:60]
        height, width = low.shape
        upright = pasted((low, 240 - height // 2, 240 - width // 2))
        picture = seen_askew(upright, turn_deg=turn_deg, shear=0)[..., 0].copy()
        patch, *_ = code_patches(picture)
        assert abs(patch.x - 240) < 15
        assert abs(patch.y - 240) < 15
        along = np.degrees(patch.angle) if patch.width > patch.height else np.degrees(patch.angle) + 90
        assert abs((along + turn_deg + 90) % 180 - 90) < 9

    def test_finds_nothing_in_tiny_pictures(self) -> None:
        """A picture smaller than the window has no patches."""
        assert [] == code_patches(np.zeros((16, 16), np.uint8))

    @given(st.floats(-1.5, 1.5), st.floats(0, 60), st.floats(0, 40), st.sampled_from([1.0, 1.5, 2.0]))
    def test_a_cut_knows_its_way_back(self, angle: float, x: float, y: float, scale: float) -> None:
        """A dot in a cut lies where `back` says, to a pixel."""
        picture = np.zeros((200, 240), np.uint8)
        cv2.circle(picture, (round(90 + x), round(80 + y)), 2, (255,), -1)
        part = cut(picture, Patch(120, 100, 160, 120, angle), scale)
        rows, columns = np.nonzero(part.grey > 127)
        back_x, back_y = part.back(float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)
        assert abs(back_x - 0.5 - round(90 + x)) < 1
        assert abs(back_y - 0.5 - round(80 + y)) < 1

    def test_patches_hold_what_lies_in_them(self) -> None:
        """A turned patch holds a middle along its width, not one across."""
        patch = Patch(100, 100, 80, 20, np.pi / 4)
        assert patch.holds(Patch(120, 120, 1, 1))
        assert not patch.holds(Patch(120, 80, 1, 1))
