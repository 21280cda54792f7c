"""Light that fades from some capture on, and takes nothing else with it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from booth.fading import Fading
from booth.world import Picture, World


def shown(picture: Picture) -> np.ndarray:
    """Return float64[h, w, 3] of a picture."""
    return np.asarray(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), np.float64)


@pytest.fixture(scope="module")
def world() -> Fading:
    """Fade from capture 2 to capture 6."""
    return Fading(3, begin=2, end=6, products=4)


class TestFading:
    """What the world shows."""

    def test_good_light_is_the_world_as_it_is(self, world: Fading) -> None:
        """Byte for byte, up to the moment when it begins."""
        plain = World(3, products=4, damage_rate=0.04)
        assert plain.shot(2).pictures == world.shot(2).pictures
        assert plain.reference_ids() == world.reference_ids()

    def test_light_is_lost_step_by_step_and_then_stays_lost(self, world: Fading) -> None:
        """Half of it in red, more in blue; the unit, its damage and its depth are the same."""
        plain = World(3, products=4, damage_rate=0.04)
        ratios = [
            shown(world.shot(at).pictures[0]).mean() / shown(plain.shot(at).pictures[0]).mean() for at in (4, 6, 9)
        ]
        assert 1 > ratios[0] > ratios[1]
        assert abs(ratios[1] - ratios[2]) < 0.03
        assert 0.35 < ratios[1] < 0.5
        blue, _, red = shown(world.shot(9).pictures[0]).mean(axis=(0, 1)) / shown(plain.shot(9).pictures[0]).mean(
            (0, 1)
        )
        assert blue < red < 0.55
        assert [picture.depth_png for picture in plain.shot(9).pictures] == [
            picture.depth_png for picture in world.shot(9).pictures
        ]
        assert ["no", "fading", "yes"] == [world.shot(at).truth.facts["faded"] for at in (2, 4, 6)]

    def test_the_same_capture_is_the_same_picture_again(self, world: Fading) -> None:
        """Whoever asks, and in any order."""
        assert world.shot(5).pictures == Fading(3, begin=2, end=6, products=4).shot(5).pictures
