"""The models' square shows a whole picture, unstretched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.frame import SIDE, Inset, frame, inset


class TestInset:
    """`inset`."""

    @pytest.mark.parametrize(
        ("width", "height", "expected"),
        [
            (480, 480, Inset(0, 0, 224, 224)),
            (640, 480, Inset(0, 28, 224, 168)),
            (480, 640, Inset(28, 0, 168, 224)),
            (16_000, 8, Inset(0, 111, 224, 1)),
            (16, 8, Inset(0, 56, 224, 112)),
        ],
    )
    def test_fits_the_long_side(self, width: int, height: int, expected: Inset) -> None:
        """The long side fills the square, the short one is centred."""
        assert expected == inset(width, height)

    @given(st.integers(1, 16_384), st.integers(1, 16_384))
    def test_lies_inside(self, width: int, height: int) -> None:
        """Whatever the shape, the picture lies within the square and touches two of its sides."""
        place = inset(width, height)
        assert SIDE == max(place.width, place.height)
        assert 0 <= place.x <= SIDE - place.width
        assert 0 <= place.y <= SIDE - place.height


class TestFrame:
    """`frame`."""

    def test_keeps_the_aspect_and_pads_with_the_borders_median(self) -> None:
        """Beside a portrait picture lies the colour of its own border, not black."""
        picture = np.full((448, 224, 3), (90, 100, 110), np.uint8)
        picture[112:336, 56:168] = (250, 0, 0)
        square = frame(picture)
        assert (SIDE, SIDE, 3) == square.shape
        assert (90, 100, 110) == tuple(square[112, 5])
        assert (250, 0, 0) == tuple(square[112, 112])
        assert 56 * 112 == int((square[..., 0] > 200).sum())

    def test_enlarges_small_pictures(self) -> None:
        """A picture smaller than the square fills it too."""
        picture = np.zeros((8, 8, 3), np.uint8)
        picture[:, 4:] = 255
        square = frame(picture)
        assert 0 == square[:, :98].max()
        assert 255 == square[:, 126:].min()
