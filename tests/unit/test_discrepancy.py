"""How far a capture is from its references: what counts, what cancels, where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evidence.assemble import ClassifierEvidence, assemble, combine_views
from evidence.discrepancy import (
    CELLS,
    PATCH_SIZE,
    SIDE,
    Discrepancy,
    Patches,
    StoredPatches,
    compare,
    patch_similarity,
    quantise,
)
from evidence.frame import SIDE as SQUARE
from evidence.frame import Inset, inset
from evidence.place import around_peak, in_picture
from gallery.examine import REFERENCES_COMPARED
from schemas import codec
from schemas.messages import Evidence, Identity
from schemas.words import MICRO, IdentityMethod, Pattern, Severity


def scene(seed: int, *, views: int = 2) -> Patches:
    """Draw what a product looks like: float32[views, CELLS, PATCH_SIZE], unit length."""
    return unit(np.random.default_rng(seed).normal(size=(views, CELLS, PATCH_SIZE)))


def unit(vectors: NDArray[np.float64] | Patches) -> Patches:
    """Scale to unit length."""
    scaled: Patches = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def captured(seed: int, *, noise: float = 0.3, shot: int = 1) -> Patches:
    """Draw another capture of the same product."""
    drawn = np.random.default_rng([seed, shot]).normal(size=(2, CELLS, PATCH_SIZE))
    return unit(scene(seed) + noise * drawn / PATCH_SIZE**0.5)


def block(row: int, column: int, *, rows: int = 2, columns: int = 5) -> list[int]:
    """Name the cells of a block: ten of them are 5 % of a view."""
    return [SIDE * (row + down) + column + right for down in range(rows) for right in range(columns)]


def torn(patches: Patches, cells: list[int], *, view: int = 0) -> Patches:
    """Replace cells of a view by something that no reference shows."""
    changed = patches.copy()
    changed[view, cells] = scene(999)[0, : len(cells)]
    return changed


def reference(seed: int, shot: int = 7) -> tuple[str, StoredPatches]:
    """Make one reference of a product."""
    return f"R-{seed}-{shot}", quantise(captured(seed, shot=shot))


def moved(patches: Patches, *, down: int, right: int) -> Patches:
    """Move what all views show by some cells; what comes in at the edges is new."""
    grid = patches.reshape(len(patches), SIDE, SIDE, -1)
    rolled = np.roll(grid, (down, right), axis=(1, 2))
    fresh = scene(555, views=len(patches)).reshape(grid.shape)
    rolled[:, :down], rolled[:, :, :right] = fresh[:, :down], fresh[:, :, :right]
    return rolled.reshape(patches.shape)


class TestCompare:
    """The discrepancy of a capture."""

    def test_an_intact_unit_stands_out_nowhere(self) -> None:
        """Another capture of the same product is hardly any distance away."""
        assert compare(captured(1), [reference(1)]).micro < 60_000

    def test_a_tear_stands_out(self) -> None:
        """Ten cells of something else are the top 5 %, with the view and the place they are in."""
        found = compare(torn(captured(1), block(7, 7), view=1), [reference(1)])

        assert found.micro > 500_000
        assert (1, (500_000, 500_000, 357_142, 142_857)) == (found.view, found.place)

    def test_the_map_of_distances_comes_with_it(self) -> None:
        """A distance for each cell of each view: high where the tear is, low elsewhere."""
        cells = block(7, 7)
        maps = compare(torn(captured(1), cells, view=1), [reference(1)]).distances

        assert (2, SIDE, SIDE) == maps.shape
        assert maps[1].ravel()[cells].min() > np.delete(maps[1].ravel(), cells).max() + 0.2

    def test_what_changes_everywhere_cancels(self) -> None:
        """Light and blur move all cells alike: no discrepancy, however strong."""
        dim = captured(1, noise=3.0)

        assert compare(dim, [reference(1)]).micro < compare(torn(captured(1), block(0, 1)), [reference(1)]).micro

    def test_views_are_laid_over_their_references(self) -> None:
        """A unit that lies elsewhere is found there: its views align, and nothing stands out."""
        found = compare(moved(captured(1), down=1, right=0), [reference(1)])
        few = (found.distances > 0.5).mean()

        assert 2 == found.aligned
        assert few <= 1 / SIDE + 0.01

    def test_another_pose_is_no_damage(self) -> None:
        """Cells in an order that no turn or shift explains are found wherever they are."""
        turned = captured(1)[:, np.random.default_rng(0).permutation(CELLS)]
        found = compare(turned, [reference(1)])

        assert 0 == found.aligned
        assert found.micro < 60_000

    def test_a_piece_that_lies_elsewhere_stands_out(self) -> None:
        """A piece of the set beside its place looks like a piece, and is told by where it lies."""
        broken = captured(1)
        broken[0, block(10, 8)] = captured(1)[0, block(2, 2)]
        apart = compare(broken, [reference(1)])

        assert (2, 0) == (apart.aligned, apart.view)
        assert compare(captured(1), [reference(1)]).micro + 90_000 < apart.micro

    def test_what_lies_beside_the_unit_stands_out(self) -> None:
        """Something unlike the ground, at the edge of the picture, where references show plain ground."""
        ground = np.broadcast_to(scene(7, views=1)[0, 0], (2, CELLS, PATCH_SIZE))
        inner = [cell for cell in range(CELLS) if 3 <= cell // SIDE <= 10 and 3 <= cell % SIDE <= 10]
        shown, stored = ground.copy(), ground.copy()
        shown[:, inner], stored[:, inner] = captured(1)[:, inner], captured(1, shot=7)[:, inner]

        clean = compare(unit(shown), [("R", quantise(unit(stored)))]).micro
        spilt = compare(torn(unit(shown), block(12, 8)), [("R", quantise(unit(stored)))])

        assert spilt.micro > clean + 400_000
        assert spilt.place[1] >= 12 * MICRO // SIDE

    def test_a_print_that_a_reference_shows_is_no_damage(self) -> None:
        """A printed tear that only the second reference shows is not held against the unit."""
        printed = torn(captured(1), block(3, 3))
        other = ("R-1-print", quantise(torn(captured(1, shot=8), block(3, 3))))

        assert compare(printed, [reference(1)]).micro > 500_000
        assert compare(printed, [reference(1), other]).micro < 60_000

    def test_the_nearest_references_are_named(self) -> None:
        """At most as many as an examiner compares, the most alike first."""
        references = [reference(2), reference(3), reference(1), reference(4), reference(5)]

        found = compare(captured(1), references).reference_ids

        assert ("R-1-7", REFERENCES_COMPARED) == (found[0], len(found))

    def test_without_references_there_is_nothing_to_compare(self) -> None:
        """The caller has to know that none were at hand."""
        with pytest.raises(ValueError, match="at least one reference"):
            compare(captured(1), [])

    @pytest.mark.parametrize(("side", "size"), [(7, 16), (10, 64), (20, 24)])
    def test_any_grid_and_any_numbers_will_do(self, side: int, size: int) -> None:
        """The sizes come from the arrays: other models have other grids."""
        rng = np.random.default_rng(side)
        shown = unit(rng.normal(size=(2, side * side, size)))
        noisy = unit(shown + 0.3 * rng.normal(size=shown.shape) / size**0.5)
        found = compare(noisy, [("R", quantise(shown))])

        assert (2, (2, side, side)) == (found.aligned, found.distances.shape)
        assert found.micro < 100_000

    @settings(max_examples=20, deadline=None)  # the time is that of the matrix library on a busy machine
    @given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 3))
    def test_any_pair_has_a_bounded_discrepancy(self, one: int, two: int, references: int) -> None:
        """Between 0 and 2,000,000, with a place inside the view, the same each time."""
        compared = [reference(two, shot) for shot in range(references)]
        found = compare(captured(one), compared)
        x, y, width, height = found.place

        assert 0 <= found.micro <= 2 * MICRO
        assert 0 <= x < x + width <= MICRO
        assert 0 <= y < y + height <= MICRO
        assert found == compare(captured(one), compared)

    def test_blank_cells_are_no_fault(self) -> None:
        """Vectors of zeros, in a query or a reference, compare as unlike anything."""
        blank = np.zeros((1, CELLS, PATCH_SIZE), np.float32)

        assert 0 == compare(blank, [("R", quantise(blank))]).micro


class TestPatchSimilarity:
    """The chamfer similarity both ways."""

    def test_the_same_picture_is_one(self) -> None:
        """Up to the rounding of the stored one."""
        assert patch_similarity(scene(1), quantise(scene(1))) == pytest.approx(1, abs=0.01)

    def test_both_ways_count(self) -> None:
        """A reference that shows much more than the capture is less alike than one that shows as much."""
        part = scene(1)[:1]
        more = quantise(np.concatenate([scene(1)[:1], scene(2), scene(3)]))

        assert patch_similarity(part, more) < patch_similarity(part, quantise(part)) - 0.1


class TestPlace:
    """From cells to a box."""

    def test_only_what_hangs_together_with_the_peak_counts(self) -> None:
        """A second hot spot elsewhere does not stretch the box."""
        heat = np.zeros((10, 10), np.float32)
        heat[2, 3], heat[2, 4], heat[9, 9] = 5, 4, 4

        assert (300_000, 200_000, 200_000, 100_000) == around_peak(heat)

    def test_a_flat_map_is_a_place_too(self) -> None:
        """Where nothing stands out the whole view is the place."""
        assert (0, 0, MICRO, MICRO) == around_peak(np.zeros((10, 10), np.float32))

    def test_the_filling_of_the_square_is_left_out(self) -> None:
        """A picture twice as wide as high lies in the middle rows of the square; places are told in the picture."""
        wide = inset(640, 320)

        assert (0, 0, MICRO, MICRO) == in_picture((0, 250_000, MICRO, 500_000), wide)
        assert (500_000, 0, 100_000, 200_000) == in_picture((500_000, 200_000, 100_000, 150_000), wide)

    @given(st.integers(1, 30_000), st.integers(1, 30_000), st.lists(st.integers(0, 10), min_size=4, max_size=4))
    def test_any_place_of_any_picture_lies_inside_it(self, width: int, height: int, edges: list[int]) -> None:
        """However thin a picture is, the box stays within its edges."""
        left, right = sorted(edges[:2])
        top, bottom = sorted(edges[2:])
        square = (left * 100_000, top * 100_000, (right - left) * 100_000, (bottom - top) * 100_000)

        x, y, across, down = in_picture(square, inset(width, height))

        assert 0 <= x <= x + across <= MICRO
        assert 0 <= y <= y + down <= MICRO


class TestCombineViews:
    """One classifier evidence from several views."""

    def combined(self, *damage: float, severity: tuple[float, ...] = (-1.0, 1.0)) -> ClassifierEvidence:
        """Combine two views with these logits."""
        heat = np.zeros((2, 10, 10), np.float32)
        heat[0, 0, 0] = heat[1, 5, 5] = 9
        kinds = np.array([[0.5, -1, -1, -1, -1, -1, -1], [-2, -1, -1, -1, 2.25, -1, -1]], np.float32)
        return combine_views(np.array(damage, np.float32), kinds, np.array(severity, np.float32), heat)

    def test_the_most_damaged_view_speaks(self) -> None:
        """Its logit, severity and place count; each kind counts by its own strongest view."""
        found = self.combined(-1.5, 2.5)

        assert (2_500_000, 1, Severity.MAJOR, True) == (found.damage, found.view, found.severity, found.major)
        assert (500_000, 500_000, 100_000, 100_000) == found.place
        assert (500_000, 2_250_000) == (found.kinds[0], found.kinds[4])

    def test_minor_damage_is_minor(self) -> None:
        """A negative severity logit of the damaged view."""
        found = self.combined(2.5, -1.5)

        assert (Severity.MINOR, False) == (found.severity, found.major)

    def test_no_damage_has_no_severity(self) -> None:
        """Where no view looks damaged, major is not asked."""
        found = self.combined(-0.5, -1.5, severity=(3.0, 3.0))

        assert (Severity.NONE, False) == (found.severity, found.major)


class TestAssemble:
    """The record of the evidence."""

    LOOKS = ClassifierEvidence(2 * MICRO, (0,) * 7, Severity.MINOR, False, 0, (0, 0, 100_000, 100_000))
    FAR = Discrepancy(210_000, 1, (500_000, 500_000, 100_000, 100_000), ("R-1", "R-2"))

    @pytest.mark.parametrize(
        ("method", "pattern"),
        [
            (IdentityMethod.SCAN, Pattern.GALLERY_BY_CODE),
            (IdentityMethod.BARCODE, Pattern.GALLERY_BY_CODE),
            (IdentityMethod.IMAGE, Pattern.GALLERY_BY_IMAGE),
            (IdentityMethod.NONE, Pattern.CLASSIFIER),
        ],
    )
    def test_how_the_product_is_known_chooses_the_calibration(self, method: IdentityMethod, pattern: Pattern) -> None:
        """A code and a look have calibrations of their own."""
        assert pattern is assemble(self.LOOKS, self.FAR, Identity(product_id="P-1", method=method)).pattern

    def test_without_references_or_in_conflict_only_the_classifier_counts(self) -> None:
        """The discrepancy is on record all the same, where there is one."""
        sure = Identity(product_id="P-1", method=IdentityMethod.SCAN)
        torn_between = Identity(product_id="P-1", method=IdentityMethod.SCAN, conflict=True)

        assert Pattern.CLASSIFIER is assemble(self.LOOKS, None, sure).pattern
        assert Pattern.CLASSIFIER is assemble(self.LOOKS, self.FAR, torn_between).pattern
        assert 210_000 == assemble(self.LOOKS, self.FAR, torn_between).discrepancy

    def test_the_place_is_the_classifiers_if_it_calls_the_unit_damaged(self) -> None:
        """Else what differs from the references is shown."""
        sure = Identity(product_id="P-1", method=IdentityMethod.SCAN)
        unseen = ClassifierEvidence(-MICRO, (0,) * 7, Severity.NONE, False, 0, (0, 0, 100_000, 100_000))

        assert (0, [0, 0, 100_000, 100_000]) == _where(assemble(self.LOOKS, self.FAR, sure))
        assert (1, [500_000, 500_000, 100_000, 100_000]) == _where(assemble(unseen, self.FAR, sure))

    def test_places_are_told_in_the_picture(self) -> None:
        """With the views' insets the filling of the square is taken off."""
        wide = [Inset(0, SQUARE // 4, SQUARE, SQUARE // 2)] * 2
        unseen = ClassifierEvidence(-MICRO, (0,) * 7, Severity.NONE, False, 0, (0, 0, 100_000, 100_000))
        record = assemble(unseen, self.FAR, Identity(product_id="P", method=IdentityMethod.SCAN), insets=wide)

        assert [500_000, 500_000, 100_000, 200_000] == record.place

    def test_it_is_a_message(self) -> None:
        """The record survives being written and read."""
        record = assemble(self.LOOKS, self.FAR, Identity(product_id="P-1", method=IdentityMethod.SCAN))

        assert record == codec.decode(Evidence, codec.encode(record))


def _where(record: Evidence) -> tuple[int, list[int]]:
    return record.view, record.place
