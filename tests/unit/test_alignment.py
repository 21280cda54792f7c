"""Where cells of one patch map lie in another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.alignment import align, best_near

SIDE = 14


def cells(seed: int, side: int = SIDE) -> NDArray[np.float32]:
    """Draw float32[side * side, 32] of unit length, no two alike."""
    drawn = np.random.default_rng(seed).normal(size=(side * side, 32))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def turned(shown: NDArray[np.float32], times: int = 1) -> NDArray[np.float32]:
    """Turn a map by quarters."""
    grid = np.rot90(shown.reshape(SIDE, SIDE, -1), times)
    return np.ascontiguousarray(grid).reshape(shown.shape)


class TestAlign:
    """Finding how a map lies in another."""

    def test_a_map_lies_in_itself_where_it_is(self) -> None:
        """Every cell's place is its own."""
        places = align(cells(1) @ cells(1).T)

        assert places is not None
        assert [[0, 0], [1, 0]] == np.rint(places[:2]).tolist()
        assert [13, 13] == np.rint(places[-1]).tolist()

    def test_a_shift_is_found_though_a_third_is_covered(self) -> None:
        """Cells that show something else, and those that have left the picture, are outvoted."""
        grid = cells(1).reshape(SIDE, SIDE, -1)
        shown = np.roll(grid, (2, 3), axis=(0, 1))
        shown[:2], shown[:, :3] = cells(2).reshape(grid.shape)[:2], cells(2).reshape(grid.shape)[:, :3]
        shown[8:12, 4:10] = cells(3).reshape(grid.shape)[8:12, 4:10]
        places = align(shown.reshape(-1, 32) @ cells(1).T)

        assert places is not None
        assert [4, 5] == np.rint(places.reshape(SIDE, SIDE, 2)[7, 7]).tolist()

    def test_a_quarter_turn_is_found(self) -> None:
        """Turns are as good as shifts, as far as the cells still know each other."""
        places = align(turned(cells(1)) @ cells(1).T)

        assert places is not None
        assert [13, 0] == np.rint(places[0]).tolist()

    def test_grids_may_differ(self) -> None:
        """A coarser map of the same thing lies in a finer one 1.4 times as wide."""
        fine = cells(1)
        rows, columns = np.divmod(np.arange(100), 10)
        coarse = fine[np.rint(rows * 1.4).astype(int) * SIDE + np.rint(columns * 1.4).astype(int)]
        places = align(coarse @ fine.T)

        assert places is not None
        assert [13, 13] == np.rint(places[-1]).tolist()

    def test_other_things_do_not_align(self) -> None:
        """Cells that name each other by chance lie anywhere."""
        assert all(align(cells(seed) @ cells(seed + 100).T) is None for seed in range(30))

    def test_plain_things_do_not_align(self) -> None:
        """Where all cells are alike none tells where it belongs."""
        assert align(np.ones((196, 196), np.float32)) is None

    def test_a_line_of_cells_is_not_enough(self) -> None:
        """One printed row fixes no turn and no scale across it."""
        shown = np.broadcast_to(cells(1)[0], (196, 32)).copy()
        shown[SIDE * 6 : SIDE * 7] = cells(2)[SIDE * 6 : SIDE * 7]

        assert align(shown @ shown.T) is None

    def test_a_map_that_is_no_square_is_refused(self) -> None:
        """The grid is known by its number of cells only."""
        with pytest.raises(ValueError, match="no square grid"):
            align(np.zeros((12, 196), np.float32))


class TestBestNear:
    """Looking around a place."""

    COSINES = np.arange(16, dtype=np.float32)[None] / np.float32(16)  # one cell against a grid of 4 x 4

    @pytest.mark.parametrize(
        ("place", "radius", "expected"),
        [((1, 1), 0, 5 / 16), ((1, 1), 1, 10 / 16), ((0, 0), 1, 5 / 16), ((3.4, 2.6), 1, 15 / 16)],
    )
    def test_the_best_within_the_radius_counts(self, place: tuple[float, float], radius: int, expected: float) -> None:
        """Column and row, rounded, and what is around them inside the grid."""
        best, inside = best_near(self.COSINES, np.array([place]), radius=radius)

        assert ([expected], [True]) == (best.tolist(), inside.tolist())

    def test_a_place_beyond_the_edge_is_told(self) -> None:
        """What lies outside the reference's picture has no like there."""
        best, inside = best_near(self.COSINES, np.array([[7.0, 1.0]]), radius=1)

        assert ([-1], [False]) == (best.tolist(), inside.tolist())
