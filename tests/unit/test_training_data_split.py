"""Splits by product, on data sets that hypothesis makes up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import Fatal
from training.data.form import DataSet, Image, Pristine, Sample
from training.data.split import split_by_product

PRODUCTS = st.none() | st.integers(0, 12).map("p{}".format)
SHARES = st.dictionaries(st.sampled_from("abc"), st.floats(0.05, 1), min_size=1)


def data_set(products: list[str | None], referred: list[int]) -> DataSet:
    """Return samples of these products, and references."""
    image = (Image(Path("a.jpg")),)
    samples = tuple(Sample(f"c{number}", image, None, product, "old") for number, product in enumerate(products))
    references = tuple(Pristine(f"r{number}", f"p{of}", image, "old") for number, of in enumerate(referred))
    return DataSet("made", Path(), samples, references)


SETS = st.builds(data_set, st.lists(PRODUCTS, max_size=60), st.lists(st.integers(0, 15), max_size=20))


class TestSplitByProduct:
    """Nothing that was learnt from is measured on."""

    @given(data=SETS, shares=SHARES, seed=st.integers(0, 5))
    def test_no_product_has_a_foot_in_two_splits(self, data: DataSet, shares: dict[str, float], seed: int) -> None:
        """Samples and references of a product are in one split, and none is lost."""
        parts = split_by_product(data, shares, seed)
        home: dict[str, str] = {}
        for name, part in parts.items():
            members: list[Sample | Pristine] = [*part.samples, *part.references]
            for member in members:
                assert name == member.split
                if member.product_id is not None:
                    assert name == home.setdefault(member.product_id, name)
        assert sorted(s.capture_id for s in data.samples) == sorted(
            s.capture_id for part in parts.values() for s in part.samples
        )
        assert len(data.references) == sum(len(part.references) for part in parts.values())

    @given(data=SETS, shares=SHARES, seed=st.integers(0, 5))
    def test_order_changes_nothing(self, data: DataSet, shares: dict[str, float], seed: int) -> None:
        """The same samples in another order fall into the same splits."""
        turned = replace(data, samples=data.samples[::-1], references=data.references[::-1])
        one, other = split_by_product(data, shares, seed), split_by_product(turned, shares, seed)
        for name in shares:
            assert {s.capture_id for s in one[name].samples} == {s.capture_id for s in other[name].samples}
            assert {r.reference_id for r in one[name].references} == {r.reference_id for r in other[name].references}

    @given(products=st.lists(PRODUCTS, min_size=1, max_size=80), seed=st.integers(0, 5))
    def test_shares_hold_to_within_the_largest_product(self, products: list[str | None], seed: int) -> None:
        """No split has more than its share and one product."""
        data = data_set(products, [])
        largest = max([products.count(product) for product in products if product is not None] or [1])
        parts = split_by_product(data, {"train": 3, "test": 1}, seed)
        assert len(parts["train"].samples) <= 0.75 * len(products) + largest
        assert len(parts["test"].samples) <= 0.25 * len(products) + largest

    def test_another_seed_is_another_split(self) -> None:
        """Otherwise there would be nothing to average over."""
        data = data_set([f"p{number}" for number in range(40)], [])
        seen = {
            frozenset(s.capture_id for s in split_by_product(data, {"a": 1, "b": 1}, seed)["a"].samples)
            for seed in range(5)
        }
        assert 5 == len(seen)

    def test_a_share_of_nothing_gets_nothing(self) -> None:
        """A split may be named and stay empty."""
        parts = split_by_product(data_set(["p1", "p2", None], [1, 9]), {"train": 1, "test": 0}, 1)
        assert (3, 2) == (len(parts["train"].samples), len(parts["train"].references))
        assert ((), ()) == (parts["test"].samples, parts["test"].references)

    @pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}])
    def test_shares_that_are_none(self, shares: dict[str, float]) -> None:
        """They are refused before anything is split."""
        with pytest.raises(Fatal, match="shares must be"):
            split_by_product(data_set(["p1"], []), shares, 1)
