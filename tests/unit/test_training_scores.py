"""Figures of merit on cases that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.card import Card, LearntWorld
from training.scores import auroc, recall_at

WORLDS = [LearntWorld(1, "train", 2)]

YES_NO = np.array([True, True, False, False])


class TestAuroc:
    """The chance that a positive scores above a negative."""

    @pytest.mark.parametrize(
        ("scores", "area"), [([3, 2, 1, 0], 1.0), ([0, 1, 2, 3], 0.0), ([3, 0, 2, 1], 0.5), ([1, 1, 1, 1], 0.5)]
    )
    def test_small_cases(self, scores: list[float], area: float) -> None:
        """Perfect, reversed, mixed, and tied."""
        assert area == auroc(scores, YES_NO)

    def test_one_class_has_none(self) -> None:
        """Without negatives there is nothing to be above."""
        assert math.isnan(auroc([1.0, 2.0], np.array([True, True])))


class TestRecallAt:
    """Recall at a bounded false positive rate."""

    def test_the_rate_is_never_exceeded(self) -> None:
        """Of 100 negatives one may pass at 1 %: positives must lie above the second highest negative."""
        negatives = np.arange(100.0)
        scores = np.concatenate([[98.5, 98.0, 99.5, 0.0], negatives])
        positive = np.arange(104) < 4
        assert 0.5 == recall_at(scores, positive, 0.01)
        assert 0.25 == recall_at(scores, positive, 0.0)

    def test_ties_with_the_limit_do_not_count(self) -> None:
        """A positive that scores as the limit's negative would bring it along."""
        assert 0.0 == recall_at([1.0, 1.0], np.array([True, False]), 0.0)


class TestCard:
    """The card as Markdown."""

    def test_insert_replaces_only_the_table(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """What stands around the markers stays; inserting twice changes nothing more."""
        page = tmp_path_factory.mktemp("docs") / "models.md"
        begin, end = "<!-- figures: written by training.recipe -->", "<!-- end of figures -->"
        page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
        card = Card("a command", 1, WORLDS, 3, 4, {}, {}, {}, {}, {"some_auroc": 0.98765, "captures": 900.0}, {})
        card.insert(page)
        first = page.read_text()
        card.insert(page)
        assert first == page.read_text()
        assert first.startswith(f"before\n{begin}\n")
        assert first.endswith(f"{end}\nafter\n")
        assert "| some auroc | 0.988 |" in first
        assert "| captures | 900 |" in first
        assert "old" not in first

    def test_a_page_without_markers_is_refused(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Nothing is written into a page that has no place for it."""
        page = tmp_path_factory.mktemp("docs") / "models.md"
        page.write_text("no markers")
        with pytest.raises(ValueError, match="lacks the markers"):
            Card("c", 1, WORLDS, 3, 4, {}, {}, {}, {}, {}, {}).insert(page)
        assert "no markers" == page.read_text()
