"""The unit on its ground, keypoints, the pose, and what lies over what."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.geometry import LEAST, Pose, find_pose
from evidence.ground import unit_mask
from evidence.keypoints import Keypoints, detect, match
from evidence.overlay import (
    COMPARE,
    INSIDE,
    PRINTED,
    RIM,
    STEER,
    Plate,
    cell_likeness,
    lay,
    plate_of,
    share_alike,
    window_likeness,
)
from tests.unit.lookup.goods import HEIGHT, WIDTH, Picture, carton, packshot, photograph


def keypoints(picture: Picture) -> Keypoints:
    """Find keypoints as the search does."""
    return detect(picture, most=500, side=500)


def posed(reference: Picture, picture: Picture, *, least: int = LEAST) -> Pose | None:
    """Find a reference in a picture."""
    one, two = keypoints(reference), keypoints(picture)
    pairs = match(one, two)
    extent = float(max(reference.shape))
    return find_pose(one.spots[pairs[:, 0]], two.spots[pairs[:, 1]], extent=extent, least=least)


class TestUnitMask:
    """Telling a unit from its ground."""

    def test_the_unit_is_what_differs_from_the_plain_border(self) -> None:
        """All of the carton and hardly anything else."""
        mask = unit_mask(packshot(carton(1)))
        true = np.zeros((360, 360), np.bool_)
        true[30 : 30 + HEIGHT, 95 : 95 + WIDTH] = True

        assert (mask & true).sum() > 0.98 * true.sum()
        assert (mask & ~true).sum() < 0.02 * true.sum()

    def test_blank_sides_belong_to_the_unit(self) -> None:
        """A white stripe that runs from the ground into the carton is carton all the same."""
        front = carton(1)
        front[100:140, 40:] = 255

        assert unit_mask(packshot(front))[150, 240]

    def test_on_a_busy_ground_everything_counts(self) -> None:
        """Where the border has no colour of its own nothing can be told."""
        clutter = np.random.default_rng(1).integers(0, 256, (90, 90, 3)).astype(np.uint8)

        assert unit_mask(clutter).all()

    def test_an_empty_picture_is_all_unit(self) -> None:
        """Nothing but ground is no unit, so all of it is taken."""
        assert unit_mask(np.full((50, 60, 3), 200, np.uint8)).all()


class TestKeypoints:
    """Points that are found again."""

    def test_a_point_is_told_in_pixels_of_the_picture(self) -> None:
        """Whatever size the picture was scaled to for looking."""
        spots = [detect(packshot(carton(2)), most=200, side=side).spots[:, :2].mean(axis=0) for side in (360, 720)]

        assert np.abs(spots[0] - spots[1]).max() < 15

    def test_no_more_than_asked_for(self) -> None:
        """The strongest are kept, 128 bytes each."""
        found = detect(carton(2), most=50, side=500)

        assert (50, (50, 128), "uint8") == (len(found), found.descriptors.shape, str(found.descriptors.dtype))

    def test_a_plain_picture_has_none(self) -> None:
        """And nothing matches it."""
        plain = keypoints(np.full((80, 80, 3), 99, np.uint8))

        assert 0 == len(plain)
        assert (0, 2) == match(plain, keypoints(carton(1))).shape
        assert (0, 2) == match(keypoints(carton(1)), plain).shape

    def test_points_outside_the_mask_do_not_count(self) -> None:
        """Only the lower half is asked for."""
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[150:] = True

        assert detect(carton(1), most=300, side=300, mask=mask).spots[:, 1].min() > 145


class TestFindPose:
    """Where a reference lies."""

    @pytest.mark.parametrize("seed", range(4))
    def test_a_photograph_holds_its_carton(self, seed: int) -> None:
        """Many matches agree, and the corners come to lie where the carton was put."""
        pose = posed(carton(3), photograph(carton(3), seed))

        assert pose is not None
        assert pose.inliers >= 25
        middle = pose.matrix @ [WIDTH / 2, HEIGHT / 2, 1]
        assert np.abs(middle[:2] / middle[2] - 200).max() < 12

    def test_another_carton_is_not_found(self) -> None:
        """Chance matches and letters that both have are far fewer than those of the carton itself."""
        inliers = [
            0 if pose is None else pose.inliers
            for pose in (posed(carton(3), photograph(carton(other), 1)) for other in (3, 4, 5, 6, 7))
        ]

        assert inliers[0] > 2 * max(inliers[1:])

    def test_few_matches_are_no_pose(self) -> None:
        """Four may agree about anything."""
        spots = np.ones((4, 4), np.float32)

        assert find_pose(spots, spots, extent=100.0) is None

    def test_fewer_than_asked_for_are_no_pose(self) -> None:
        """Whoever wants so many gets the same pose or none."""
        shot, picture = carton(3), photograph(carton(3), 2)
        pose = posed(shot, picture)

        assert pose is not None
        enough = posed(shot, picture, least=pose.inliers)
        assert enough is not None
        assert enough.matrix.tolist() == pose.matrix.tolist()
        assert posed(shot, picture, least=pose.inliers + 1) is None

    def test_the_same_matches_give_the_same_pose(self) -> None:
        """Nothing is drawn at random from one call to the next."""
        one, two = (posed(carton(3), photograph(carton(3), 2)) for _ in range(2))

        assert one is not None
        assert two is not None
        assert one.matrix.tolist() == two.matrix.tolist()


class TestOverlay:
    """A photograph laid over a reference."""

    def laid(self, shown: Picture, *, reference: int = 3, seed: int = 1) -> tuple[NDArray[np.float32], Plate]:
        """Lay a photograph of a front over a carton's packshot; return the likeness of its windows."""
        shot = packshot(carton(reference))
        plate = plate_of(shot, unit_mask(shot))
        picture = photograph(shown, seed)
        pose = posed(shot, picture)
        assert pose is not None
        return window_likeness(lay(picture, plate, pose.matrix), plate), plate

    def test_the_plate_holds_the_unit_only(self) -> None:
        """Cut around the carton, which fills its long side."""
        shot = packshot(carton(1))
        plate = plate_of(shot, unit_mask(shot))
        rows = np.flatnonzero(plate.mask.max(axis=1) > 0.5)

        assert 200 < rows[-1] - rows[0] < 224
        assert len(plate.compare) > 50

    @pytest.mark.parametrize("number", range(3))
    def test_windows_lie_on_the_unit_and_show_print(self, number: int) -> None:
        """Each window is asked by itself: most of it is unit, and some colour varies."""
        shot = packshot(carton(number))
        plate = plate_of(shot, unit_mask(shot))
        for windows, (size, step) in ((plate.steer, STEER), (plate.compare, COMPARE)):
            wanted = []
            for top, left in itertools.product(range(RIM, 224 - size - RIM + 1, step), repeat=2):
                window = np.s_[top : top + size, left : left + size]
                spread = plate.pixels[window].reshape(-1, 3).std(axis=0).max()
                if plate.mask[window].mean() > INSIDE and spread > PRINTED:
                    wanted.append([top, left])

            assert 20 < len(wanted)
            assert wanted == windows.tolist()

    def test_the_same_carton_is_alike_nearly_everywhere(self) -> None:
        """In spite of blur, noise and another light."""
        likeness, _ = self.laid(carton(3))

        assert np.median(likeness) > 0.9
        assert share_alike(likeness) > 0.9

    def test_a_sibling_differs_where_its_print_does(self) -> None:
        """Half of the front is another: windows there are unlike, those of the other half alike."""
        sibling = carton(3)
        sibling[150:] = carton(8)[150:]
        likeness, plate = self.laid(sibling)
        upper = plate.compare[:, 0] < 95
        lower = plate.compare[:, 0] > 125

        assert np.median(likeness[upper]) > 0.85
        assert np.median(likeness[lower]) < 0.5
        assert likeness.mean() < self.laid(carton(3))[0].mean() - 0.2

    def test_what_the_photograph_does_not_show_is_unlike(self) -> None:
        """Windows beyond its edge count nothing."""
        shot = packshot(carton(3))
        plate = plate_of(shot, unit_mask(shot))
        cut = shot[:180]
        likeness = window_likeness(lay(cut, plate, np.eye(3)), plate)

        assert 0 == likeness[plate.compare[:, 0] > 130].max()
        assert likeness[plate.compare[:, 0] < 60].min() > 0.9

    def test_cells_off_the_unit_do_not_count(self) -> None:
        """Nor those that the photograph does not cover: these are unlike."""
        reference = np.ones((4, 4, 1), np.float32)
        mask, covered = np.zeros((8, 8), np.float32), np.ones((8, 8), np.bool_)
        mask[:, :4], covered[:4] = 1, False

        assert [0, 0, 0, 0, 1, 1, 1, 1] == cell_likeness(reference, reference, covered, mask).tolist()

    def test_nothing_to_compare_is_not_alike(self) -> None:
        """A blank carton has no windows."""
        assert 0 == share_alike(np.zeros(0, np.float32))

    def test_a_blank_unit_has_no_windows(self) -> None:
        """Only print can be compared."""
        blank = np.full((100, 100, 3), 255, np.uint8)
        cv2.rectangle(blank, (20, 20), (80, 80), (128, 128, 128), -1)
        plate = plate_of(blank, unit_mask(blank))

        assert (0, 2) == plate.compare[plate.compare.max(axis=1, initial=0) < 0].shape
        assert window_likeness(lay(blank, plate, np.eye(3)), plate).shape == (len(plate.compare),)
