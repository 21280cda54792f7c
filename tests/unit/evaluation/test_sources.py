"""Where captures come from: the booth, a data set, memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from booth.world import World
from evidence.frame import CHANNELS, SIDE
from schemas.faults import Poison, Reason
from training.data.form import DataSet, Image
from training.evaluation.booth_source import Booth
from training.evaluation.disk_source import Disk
from training.evaluation.kept_source import Kept
from training.evaluation.source import RawView, prepare


class TestBooth:
    """Captures of the booth."""

    @pytest.fixture(scope="class")
    def booth(self) -> Booth:
        """Six captures of three products, half of them damaged, all with depth."""
        return Booth(5, 6, products=3, damage_rate=0.5, site_style="standard", depth=1.0, redesigned=0.0)

    def test_a_capture_is_the_worlds_own(self, booth: Booth) -> None:
        """Pictures, truth and scan are those of the world's shot of that number."""
        world = World(5, products=3, damage_rate=0.5, split="test", site_style="standard", depth=1.0, redesigned=0.0)
        shot = next(each for each in booth.shots() if each.number == 4)
        raw, there = shot.take(), world.shot(4)

        assert [picture.jpeg for picture in there.pictures] == [view.rgb for view in raw.views]
        assert [picture.depth_png for picture in there.pictures] == [view.depth for view in raw.views]
        assert raw.label is not None
        assert (there.truth.damaged, there.truth.product_id) == (raw.label.damaged, raw.product_id)
        assert dict(there.truth.facts) == raw.facts

    def test_captures_of_a_product_come_together(self, booth: Booth) -> None:
        """Every capture once, sorted by product."""
        numbers = [shot.number for shot in booth.shots()]
        products = [booth.world().plan(number).number for number in numbers]
        assert sorted(products) == products
        assert set(range(6)) == set(numbers)

    def test_references_and_names(self, booth: Booth) -> None:
        """Two references a product; the name tells worlds apart."""
        assert 6 == len(booth.poses())
        pose = booth.pose_of(booth.catalogue()[2].product_id)
        assert pose is not None
        assert 2 == pose.product
        assert booth.pose_of("nothing") is None
        assert booth.name != dataclasses.replace(booth, depth=0.5).name

    def test_depth_reaches_the_models_input(self, booth: Booth) -> None:
        """The channels behind the colours are filled where a view has depth, and zero where it was taken away."""
        views = booth.shots()[0].take().views
        seen = prepare(views, codes=False).pixels
        blind = prepare([RawView(view.rgb) for view in views], codes=False).pixels

        assert (SIDE, SIDE, CHANNELS) == seen.shape[1:]
        assert seen[..., 3:].any()
        assert not blind[..., 3:].any()
        assert (seen[..., :3] == blind[..., :3]).all()


class TestDisk:
    """Captures of a data set."""

    def test_a_picture_that_is_gone_is_named(self, drawn: DataSet, tmp_path: Path) -> None:
        """A missing file costs its own capture, with a reason."""
        sample = dataclasses.replace(drawn.samples[0], images=(Image(tmp_path / "gone.png"),))
        shot = Disk(dataclasses.replace(drawn, samples=(sample,))).shots()[0]
        with pytest.raises(Poison) as caught:
            shot.take()
        assert Reason.VIEW_MISSING == caught.value.reason

    def test_depth_that_is_gone_is_left_out(self, drawn: DataSet, tmp_path: Path) -> None:
        """As on the line, depth is used where it is there and never required."""
        image = dataclasses.replace(drawn.samples[0].images[0], depth=tmp_path / "gone.png")
        sample = dataclasses.replace(drawn.samples[0], images=(image,))
        shot = Disk(dataclasses.replace(drawn, samples=(sample,))).shots()[0]
        assert shot.take().views[0].depth is None

    def test_splits_are_kept_apart(self, drawn: DataSet) -> None:
        """Only the captures and references of the split asked for are in it."""
        assert 36 == len(Disk(drawn, "test").shots())
        assert [] == Disk(drawn, "train").shots()
        assert [] == Disk(drawn, "train").poses()


class TestKept:
    """Captures in memory."""

    def test_the_same_bytes_each_time(self, drawn: DataSet) -> None:
        """What was taken once is returned for ever, under the numbers it had."""
        few = dataclasses.replace(drawn, samples=drawn.samples[:3])
        kept = Kept.of(Disk(few))
        assert [0, 1, 2] == [shot.number for shot in kept.shots()]
        assert [shot.take().views[0].rgb for shot in Disk(few).shots()] == [
            shot.take().views[0].rgb for shot in kept.shots()
        ]
        assert kept.pose_of("p-1") is not None
        assert kept.pose_of("nothing") is None


class TestPrepare:
    """source.prepare."""

    def test_no_view_is_no_picture(self) -> None:
        """A capture without views is refused as on the line."""
        with pytest.raises(Poison) as caught:
            prepare([], codes=True)
        assert Reason.NO_PICTURE == caught.value.reason

    def test_the_bad_view_is_named(self, drawn: DataSet) -> None:
        """Of several views the one that cannot be read is named."""
        good = drawn.samples[0].images[0].path.read_bytes()
        with pytest.raises(Poison, match="view 1") as caught:
            prepare([RawView(good), RawView(b"nothing")], codes=True)
        assert Reason.NOT_AN_IMAGE == caught.value.reason
