"""Albums: the booth's pictures as the models see them, with their truth."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from training.album import Album, Order, album, coverage, seen

ORDER = Order(seed=3, split="train", products=3, captures=12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Album, Path]:
    """An album of three products, and the cache it was put into."""
    cache = tmp_path_factory.mktemp("cache")
    return album(ORDER, cache=cache, processes=1), cache


class TestAlbum:
    """Rows agree with each other and with the world."""

    def test_references_come_first_and_show_no_damage(self, made: tuple[Album, Path]) -> None:
        """Two references of both cameras for each product, pristine."""
        pictures, _ = made
        assert 3 * 2 * 2 == pictures.reference.sum()
        assert pictures.reference[:12].all()
        assert not pictures.damaged[pictures.reference].any()
        assert [0, 0, 0, 0, 1] == pictures.product[:5].tolist()

    def test_truth_is_per_view(self, made: tuple[Album, Path]) -> None:
        """A view counts as damaged where its own boxes are, and kinds only then."""
        pictures, _ = made
        assert (pictures.damaged == pictures.cells.any(axis=(1, 2))).all()
        assert (pictures.damaged == pictures.kinds.any(axis=1)).all()
        assert not (pictures.major & ~pictures.damaged).any()
        assert 0 < pictures.damaged.sum() < len(pictures)

    def test_views_of_a_capture_share_its_number(self, made: tuple[Album, Path]) -> None:
        """Twelve captures were ordered, some of them with two views."""
        pictures, _ = made
        shots = pictures.shot[~pictures.reference]
        assert list(range(12)) == np.unique(shots).tolist()
        assert len(shots) > 12

    def test_pictures_are_what_the_line_sees(self, made: tuple[Album, Path]) -> None:
        """The first capture's pixels went through decode and frame of `evidence`."""
        pictures, _ = made
        _, _, exposures = ORDER.worlds()[0].expose(0)
        assert (seen(exposures[0].picture.jpeg) == pictures.pixels[12]).all()

    def test_the_cache_gives_the_same_again(self, made: tuple[Album, Path]) -> None:
        """A second call reads one file and finds every array as it was."""
        pictures, cache = made
        (kept,) = cache.iterdir()
        written = kept.stat().st_mtime_ns
        again = album(ORDER, cache=cache)
        assert written == kept.stat().st_mtime_ns
        assert all((getattr(pictures, each.name) == getattr(again, each.name)).all() for each in fields(Album))


class TestCoverage:
    """Boxes to cells."""

    def test_a_box_covers_its_cells(self) -> None:
        """A box over the upper left quarter covers 5 x 5 cells fully and no other."""
        cells = coverage([(0.0, 0.0, 0.5, 0.5)])
        assert 25 == cells.sum()
        assert (cells[:5, :5] == 1).all()

    def test_overlap_counts_once(self) -> None:
        """Two equal boxes cover no more than one."""
        assert (coverage([(0.2, 0.2, 0.1, 0.1)]) == coverage([(0.2, 0.2, 0.1, 0.1)] * 2)).all()

    def test_nothing_covers_nothing(self) -> None:
        """No boxes, no damage."""
        assert 0 == coverage([]).sum()


class TestTwins:
    """Captures taken twice, intact and damaged."""

    def test_twins_lie_side_by_side_and_differ_only_where_the_damage_is(self) -> None:
        """Even rows are intact, odd ones damaged, of one product; outside the damaged cells they are nearly alike."""
        pictures = album(Order(seed=3, split="train", products=3, captures=8, twins=True), cache=None, processes=1)
        rows = np.flatnonzero(~pictures.reference)
        whole, harmed = rows[0::2], rows[1::2]
        assert not pictures.damaged[whole].any()
        assert pictures.damaged[harmed].mean() > 0.8
        assert (pictures.product[whole] == pictures.product[harmed]).all()
        assert (pictures.shot[whole] + 1 == pictures.shot[harmed]).all()
        change = np.abs(pictures.pixels[whole].astype(np.float32) - pictures.pixels[harmed]).mean(axis=3)
        by_cell = change.reshape(len(whole), 10, 16, 10, 16).mean(axis=(2, 4))
        inside = pictures.cells[harmed] > 0.6
        assert by_cell[inside].mean() > 5 * by_cell[pictures.cells[harmed] == 0].mean()
