"""Laying a capture over prints of references."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from evidence.frame import frame
from evidence.prints import REFERENCE_KEYPOINTS, Overlay, Print, Squares, pack, print_of, unpack
from tests.unit.lookup.goods import Picture, carton, packshot, photograph


def square(picture: Picture) -> Squares:
    """Return a picture as the models see it."""
    return frame(picture)


def shot(number: int) -> Print:
    """Return the print of a carton's packshot."""
    return print_of(square(packshot(carton(number))))


def sibling() -> Picture:
    """Return a carton whose upper half is that of carton 3."""
    front = carton(3)
    front[150:] = carton(8)[150:]
    return front


def likeness(shown: Picture, *prints: Print, seed: int = 1) -> float:
    """Lay a photograph of a front over prints of one product."""
    found = Overlay(square(photograph(shown, seed))[None], {"P": prints}).likeness("P")
    assert found is not None
    return found


class TestPrint:
    """What is kept of a view."""

    def test_is_small(self) -> None:
        """At most 200 keypoints, and a JPEG: some 33 kB."""
        kept = shot(3)

        assert 50 < len(kept.keypoints) <= REFERENCE_KEYPOINTS
        assert len(pack([kept])) < 60_000

    def test_comes_back_as_it_was(self) -> None:
        """To the last bit; the square but for what JPEG costs."""
        prints = (shot(3), print_of(np.full((224, 224, 3), 99, np.uint8)))

        assert prints == unpack(pack(prints))
        assert (0, 4) == prints[1].keypoints.spots.shape
        assert not pack(())

    def test_keypoints_lie_on_the_unit(self) -> None:
        """What lies on the ground is somebody else's."""
        ground = packshot(carton(3))
        ground[:, :60] = photograph(carton(5), 2)[:360, :60]
        plain = shot(3).keypoints.spots[:, 0].min()

        assert plain > 224 * 90 / 360
        assert len(print_of(square(ground)).keypoints) > 0

    @pytest.mark.parametrize("wrong", [b"", b"no picture", b"\xff\xd8\xff" + bytes(400_000)])
    def test_a_square_that_is_none(self, wrong: bytes) -> None:
        """Is said in words."""
        with pytest.raises(ValueError, match="no JPEG of 224 x 224"):
            Print(b"", b"", wrong).plate()

    def test_a_square_of_another_size(self) -> None:
        """Is none either, and only its header is read: one of a gigabyte costs no more."""
        with pytest.raises(ValueError, match="no JPEG of 224 x 224"):
            msgspec.structs.replace(shot(3), square=print_of(np.zeros((225, 225, 3), np.uint8)).square).plate()


class TestOverlay:
    """Overlay.likeness."""

    @pytest.mark.parametrize("seed", range(4))
    def test_the_same_product_is_alike_and_no_other(self, seed: int) -> None:
        """By more than siblings are, and strangers cannot be laid over at all, nearly always."""
        own, near = likeness(carton(3), shot(3), seed=seed), likeness(sibling(), shot(3), seed=seed)
        others = [likeness(carton(number), shot(3), seed=seed) for number in (4, 5, 6)]

        assert own > 0.8
        assert own > near + 0.02
        assert max(others) < 0.6

    def test_damage_hides_a_part_only(self) -> None:
        """A torn third leaves the rest alike."""
        torn = carton(3)
        torn[:90] = np.random.default_rng(1).integers(0, 256, torn[:90].shape)

        assert likeness(torn, shot(3)) > 0.8

    def test_the_pair_of_views_that_agrees_most_speaks(self) -> None:
        """In whatever order the views of both come."""
        empty = np.full((224, 224, 3), 120, np.uint8)
        squares = np.stack([empty, square(photograph(carton(3), 1))])
        alike = {
            Overlay(squares[order], {"P": prints}).likeness("P")
            for order, prints in (
                ([0, 1], (shot(3), shot(5))),
                ([1, 0], (shot(5), print_of(empty), shot(3))),
            )
        }

        assert {likeness(carton(3), shot(3))} == alike

    def test_without_prints_nobody_can_tell(self) -> None:
        """None, which is not the same as unlike: plain units are 0."""
        overlay = Overlay(np.zeros((1, 224, 224, 3), np.uint8), {"P-1": (), "P-2": (shot(3),)})

        assert (None, 0.0, None) == tuple(overlay.likeness(name) for name in ("P-1", "P-2", "P-3"))
        assert (None, 0, None) == tuple(overlay.agree(name) for name in ("P-1", "P-2", "P-3"))

    def test_most_keypoints_agree_with_the_product_itself(self) -> None:
        """More than with a sibling that shares half its print; strangers share none, nearly always."""
        overlay = Overlay(
            square(photograph(carton(3), 1))[None],
            {"own": (shot(3),), "sibling": (print_of(square(packshot(sibling()))),), "other": (shot(5),)},
        )
        own, near, far = (overlay.agree(name) for name in ("own", "sibling", "other"))

        assert (own or 0) > (near or 0) + 5 > 5
        assert far == 0

    def test_a_broken_print_costs_only_its_product(self) -> None:
        """The one is like nothing, so nobody is named by it; the other is laid over."""
        broken = msgspec.structs.replace(shot(3), square=b"broken")
        overlay = Overlay(square(photograph(carton(3), 1))[None], {"P-1": (broken,), "P-2": (shot(3),)})

        assert overlay.likeness("P-1") == 0.0
        assert (overlay.likeness("P-2") or 0) > 0.8

    def test_more_products_may_come(self) -> None:
        """What was worked out stays."""
        overlay = Overlay(square(photograph(carton(3), 1))[None], {"P-1": (shot(3),)})
        first = overlay.likeness("P-1")
        overlay.also({"P-2": (shot(4),)})

        assert (first, 0.0) == (overlay.likeness("P-1"), overlay.likeness("P-2"))

    def test_a_slice_of_the_models_input_will_do(self) -> None:
        """Colours are taken out of five channels without a copy."""
        whole = np.zeros((1, 224, 224, 5), np.uint8)
        whole[0, ..., :3] = square(photograph(carton(3), 1))

        assert likeness(carton(3), shot(3)) == Overlay(whole[..., :3], {"P": (shot(3),)}).likeness("P")
