"""Albums: pictures as the models see them, with their truth, from the booth and from data sets on disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CELLS
from schemas.faults import Fatal
from schemas.words import DamageKind, Severity
from training.album import Album, Order, album, coverage, seen
from training.data.form import DataSet, Image, Label, Pristine, Sample
from training.reading import UNMARKED, album_of
from training.reading import coverage as box_coverage

ORDER = Order(seed=3, split="train", products=2, captures=8, depth=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Album, Path]:
    """An album of two products, and the cache it was put into."""
    cache = tmp_path_factory.mktemp("cache")
    return album(ORDER, cache=cache, processes=1), cache


class TestAlbum:
    """Rows agree with each other and with the world."""

    def test_references_come_first_and_show_no_damage(self, made: tuple[Album, Path]) -> None:
        """Two references of both cameras for each product, pristine."""
        pictures, _ = made
        assert 2 * 2 * 2 == pictures.reference.sum()
        assert pictures.reference[:8].all()
        assert not pictures.damaged[pictures.reference].any()
        assert [0, 0, 0, 0, 1] == pictures.product[:5].tolist()

    def test_truth_is_per_view(self, made: tuple[Album, Path]) -> None:
        """A view counts as damaged where its own mask is, and kinds only then."""
        pictures, _ = made
        assert (pictures.damaged <= pictures.cells.any(axis=(1, 2))).all()
        assert (pictures.damaged == pictures.kinds.any(axis=1)).all()
        assert not (pictures.major & ~pictures.damaged).any()
        assert 0 < pictures.damaged.sum() < len(pictures)

    def test_views_of_a_capture_share_its_number(self, made: tuple[Album, Path]) -> None:
        """Every capture that was ordered is there, those of a product together."""
        pictures, _ = made
        captures = ~pictures.reference
        assert list(range(8)) == np.unique(pictures.shot[captures]).tolist()
        assert (np.diff(pictures.product[captures]) >= 0).all()

    def test_pictures_are_what_the_line_sees(self, made: tuple[Album, Path]) -> None:
        """The first capture's pixels, depth included, went through the line's own picture work."""
        pictures, _ = made
        first = int(np.flatnonzero(~pictures.reference)[0])
        _, _, exposures = ORDER.worlds()[0].expose(int(pictures.shot[first]))
        assert (SIDE, SIDE, CHANNELS) == pictures.pixels.shape[1:]
        assert (seen(exposures[0].picture) == pictures.pixels[first]).all()

    def test_the_cache_gives_the_same_again(self, made: tuple[Album, Path]) -> None:
        """A second call renders nothing and finds every array as it was."""
        pictures, cache = made
        (kept,) = cache.iterdir()
        written = (kept / "pixels.npy").stat().st_mtime_ns
        again = album(ORDER, cache=cache)
        assert written == (kept / "pixels.npy").stat().st_mtime_ns
        assert not (kept / "parts").exists()
        assert all((getattr(pictures, each.name) == getattr(again, each.name)).all() for each in fields(Album))


class TestCoverage:
    """Masks and boxes to cells."""

    def test_a_mask_covers_its_share_of_each_cell(self) -> None:
        """The left half of the view is all damage; the column that the edge runs through is as far as it reaches."""
        mask = np.zeros((112, 112), np.uint8)
        mask[:, :60] = 255
        cells = coverage(mask)
        assert (CELLS, CELLS) == cells.shape
        assert (cells[:, :7] == 1).all()
        assert 0.5 == pytest.approx(float(cells[3, 7]), abs=0.01)
        assert not cells[:, 8:].any()

    def test_a_box_covers_its_cells(self) -> None:
        """A box over the upper left quarter covers 7 x 7 cells fully and no other; an equal one adds nothing."""
        cells = box_coverage([(0.0, 0.0, 0.5, 0.5)])
        assert 49 == cells.sum()
        assert (cells[:7, :7] == 1).all()
        assert (cells == box_coverage([(0.0, 0.0, 0.5, 0.5)] * 2)).all()
        assert 0 == box_coverage([]).sum()


class TestTwins:
    """Captures taken twice, intact and damaged."""

    def test_twins_lie_side_by_side_and_differ_only_where_the_damage_is(self) -> None:
        """Even rows are intact, odd ones damaged, of one product; outside the damaged cells they are nearly alike."""
        pictures = album(Order(seed=3, split="train", products=2, captures=6, twins=True), cache=None, processes=1)
        rows = np.flatnonzero(~pictures.reference)
        whole, harmed = rows[0::2], rows[1::2]
        assert not pictures.damaged[whole].any()
        assert pictures.damaged[harmed].mean() > 0.5
        assert (pictures.product[whole] == pictures.product[harmed]).all()
        assert (pictures.shot[whole] + 1 == pictures.shot[harmed]).all()
        change = np.abs(pictures.pixels[whole].astype(np.float32) - pictures.pixels[harmed])[..., :3].mean(axis=3)
        by_cell = change.reshape(len(whole), CELLS, 16, CELLS, 16).mean(axis=(2, 4))
        inside, outside = pictures.cells[harmed] > 0.5, pictures.cells[harmed] == 0
        assert by_cell[inside].mean() > 4 * by_cell[outside].mean()


class TestReading:
    """`album_of`: a data set on disk gives the same rows."""

    @staticmethod
    def picture(folder: Path, name: str, grey: int) -> Path:
        """Write a plain JPEG."""
        path = folder / f"{name}.jpg"
        cv2.imwrite(str(path), np.full((120, 160, 3), grey, np.uint8))
        return path

    def test_rows_follow_labels_and_marks(self, tmp_path: Path) -> None:
        """Unmarked views of marked captures show no damage; those of unmarked ones show it, nobody knows where."""
        torn = Label(damaged=True, kinds=frozenset({DamageKind.PENETRATION}), severity=Severity.MAJOR)
        shots = [
            ("marked", torn, ((0.5, 0.5, 0.25, 0.25),), ()),
            ("unmarked", torn, (), ()),
            ("whole", Label(damaged=False), (), ()),
        ]
        samples = tuple(
            Sample(
                name,
                tuple(
                    Image(self.picture(tmp_path, f"{name}-{view}", 60 + 30 * view), boxes=boxes)
                    for view, boxes in enumerate(views)
                ),
                label,
                product_id="p",
            )
            for name, label, *views in shots
        )
        pristine = Pristine("r", "p", (Image(self.picture(tmp_path, "pristine", 200)),))
        pictures = album_of(DataSet("drawn", tmp_path, samples, (pristine,)), tmp_path / "album", processes=1)
        assert [True, *[False] * 6] == pictures.reference.tolist()
        assert [False, True, False, True, True, False, False] == pictures.damaged.tolist()
        assert pictures.damaged.tolist() == pictures.major.tolist() == pictures.kinds[:, 0].tolist()
        assert pictures.cells[1].any()
        assert (UNMARKED == pictures.cells[3]).all()
        assert not pictures.cells[[0, 2, 5, 6]].any()
        assert 200 == pictures.pixels[0, SIDE // 2, SIDE // 2, 0]
        assert {0} == set(pictures.product.tolist())

    def test_unreadable_pictures_are_left_out(self, tmp_path: Path) -> None:
        """The others stay in order."""
        (tmp_path / "broken.jpg").write_bytes(b"no picture")
        paths = [tmp_path / "broken.jpg", self.picture(tmp_path, "good", 90), tmp_path / "gone.jpg"]
        samples = tuple(Sample(path.stem, (Image(path),), Label(damaged=False)) for path in paths)
        pictures = album_of(DataSet("drawn", tmp_path, samples), tmp_path / "album", processes=1)
        assert 1 == len(pictures)
        assert 90 == pictures.pixels[0, SIDE // 2, SIDE // 2, 0]

    def test_nothing_readable_is_fatal(self, tmp_path: Path) -> None:
        """The message names the command that says more."""
        samples = (Sample("gone", (Image(tmp_path / "gone.jpg"),), Label(damaged=False)),)
        with pytest.raises(Fatal, match="dataset check"):
            album_of(DataSet("drawn", tmp_path, samples), tmp_path / "album", processes=1)
