"""What the networks see and are asked, on numbers small enough to check by hand or by force."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from evidence.frame import CHANNELS, SIDE
from training import learn, lessons, variation
from training.networks import Pair, normalised, unit
from training.untyped import Tensor
from training.variation import SHIFT, move, vary


class TestSight:
    """What networks make of the five channels."""

    def test_no_depth_is_a_flat_table(self) -> None:
        """Views without depth and specks that were not measured are zero; a dent is not lost beside an edge."""
        pixels = torch.zeros(3, CHANNELS, 2)
        pixels[1, 3:] = torch.tensor((128.0, 11.0))[:, None]  # the table
        pixels[2, 3] = torch.tensor((78.0, 1.0))  # a dent of 5 mm, an edge of 12.7 mm
        seen = normalised(pixels)
        assert 0 == seen[:2, 3:].abs().max()
        dent, edge = seen[2, 3].tolist()
        assert -1 <= edge < dent < 0.85 * edge

    def test_networks_answer_alike_with_specks_left_out(self) -> None:
        """A tenth of a table's depth missing moves no feature; a unit on it does."""
        torch.manual_seed(0)
        pair = Pair().eval()
        table = torch.full((1, SIDE, SIDE, CHANNELS), 100, dtype=torch.uint8)
        table[..., 3:] = torch.tensor((128, 11), dtype=torch.uint8)
        specked, unit_on_it = table.clone(), table.clone()
        specked[torch.rand(1, SIDE, SIDE) < 0.1] *= torch.tensor((1, 1, 1, 0, 0), dtype=torch.uint8)
        unit_on_it[:, 60:160, 60:160, 4] = 90
        with torch.no_grad():
            plain, specks, higher = (pair.trunk(view)[1] for view in (table, specked, unit_on_it))
        assert (specks - plain).abs().max() == 0
        assert (higher - plain).abs().max() > 0


class TestComparison:
    """Patches are compared with references."""

    def test_the_best_cosine_is_found_and_learns(self) -> None:
        """As by comparing every pair, values and gradients."""
        torch.manual_seed(1)
        cells, among = unit(torch.randn(3, 4, 7, 5)).requires_grad_(), unit(torch.randn(3, 2, 11, 5)).requires_grad_()
        found = lessons._best_cosines(cells, among)
        forced = torch.einsum("fqnc,fkmc->fqknm", cells, among).amax(4)
        assert torch.allclose(found, forced, atol=1e-6)
        weight = torch.randn_like(found)
        for ours, theirs in zip(
            torch.autograd.grad((found * weight).sum(), (cells, among)),
            torch.autograd.grad((forced * weight).sum(), (cells, among)),
            strict=True,
        ):
            assert torch.allclose(ours, theirs, atol=1e-5)


class TestTwins:
    """Two views alike to the last grain of noise, but for damage."""

    TRUTH = torch.tensor([[[0.0, 0.0, 0.0]], [[1.0, 0.5, 0.0]]])  # of one kind in three cells; the second is damaged

    def loss(self, *logits: tuple[float, float, float]) -> float:
        """Return what the pair loses for saying this, in either order of the two."""
        said = torch.tensor(logits, dtype=torch.float32)[:, None]
        both = lessons._against_twins(said, self.TRUTH), lessons._against_twins(said.flip(0), self.TRUTH.flip(0))
        assert both[0] == both[1]
        return float(both[0])

    def test_only_the_cell_that_tells_them_apart_is_asked_about(self) -> None:
        """Not one where nobody can tell, nor one where both show nothing."""
        plain = self.loss((-2, 0, 0), (2, 0, 0))
        assert plain == self.loss((-2, 9, 9), (2, -9, -9))
        assert abs(plain - (np.log1p(np.exp(-4)) + np.log1p(np.exp(-2))) / 2) < 1e-6

    def test_what_both_say_of_it_counts_against_them(self) -> None:
        """Artwork makes both say damage: that loses, and a difference alone is not enough."""
        right, both, shifted = (
            self.loss((-2, 0, 0), (2, 0, 0)),
            self.loss((2, 0, 0), (2, 0, 0)),
            self.loss((2, 0, 0), (6, 0, 0)),
        )
        assert right < shifted < both

    def test_two_damaged_views_and_two_intact_ones_say_nothing(self) -> None:
        """As in an album without twins."""
        same = torch.ones(2, 1, 3)
        assert 0 == lessons._against_twins(torch.randn(2, 1, 3), same) == lessons._against_twins(same, 0 * same)


