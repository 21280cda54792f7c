"""What depth adds to a view, and what it may not cost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.depth import channels, decode_depth
from evidence.frame import CHANNELS, SIDE, model_input
from evidence.picture_work import Done, Job, pixels_of, work
from schemas.faults import Poison, Reason


def table(*, side: int = 240, tilt: float = 0.2) -> NDArray[np.float32]:
    """Return float32[side, side] millimetres to a table that leans away from a camera 70 cm over it."""
    y = np.linspace(-1, 1, side, dtype=np.float32)[:, None]
    return np.broadcast_to(700 / (1 + tilt * y), (side, side)).astype(np.float32)


def as_depth(millimetres: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return tenths of a millimetre."""
    return np.rint(millimetres * 10).astype(np.uint16)


def png(depth: NDArray[np.uint16] | NDArray[np.uint8]) -> bytes:
    """Compress as a depth camera's driver does."""
    return cv2.imencode(".png", depth)[1].tobytes()


class TestChannels:
    """`channels`."""

    def test_a_leaning_table_is_flat(self) -> None:
        """The table's plane is taken away, however the camera stands."""
        seen = channels(as_depth(table(tilt=0.35)))
        assert seen is not None
        assert (seen[..., 0] >= 127).all()
        assert (seen[..., 0] <= 129).all()
        assert (abs(seen[..., 1].astype(int) - 11) <= 1).all()

    def test_a_box_is_as_high_as_it_is(self) -> None:
        """Height is in millimetres over the table."""
        scene = table(tilt=0.0)
        scene[80:160, 80:160] -= 50
        seen = channels(as_depth(scene))
        assert seen is not None
        assert 11 + 50 == int(np.median(seen[90:150, 90:150, 1]))

    def test_a_shallow_dent_is_plain_in_the_relief(self) -> None:
        """A dent of three millimetres moves the height by 3, the relief by ten times as much."""
        scene = table(tilt=0.0)
        scene[60:180, 60:180] -= 50
        scene[115:125, 115:125] += 3
        seen = channels(as_depth(scene))
        assert seen is not None
        relief = seen[..., 0].astype(int)
        assert relief[120, 120] < relief[100, 100] - 20

    def test_what_was_not_measured_is_zero_and_spoils_no_neighbour(self) -> None:
        """Holes stay holes; around them the relief is that of the surface."""
        depth = as_depth(table())
        depth[100:120, 100:120] = 0
        seen = channels(depth)
        assert seen is not None
        assert not seen[100:120, 100:120].any()
        assert (abs(seen[97:99, 97:123, 0].astype(int) - 128) <= 2).all()

    def test_a_blind_camera_counts_as_none(self) -> None:
        """A depth picture that measured next to nothing says nothing."""
        depth = np.zeros((240, 240), np.uint16)
        depth[:5, :5] = 7000
        assert channels(depth) is None

    def test_things_on_the_border_do_not_tilt_the_table(self) -> None:
        """A unit that reaches over the edge of the view is left out of the plane."""
        scene = table(tilt=0.1)
        scene[:, 200:] -= 80
        seen = channels(as_depth(scene))
        assert seen is not None
        assert abs(int(np.median(seen[:, :150, 1])) - 11) <= 1
        assert abs(int(np.median(seen[:, 215:, 1])) - 91) <= 4


class TestDecodeDepth:
    """`decode_depth`."""

    def test_gives_back_what_was_written(self) -> None:
        """Sixteen bits survive."""
        depth = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
        assert (depth == decode_depth(png(depth))).all()

    @pytest.mark.parametrize(
        "raw",
        [b"", b"nonsense", png(np.zeros((32, 32), np.uint8)), png(np.zeros((32, 32, 3), np.uint8)), b"\x89PNG\r\n"],
    )
    def test_refuses_what_is_no_depth(self, raw: bytes) -> None:
        """Anything but a 16-bit grey PNG is refused with a reason."""
        with pytest.raises(Poison) as caught:
            decode_depth(raw)
        assert Reason.NOT_AN_IMAGE is caught.value.reason

    def test_refuses_a_cut_file(self) -> None:
        """A truncated PNG is no depth."""
        with pytest.raises(Poison):
            decode_depth(png(np.full((200, 200), 7000, np.uint16))[:-40])


class TestModelInput:
    """`model_input`."""

    def test_colours_first_then_depth_in_the_same_place(self) -> None:
        """Depth of another resolution lands where its picture lies."""
        rgb = np.full((240, 480, 3), 90, np.uint8)
        depth = as_depth(table(side=240))[:120]
        square = model_input(rgb, depth)
        assert (SIDE, SIDE, CHANNELS) == square.shape
        assert not square[: SIDE // 4 - 1, :, 3:].any()
        assert square[SIDE // 4 + 1 : 3 * SIDE // 4 - 1, :, 3:].all()

    def test_without_depth_its_channels_are_zero(self) -> None:
        """No depth is told from any depth."""
        assert not model_input(np.full((480, 480, 3), 90, np.uint8))[..., 3:].any()


class TestWork:
    """`work` with depth."""

    @staticmethod
    def picture() -> bytes:
        """Return a plain JPEG."""
        return cv2.imencode(".jpg", np.full((64, 64, 3), 120, np.uint8))[1].tobytes()

    def test_depth_reaches_the_models(self) -> None:
        """A good depth view fills its channels."""
        done = work(Job(0, self.picture(), None, png(as_depth(table()))))
        assert isinstance(done, Done)
        assert "" == done.depth_fault
        assert pixels_of(done)[..., 3:].all()

    @pytest.mark.parametrize("raw", [b"", b"garbage", png(np.zeros((9, 9), np.uint8))])
    def test_a_bad_depth_costs_only_itself(self, raw: bytes) -> None:
        """The picture is judged without it, and why is said."""
        done = work(Job(0, self.picture(), None, raw))
        assert isinstance(done, Done)
        assert done.depth_fault
        assert not pixels_of(done)[..., 3:].any()
