"""The booth's captures as a data set on disk: cut off, taken up again, and read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from booth.world import World
from schemas.faults import Fatal
from training.data import open_data_set, write
from training.data.check import check
from training.data.findings import Gravity
from training.data.form import DataSet


class PulledPlugError(Exception):
    """Somebody pulled the plug."""


@dataclass
class Order:
    """Six captures of two products, all with depth."""

    out: Path
    seed: int = 3
    captures: int = 6
    layout: str = "A"
    split: str = "test"
    site_style: str = "standard"
    damage_rate: float = 0.5

    def place(self, *, plug_after: int | None = None) -> int:
        """Write it; return how many captures were told of."""
        told = 0

        def say(captures: int) -> None:
            nonlocal told
            told += captures
            if plug_after is not None and told >= plug_after:
                raise PulledPlugError

        write.write(
            seed=self.seed,
            split=self.split,
            captures=self.captures,
            products=2,
            layout=self.layout,
            damage_rate=self.damage_rate,
            site_style=self.site_style,
            depth=1.0,
            out=self.out,
            processes=1,
            say=say,
        )
        return told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Write a set that is cut off after two captures, then taken up again."""
    order = Order(tmp_path_factory.mktemp("booth") / "set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_JOB", 1)
        with pytest.raises(PulledPlugError):
            order.place(plug_after=2)
        assert not list(order.out.rglob("*.parquet"))
        kept = list((order.out / ".unfinished").rglob("query-*.json"))
        assert 2 <= len(kept) <= 5
        dates = {path: path.stat().st_mtime_ns for path in order.out.rglob("*.jpg")}
        assert 6 == order.place()
        assert dates.items() <= {path: path.stat().st_mtime_ns for path in order.out.rglob("*.jpg")}.items()
    return order


@pytest.fixture(scope="module")
def data(written: Order) -> DataSet:
    """Read it."""
    return open_data_set(written.out)


class TestWrite:
    """A tree that any reader of Kaputt can read, and ours without loss."""

    def test_the_pictures_are_the_worlds(self, data: DataSet) -> None:
        """Byte for byte, in the world's order, with truth, depth, boxes and facts."""
        world = World(3, products=2, damage_rate=0.5, split="test", depth=1.0)
        _, truth, exposures = world.expose(4)
        (sample,) = [sample for sample in data.samples if sample.capture_id.endswith("000000004")]
        assert sample.label is not None
        assert (truth.damaged, frozenset(truth.kinds)) == (sample.label.damaged, sample.label.kinds)
        assert (truth.product_id, truth.facts["material"]) == (sample.product_id, sample.facts["material"])
        assert [exposure.picture.jpeg for exposure in exposures] == [image.path.read_bytes() for image in sample.images]
        assert [exposure.picture.depth_png for exposure in exposures] == [
            None if image.depth is None else image.depth.read_bytes() for image in sample.images
        ]
        assert [len(exposure.boxes) for exposure in exposures] == [len(image.boxes) for image in sample.images]

    def test_every_product_has_its_references(self, data: DataSet) -> None:
        """Two each, of both cameras, in the split of their product."""
        assert 4 == len(data.references)
        assert {("test", 2)} == {(reference.split, len(reference.images)) for reference in data.references}
        assert {sample.product_id for sample in data.samples} <= {r.product_id for r in data.references}

    def test_nothing_in_it_would_spoil_training(self, data: DataSet) -> None:
        """Every picture, mask and depth view decodes and fits."""
        findings = check(data, deep=True).findings
        assert [] == [finding.sentence for finding in findings if finding.matter.gravity is Gravity.SPOILS]

    def test_written_once_is_written(self, written: Order) -> None:
        """The same order again touches nothing and says so at once."""
        dates = {path: path.stat().st_mtime_ns for path in written.out.rglob("*") if path.is_file()}
        assert 6 == written.place()
        assert dates == {path: path.stat().st_mtime_ns for path in written.out.rglob("*") if path.is_file()}
        assert [] == [path for path in written.out.rglob("*") if path.suffix == ".part" or path.name == ".unfinished"]

    def test_another_order_never_mixes(self, written: Order) -> None:
        """The folder keeps what it holds; the message names what differs."""
        with pytest.raises(Fatal, match=r"split test of another order \(seed differs\)"):
            Order(written.out, seed=4).place()
        with pytest.raises(Fatal, match="holds the other layout"):
            Order(written.out, layout="B", split="train").place()

    @pytest.mark.parametrize(
        ("order", "said"),
        [
            (Order(Path("x"), split="all"), "no split 'all'"),
            (Order(Path("x"), layout="C"), "no layout 'C' to write"),
            (Order(Path("x"), captures=0), "at least 1"),
            (Order(Path("x"), damage_rate=1.5), "from 0 to 1"),
            (Order(Path("x"), site_style="moon"), "site style must be one of"),
        ],
    )
    def test_orders_that_cannot_be(self, tmp_path: Path, order: Order, said: str) -> None:
        """They are refused before a folder is made."""
        order.out = tmp_path / "set"
        with pytest.raises(Fatal, match=said):
            order.place()
        assert not order.out.exists()

    def test_somebody_elses_folder_is_left_alone(self, tmp_path: Path) -> None:
        """A folder that holds other things is no place for a data set."""
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(Fatal, match="not written by this command"):
            Order(tmp_path).place()
        assert ["thesis.tex"] == [path.name for path in tmp_path.iterdir()]