class TestVariation:
    """Light, place, colours and depth of a batch."""

    PIXELS = np.random.default_rng(3).integers(0, 256, (4, 20, 24, CHANNELS), np.uint8)

    def plain(self) -> NDArray[np.float32]:
        """Return what networks would see without variation."""
        seen = normalised(torch.from_numpy(self.PIXELS).permute(0, 3, 1, 2).float())
        return np.asarray(seen.permute(0, 2, 3, 1).numpy(), np.float32)

    def varied(self, seed: int, blind: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return what networks see."""
        seen = vary(torch.from_numpy(self.PIXELS), blind, np.random.default_rng(seed))
        assert seen.dtype == torch.bfloat16
        return np.asarray(seen.permute(0, 2, 3, 1).double().numpy(), np.float64)

    def test_pixels_keep_their_order_and_move_together(self) -> None:
        """Every channel is one of the picture's own, moved by the same few pixels, and brighter where that was."""
        moved, plain = set(), self.plain()
        for seed in range(8):
            seen = self.varied(seed, np.zeros(4, bool))
            fits = [
                (down, right)
                for down in range(-SHIFT, SHIFT + 1)
                for right in range(-SHIFT, SHIFT + 1)
                if np.abs(seen - np.roll(plain, (down, right), (1, 2)))[..., 3:].max() < 0.02
            ]
            assert 1 == len(fits)
            moved.update(fits)
            colours = np.roll(self.PIXELS, fits[0], (1, 2))[..., :3]
            for view in range(4):
                alike = np.corrcoef(seen[view, ..., :3].reshape(-1, 3).T, colours[view].reshape(-1, 3).T)[:3, 3:]
                assert (np.sort(alike.max(1)) > 0.95).all()
                assert {0, 1, 2} == set(alike.argmax(1))
        assert len(moved) > 3

    def test_a_gpu_looks_up_what_a_cpu_does(self) -> None:
        """To the last bit, by other code; torch's operations are the same wherever they run."""
        rng = np.random.default_rng(2)
        table = torch.from_numpy(rng.integers(-(2**15), 2**15, (4, CHANNELS, 256)).astype(np.int16))
        for seed in range(6):
            drawn = np.random.default_rng(seed)
            order, shift = np.array([*drawn.permutation(3), 3, 4]), drawn.integers(-SHIFT, SHIFT + 1, 2)
            here = variation._looked_up(self.PIXELS, table.numpy(), order, shift)
            there = variation._looked_up_there(torch.from_numpy(self.PIXELS), table, order, shift)
            assert there.dtype == torch.int16
            assert np.array_equal(here, there.numpy())

    def test_blind_views_have_no_depth(self) -> None:
        """As from a camera that measures none; the others keep theirs."""
        seen = self.varied(1, np.array([True, False, True, False]))
        assert 0 == np.abs(seen[[0, 2], ..., 3:]).max()
        assert seen[[1, 3], ..., 3:].std() > 0.3
        assert seen[..., :3].std() > 0.2

    def test_twins_lose_their_depth_together(self) -> None:
        """Half of the captures and a third of the references do, never one of a pair alone."""
        reference = np.arange(6_000) % 6 < 2
        pairs = learn._blind(reference, np.random.default_rng(0)).reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        of_references = reference.reshape(-1, 2)[:, 0]
        assert abs(pairs[of_references].mean() - 1 / 3) < 0.06
        assert abs(pairs[~of_references].mean() - 1 / 2) < 0.05

    def test_light_stays_within_what_a_pixel_can_hold(self) -> None:
        """0 to 255, however bright."""
        seen = self.varied(2, np.zeros(4, bool))[..., :3]
        assert seen.min() >= -1
        assert seen.max() <= 1


class TestMoves:
    """Turned, mirrored and scaled views."""

    @staticmethod
    def views(places: list[tuple[int, int]]) -> tuple[Tensor, NDArray[np.float32]]:
        """Return views that are dark but for a bright square of 32 pixels, which is damage, and its share of cells."""
        images, cells = (
            torch.zeros(len(places), CHANNELS, SIDE, SIDE, dtype=torch.bfloat16),
            np.zeros((len(places), SIDE, SIDE)),
        )
        for view, (row, column) in enumerate(places):
            images[view, :, row : row + 32, column : column + 32] = 1
            cells[view, row : row + 32, column : column + 32] = 1
        return images, cells.reshape(len(places), 14, 16, 14, 16).mean((2, 4)).astype(np.float32)

    @staticmethod
    def middle(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the middle of float[N, N] is, in shares of the view."""
        rows, columns = (np.arange(len(shares)) + 0.5) / len(shares), (np.arange(shares.shape[1]) + 0.5) / len(shares)
        return np.asarray(np.array([shares.sum(1) @ rows, shares.sum(0) @ columns]) / shares.sum(), np.float64)

    def test_damage_is_where_the_picture_shows_it(self) -> None:
        """In every channel, whatever the move: the middle within a quarter of a cell, the area within a tenth."""
        images, cells = self.views([(80, 80), (80, 80), (64, 130), (120, 70), (96, 112)])
        areas = []
        for seed in range(12):
            moved, places = move(images, cells, np.random.default_rng(seed))
            assert (images.dtype, images.shape) == (moved.dtype, moved.shape)
            assert moved.is_contiguous(memory_format=torch.channels_last)
            for view, channel in itertools.product(range(5), range(CHANNELS)):
                shown = moved[view, channel].double().numpy()
                assert np.abs(self.middle(shown) - self.middle(places[view])).max() < 0.25 / 14
                assert abs(shown.sum() / 256 / places[view].sum() - 1) < 0.1
                areas.append(shown.sum() / 32**2)
        assert min(areas) < 0.75
        assert max(areas) > 1.35

    def test_twins_move_alike_and_others_do_not(self) -> None:
        """Two by two; only mirroring is the same for a batch, for what is printed has to be readable or not."""
        images, cells = self.views([(90, 60)] * 6)
        mirrored = set()
        for seed in range(12):
            moved, places = move(images, cells, np.random.default_rng(seed))
            assert torch.equal(moved[::2], moved[1::2])
            assert np.array_equal(places[::2], places[1::2])
            assert not torch.equal(moved[0], moved[2])
            sides = {bool(self.middle(each)[1] > 0.5) for each in places}
            assert 1 == len(sides)
            mirrored |= sides
        assert {False, True} == mirrored

    def test_no_damage_leaves_the_view(self) -> None:
        """A pair that would lose it is mirrored at most, to the last bit; both of the pair, though one is intact."""
        images, cells = self.views([(0, 0), (0, 0), (90, 90), (90, 90)])
        cells[1] = 0
        kept = 0
        for seed in range(12):
            moved, places = move(images, cells, np.random.default_rng(seed))
            assert places[0].sum() >= 0.9 * 0.8**2 * cells[0].sum()
            unmoved = [torch.equal(moved[view], each) for view in (0, 1) for each in (images[0], images[0].flip(2))]
            assert unmoved[:2] == unmoved[2:]
            kept += any(unmoved)
            assert not torch.equal(moved[2], images[2])
        assert 3 <= kept

    def test_what_nobody_marked_stays_unmarked(self) -> None:
        """Below zero in every cell that lies in the old view."""
        images, cells = self.views([(90, 90)] * 2)
        _, places = move(images, np.full_like(cells, -1), np.random.default_rng(0))
        assert (lessons.shown(places) != 1).all()
        assert (lessons.shown(places)[:, 4:10, 4:10] == 0.5).all()

    def test_depth_is_never_between_two_heights(self) -> None:
        """Nor between one and nothing; what comes in from outside has none."""
        images = torch.full((2, CHANNELS, SIDE, SIDE), 0.5, dtype=torch.bfloat16)
        images[:, 3:, 50:120] = 0.25
        images[:, 3:, :, ::3] = 0
        moved, _ = move(images, np.zeros((2, 14, 14), np.float32), np.random.default_rng(1))
        assert {0.0, 0.25, 0.5} == set(moved[:, 3:].unique().tolist())
        assert {0.5} == set(moved[:, :3].unique().tolist())
