"""Processes that enrol and search: what one picture does to one of them costs that picture only."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tests.unit.lookup.goods import carton, packshot, photograph, save
from training.lookup.answer import Answer
from training.lookup.gallery import Packshot
from training.lookup.shelf import Enrolled
from training.lookup.work import Library, Model, Unreadable


def tenfold(number: int) -> int | Unreadable:
    """Work on a number; the number 2 ends the process."""
    if number == 2:
        os._exit(7)
    return 10 * number


class TestLibrary:
    """Enrolling and finding in processes."""

    def test_references_and_answers_come_in_order(self, toy: Path, tmp_path: Path) -> None:
        """What cannot be read is said to be so, in its place."""
        shots = [Packshot(f"P-{n}", save(packshot(carton(n)), tmp_path / f"{n}.png")) for n in range(2)]
        shots.insert(1, Packshot("P-gone", tmp_path / "gone.png"))
        library = Library(Model(toy, backbone=True), processes=1)
        enrolled = list(library.enrol(shots))
        shelf = [each for each in enrolled if isinstance(each, Enrolled)]
        plain = save(np.full((40, 40, 3), 90, np.uint8), tmp_path / "plain.png")
        answers = list(library.find([save(photograph(carton(1), 1), tmp_path / "photo.png"), plain], shelf))

        assert ["P-0", "P-1"] == [each.product_id for each in shelf]
        assert isinstance(enrolled[1], Unreadable)
        found = [each for each in answers if isinstance(each, Answer)]
        assert "P-1" == found[0].finds[0].product_id
        assert [True, False] == [each.finds[0].score > 0.5 for each in found]

    def test_a_picture_that_kills_costs_only_itself(self, toy: Path) -> None:
        """The others have their answers."""
        found = list(Library(Model(toy, backbone=True), processes=1)._each(tenfold, [1, 2, 3], ()))

        assert [10, 30] == [each for each in found if isinstance(each, int)]
        assert isinstance(found[1], Unreadable)
