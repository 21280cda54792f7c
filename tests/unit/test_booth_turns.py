"""A world that turns: each capture is the one that its half of the day says, in any process."""

from __future__ import annotations

import multiprocessing

import cv2
import numpy as np
import pytest

from booth.turns import Mislabelled, Turned
from booth.world import World
from evidence.code_reader import read_codes


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


class TestMislabelled:
    """Units that carry another product's code."""

    @pytest.fixture(scope="class")
    def world(self) -> Mislabelled:
        """A world in which every other label is wrong."""
        return Mislabelled(3, mislabelled=0.5, products=6, damage_rate=0.2)

    def test_only_codes_differ_from_the_world_without(self, world: Mislabelled) -> None:
        """Product, damage and cameras are the same; right labels and stickers leave every pixel as it was."""
        plain, kinds = World(3, products=6, damage_rate=0.2, scan_wrong=0.0), set()
        for index in range(8):
            shot, without = world.shot(index), plain.shot(index)
            kind = shot.truth.facts["label"]
            kinds.add(kind)
            assert (without.truth.product_id, without.truth.damaged) == (shot.truth.product_id, shot.truth.damaged)
            assert shot.truth.wrong_label is (kind != "right")
            if kind != "print":
                assert without.pictures == shot.pictures
        assert {"right", "sticker", "print"} == kinds

    def test_a_wrong_label_is_what_the_scanner_reads(self, world: Mislabelled) -> None:
        """It names another product of the catalogue; a right label is read as ever, or not at all."""
        names = {product.product_id for product in world.products()}
        shots = [world.shot(index) for index in range(8)]
        for shot in shots:
            if shot.truth.wrong_label:
                assert shot.scan is not None
                assert shot.scan.code in names - {shot.truth.product_id}
            elif shot.scan is not None:
                assert shot.truth.product_id in shot.scan.code or shot.scan.symbology == "Code128"

    def test_the_print_shows_the_other_products_code(self) -> None:
        """What can be read in the pixels is never the unit's own code."""
        world = Mislabelled(3, mislabelled=1.0, products=6, damage_rate=0.0)
        printed = [index for index in range(24) if world.plan(index).product.codes[0].on_top]
        read = []
        for index in printed[:10]:
            shot = world.shot(index)
            if shot.truth.facts["label"] != "print":
                continue
            for picture in shot.pictures:
                pixels = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
                read += [(shot, code.text) for code in read_codes(np.asarray(pixels, np.uint8), view=0)]
        assert read
        assert all(shot.truth.product_id not in text for shot, text in read)

    def test_a_wrong_label_needs_another_product(self) -> None:
        """In a world of one there is nothing to confuse."""
        with pytest.raises(ValueError, match="second product"):
            Mislabelled(3, mislabelled=0.5, products=1)
