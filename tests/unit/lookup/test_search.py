"""Naming the product in a photograph: the search, the answer, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.identify import HEADING
from cli.main import app
from schemas.faults import Fatal
from tests.unit.lookup.goods import carton, packshot, photograph, save
from training.backbone import Backbone, unit
from training.lookup.answer import LIMITS, answer, limit
from training.lookup.gallery import packshots
from training.lookup.search import Comparison, Find, glance
from training.lookup.shelf import Enrolled, enrol
from training.lookup.shortlist import Shortlist


def ranked(number: int, seed: int, shelf: list[Enrolled], eye: Backbone) -> list[Find]:
    """Look a photograph of a carton up."""
    return Comparison(glance(photograph(carton(number), seed), eye), shelf, eye).rank()


class TestRank:
    """The order of the products."""

    @pytest.mark.parametrize("number", range(4))
    def test_the_right_product_comes_first(self, number: int, shelf: list[Enrolled], eye: Backbone) -> None:
        """With a score far above that of every other."""
        first, second, *_ = ranked(number, 1, shelf, eye)

        assert f"P-{number}" == first.product_id
        assert first.score > 0.7
        assert first.score > second.score + 0.2

    def test_every_product_is_in_the_list_once(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """A product with two references counts as the more alike one."""
        worse = enrol("P-1", packshot(carton(99)), eye)
        found = ranked(1, 2, [worse, *shelf], eye)

        assert sorted(f"P-{number}" for number in range(6)) == sorted(find.product_id for find in found)
        assert ("P-1", True) == (found[0].product_id, found[0].score > 0.7)

    def test_a_stranger_scores_low(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """A product that is not on the shelf cannot be laid over any that is."""
        assert ranked(42, 1, shelf, eye)[0].score < 0.5

    def test_a_choice_is_ranked_as_if_it_were_the_shelf(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """Nothing of the references left out shows in the answer."""
        look = glance(photograph(carton(1), 3), eye)
        comparison = Comparison(look, shelf, eye)
        comparison.rank()

        assert Comparison(look, shelf[2:5], eye).rank() == comparison.rank([2, 3, 4])

    def test_one_reference_is_a_choice_too(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """Nothing is divided by a deviation of zero."""
        assert ["P-1"] == [find.product_id for find in Comparison(glance(carton(1), eye), shelf[1:2], eye).rank()]

    def test_a_plain_photograph_gets_a_list(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """In some order, and believed by nobody."""
        found = Comparison(glance(np.full((64, 64, 3), 127, np.uint8), eye), shelf, eye).rank()

        assert 6 == len(found)
        assert found[0].score < 0


class TestAnswer:
    """What is said of a list."""

    def finds(self, *scores: float) -> list[Find]:
        """Make a list with these scores, all of them laid over."""
        return [Find(f"P-{place}", score, -place, 20) for place, score in enumerate(scores)]

    def test_the_first_is_believed_from_the_limit_on(self) -> None:
        """The limit of so many products."""
        at = limit(31)

        assert answer(self.finds(at, 0.1), products=31).accepted
        assert not answer(self.finds(at - 0.001, 0.1), products=31).accepted

    def test_more_products_need_more(self) -> None:
        """The likelier a stranger looks like one of them."""
        limits = [limit(size) for size in (1, 3, 10, 31, 1_000, 100_000)]

        assert sorted(limits) == limits
        assert limits[0] == LIMITS[0][1]

    def test_those_that_are_as_alike_are_named(self) -> None:
        """But none that is clearly less alike, or that was not laid over."""
        finds = [*self.finds(0.93, 0.92, 0.7), Find("P-9", 0.92, -9, 0)]

        assert ("P-1",) == answer(finds, products=4).siblings

    def test_scores_fall_along_the_row(self) -> None:
        """What is ranked lower is said to be no more alike."""
        assert [0.8, 0.8, 0.5] == [find.score for find in answer(self.finds(0.8, 0.82, 0.5), products=3).finds]


class TestShortlist:
    """Thousands of references down to a few."""

    def test_small_shelves_are_searched_exactly(self, shelf: list[Enrolled]) -> None:
        """What shows just the cells of a reference is most like that reference."""
        shortlist = Shortlist([each.cells for each in shelf])

        assert [0, 1, 2, 3] == [shortlist.best(each.cells[None])[0] for each in shelf[:4]]

    def test_large_shelves_are_searched_by_words(self) -> None:
        """Of 300 references with cells of their own, the one a photograph shows is among the first few."""
        rng = np.random.default_rng(5)
        cells = [unit(rng.normal(size=(40, 24)).astype(np.float32)) for _ in range(300)]
        shortlist = Shortlist(cells)
        shown = [unit(cells[n] + 0.05 * rng.normal(size=(40, 24)).astype(np.float32))[None] for n in range(20)]

        assert 18 <= sum(n in shortlist.best(maps, most=5) for n, maps in enumerate(shown))

    def test_no_more_than_asked_for(self, shelf: list[Enrolled], eye: Backbone) -> None:
        """Best first."""
        look = glance(photograph(carton(1), 1), eye)
        shortlist = Shortlist([each.cells for each in shelf])

        assert shortlist.best(look.maps)[:2] == shortlist.best(look.maps, most=2)


class TestPackshots:
    """Reading a gallery."""

    def test_a_folder_names_products_by_its_files(self, tmp_path: Path) -> None:
        """Or by its sub-folders, where there are any."""
        for name in ("a.png", "b/1.png", "b/2.png"):
            save(carton(1)[:20, :20], tmp_path / name)

        assert [("a", "a.png"), ("b", "1.png"), ("b", "2.png")] == [
            (shot.product_id, shot.path.name) for shot in packshots(tmp_path)
        ]

    def test_a_manifest_names_its_references(self, tmp_path: Path) -> None:
        """Its other pictures are none."""
        for name in ("a.png", "b.png"):
            save(carton(1)[:20, :20], tmp_path / name)
        (tmp_path / "manifest.csv").write_text("path,label,split\na.png,P-1,reference\nb.png,P-1,dev\n")

        assert [("P-1", "a.png")] == [(shot.product_id, shot.path.name) for shot in packshots(tmp_path)]

    def test_a_manifest_of_products_only_is_a_gallery(self, tmp_path: Path) -> None:
        """Every picture with a product id."""
        save(carton(1)[:20, :20], tmp_path / "a.png")
        (tmp_path / "list.csv").write_text("path,product_id\na.png,P-7\n")

        assert ["P-7"] == [shot.product_id for shot in packshots(tmp_path / "list.csv")]

    def test_nothing_is_no_gallery(self, tmp_path: Path) -> None:
        """In words."""
        with pytest.raises(Fatal, match="holds no picture"):
            packshots(tmp_path)


class TestCommand:
    """`sideline identify`."""

    def test_a_row_for_every_picture(self, tmp_path: Path, toy: Path) -> None:
        """The right names, an empty row for a broken file, and none for a picture of the gallery."""
        for number in range(3):
            save(packshot(carton(number)), tmp_path / "shop" / "packs" / f"P-{number}.png")
        rows = ["path,label,split", *(f"packs/P-{number}.png,P-{number},reference" for number in range(3))]
        for number in range(2):
            save(photograph(carton(number), 4), tmp_path / "shop" / f"photo-{number}.png")
            rows.append(f"photo-{number}.png,P-{number},dev")
        (tmp_path / "shop" / "broken.jpg").write_bytes(b"\xff\xd8 no")
        (tmp_path / "shop" / "manifest.csv").write_text("\n".join([*rows, "broken.jpg,P-1,dev", ""]))
        shop, out = str(tmp_path / "shop"), tmp_path / "ids.csv"
        last = ["--out", str(out), "--processes", "1"]
        said = CliRunner().invoke(
            app,
            ["identify", "--gallery", shop, "--images", shop, "--backbone", str(toy), *last],
        )

        assert 0 == said.exit_code, said.output
        with out.open(newline="") as file:
            heading, *found = list(csv.reader(file))
        assert list(HEADING) == heading
        assert [("photo-0.png", "P-0"), ("photo-1.png", "P-1"), ("broken.jpg", "")] == [tuple(row[:2]) for row in found]
        assert [float(row[6]) > 0.7 for row in found[:2]] == [True, True]
        assert {"0", "1"} >= {row[11] for row in found[:2]}
        assert "no answer: broken.jpg" in said.output

    def test_a_gallery_that_is_not_there_is_named(self, tmp_path: Path, toy: Path) -> None:
        """Nothing is written."""
        out = tmp_path / "ids.csv"
        said = CliRunner().invoke(
            app, ["identify", "--gallery", "nowhere", "--images", ".", "--backbone", str(toy), "--out", str(out)]
        )

        assert isinstance(said.exception, Fatal)
        assert "nowhere" in str(said.exception)
        assert not out.exists()
