"""A world that turns: each capture is the one that its half of the day says, in any process."""

from __future__ import annotations

import multiprocessing

import pytest

from booth.turns import Turned
from booth.world import World


@pytest.mark.parametrize("index", [4, 5])
def test_each_capture_is_that_of_its_half(index: int) -> None:
    """Before the turn the first world plays, from it on the other; the renderer is another process."""
    first, then = World(3, products=4, damage_rate=0.0), World(3, products=4, damage_rate=1.0)
    own = (first, then)[index >= 5].shot(index)
    with multiprocessing.get_context("spawn").Pool(1) as elsewhere:
        shot = elsewhere.apply(Turned(first, then, at=5).shot, (index,))
    assert own.pictures == shot.pictures
    assert shot.truth.damaged is (index >= 5)


def test_the_catalogue_stays_the_first_ones() -> None:
    """What changes on the line is not announced in the catalogue."""
    first, then = World(3, products=4), World(3, products=4, redesigned=1.0)
    turned = Turned(first, then, at=5)
    assert first.products() == turned.products()
    assert first.reference_ids() == turned.reference_ids()
    assert first.lines == turned.lines
