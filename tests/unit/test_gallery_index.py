"""The gallery in memory: nearest products, narrowing, change after change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.discrepancy import CELLS, PATCH_SIZE, quantise
from gallery.entry import (
    Change,
    Entry,
    ProductGone,
    ProductPut,
    Reference,
    ReferenceGone,
    ReferencePut,
    Vectors,
    pack,
)
from gallery.index import EXACT_BELOW, GalleryIndex
from schemas.messages import Product

VERSION = "gallery_embedding:1"


def unit(vectors: Vectors) -> Vectors:
    """Scale to unit length."""
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def around(product: int, *, views: int = 3, spread: float = 0.5, seed: int = 0) -> Vectors:
    """Draw views of a product: float32[views, 128] around a direction of its own."""
    centre = np.random.default_rng(product).normal(size=128)
    return unit((centre + spread * np.random.default_rng([product, seed]).normal(size=(views, 128))).astype(np.float32))


def entry(reference_id: str, product_id: str, vectors: Vectors) -> Entry:
    """Make an entry whose patch maps do not matter."""
    patches = quantise(np.zeros((len(vectors), CELLS, PATCH_SIZE), np.float32))
    return Entry(reference_id, product_id, VERSION, "booth", 1_700_000_000_000, vectors, patches, ("file:///a.png",))


def put(reference_id: str, product_id: str, vectors: Vectors) -> ReferencePut:
    """Make the change that brings a reference."""
    return ReferencePut(reference_id, pack(entry(reference_id, product_id, vectors)))


def filled(products: int, *, references: int = 2) -> GalleryIndex:
    """Return an index with references R-<product>-<n> of products P-0, P-1, ..."""
    index = GalleryIndex(model_version=VERSION)
    for product in range(products):
        for number in range(references):
            index.apply(put(f"R-{product}-{number}", f"P-{product}", around(product, seed=number + 1)))
    return index


def names(index: GalleryIndex, vectors: Vectors, *, k: int = 3, expected: Sequence[str] = ()) -> list[str]:
    """Return the ids of the nearest products."""
    return [candidate.product_id for candidate in index.nearest(vectors, k=k, expected=expected)]


class TestNearest:
    """GalleryIndex.nearest."""

    def test_an_empty_gallery_has_no_candidates(self) -> None:
        """Before anything is enrolled nothing is near, expected or not."""
        index = GalleryIndex(model_version=VERSION)

        assert [] == index.nearest(around(1), k=5)
        assert [] == index.nearest(around(1), k=5, expected=["P-1"])

    def test_a_product_is_found_by_another_capture_of_it(self) -> None:
        """Each of 200 products is the first candidate of a capture that is not in the gallery."""
        index = filled(200)

        assert [f"P-{n}" for n in range(200)] == [names(index, around(n, seed=9))[0] for n in range(200)]

    def test_similarity_is_the_mean_over_views_of_the_best_cosine(self) -> None:
        """The score is exact, up to the float16 of the gallery."""
        index = filled(20)
        query = around(4, seed=9)
        held = np.concatenate([around(4, seed=1), around(4, seed=2)])
        expected = float((query @ held.T).max(axis=1).mean())

        assert expected == pytest.approx(index.nearest(query, k=1)[0].similarity, abs=1e-3)

    def test_the_most_alike_reference_comes_first(self) -> None:
        """A capture equal to a product's second reference names that one first, and all of them."""
        index = filled(10)

        assert ("R-3-1", "R-3-0") == index.nearest(around(3, seed=2), k=1)[0].reference_ids

    def test_expected_products_narrow_the_choice(self) -> None:
        """Only products of the list are considered, however unlike, and unknown ones are no fault."""
        index = filled(50)

        assert ["P-7", "P-9"] == sorted(names(index, around(4, seed=9), k=5, expected=["P-9", "P-7", "P-none"]))
        assert ["P-9"] == names(index, around(9, seed=9), k=1, expected=["P-7", "P-9"])

    def test_ties_are_broken_by_product_id(self) -> None:
        """Two products with the same reference come in the order of their ids, whichever was enrolled first."""
        index = GalleryIndex(model_version=VERSION)
        for product_id in ("P-b", "P-a"):
            index.apply(put(f"R-{product_id}", product_id, around(1)))

        assert ["P-a", "P-b"] == names(index, around(1))

    def test_a_retired_product_is_not_found_until_it_is_back(self) -> None:
        """Its references stay, so listing it again is enough."""
        index = filled(5)
        index.apply(ProductPut(Product(product_id="P-2", retired=True)))
        assert "P-2" not in names(index, around(2, seed=9), k=5)
        assert "P-2" not in names(index, around(2, seed=9), k=5, expected=["P-2"])

        index.apply(ProductPut(Product(product_id="P-2")))

        assert "P-2" == names(index, around(2, seed=9))[0]

    def test_a_large_gallery_still_finds_them(self) -> None:
        """Past the size where the graph replaces the exact scan, 99 % of captures still find their product."""
        index = filled(1 + EXACT_BELOW // 6, references=2)
        asked = range(0, 1 + EXACT_BELOW // 6, 7)

        found = sum(names(index, around(n, seed=9), k=1) == [f"P-{n}"] for n in asked)

        assert found >= 0.99 * len(asked)


class TestChanges:
    """GalleryIndex.apply."""

    def test_the_same_change_twice_changes_nothing(self) -> None:
        """A feed may be read twice."""
        index = filled(3)
        index.apply(put("R-1-0", "P-1", around(1, seed=1)))

        assert 6 == index.references
        assert ("R-1-0", "R-1-1") == index.references_of("P-1")

    def test_a_withdrawn_reference_is_forgotten(self) -> None:
        """It is not compared again; the last one of a product takes the product out of reach."""
        index = filled(3)
        index.apply(ReferenceGone("R-1-0"))
        assert ("R-1-1",) == index.references_of("P-1")

        index.apply(ReferenceGone("R-1-1"))

        assert () == index.references_of("P-1")
        assert "P-1" not in names(index, around(1, seed=9))
        assert index.digest_of("R-1-1") is None

    def test_an_unknown_reference_may_go(self) -> None:
        """A withdrawal of something never seen is no fault."""
        index = filled(1)
        index.apply(ReferenceGone("R-none"))

        assert 2 == index.references

    def test_a_reference_may_move_to_another_product(self) -> None:
        """An enrolment that was wrong is corrected under the same id."""
        index = filled(3)
        before = index.digest_of("R-1-0")
        index.apply(put("R-1-0", "P-2", around(2, seed=5)))

        assert ("R-1-1",) == index.references_of("P-1")
        assert {"R-2-0", "R-2-1", "R-1-0"} == set(index.references_of("P-2"))
        assert before != index.digest_of("R-1-0")

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 5), st.integers(0, 2), st.booleans()), max_size=60))
    def test_any_history_ends_in_what_is_held(self, history: list[tuple[int, int, int, bool]]) -> None:
        """After any puts, moves and withdrawals, in any order, the index equals one filled with the survivors."""
        index = GalleryIndex(model_version=VERSION)
        survivors: dict[str, tuple[str, Vectors]] = {}
        for number, product, seed, gone in history:
            reference_id = f"R-{number}"
            if gone:
                survivors.pop(reference_id, None)
                index.apply(ReferenceGone(reference_id))
            else:
                survivors[reference_id] = (f"P-{product}", around(product, seed=seed, views=1 + seed))
                index.apply(put(reference_id, *survivors[reference_id]))
        fresh = GalleryIndex(model_version=VERSION)
        for reference_id, (product_id, vectors) in survivors.items():
            fresh.apply(put(reference_id, product_id, vectors))

        assert fresh.reference_ids == index.reference_ids
        for product in range(6):
            query = around(product, seed=9)
            expected, found = fresh.nearest(query, k=6), index.nearest(query, k=6)
            assert [candidate.product_id for candidate in expected] == [candidate.product_id for candidate in found]
            # A cosine near zero is a float32 sum of 128 terms that cancel: its error is absolute, not relative.
            cosines = pytest.approx([each.similarity for each in found], abs=1e-6)
            assert [each.similarity for each in expected] == cosines

    def test_rows_are_used_again(self) -> None:
        """Years of enrolling and withdrawing do not let a gallery of constant size grow or lose anything."""
        index = filled(40)
        for generation in range(3, 33):
            for product in range(40):
                index.apply(ReferenceGone(f"R-{product}-{generation - 3}"))
                index.apply(put(f"R-{product}-{generation - 1}", f"P-{product}", around(product, seed=generation)))

        assert 80 == index.references
        assert [f"P-{n}" for n in range(40)] == [names(index, around(n, seed=99))[0] for n in range(40)]


class TestCatalogue:
    """Products by their codes."""

    def put_all(self, *products: Product) -> GalleryIndex:
        """Return an index that knows these products."""
        index = GalleryIndex(model_version=VERSION)
        for product in products:
            index.apply(ProductPut(product))
        return index

    def test_a_product_is_found_by_any_writing_of_its_code(self) -> None:
        """EAN-13, its GTIN-14 form and a GS1 element string are one code; the id works as well."""
        index = self.put_all(Product(product_id="P-1", codes=["4006381333931"]))

        asked = ["4006381333931", "04006381333931", "(01)04006381333931", "P-1"]

        assert ["P-1"] * 4 == [index.product_of(code) for code in asked]

    def test_an_id_that_is_a_gtin_is_a_code(self) -> None:
        """A product whose id is its GTIN needs no codes."""
        assert "4006381333931" == self.put_all(Product(product_id="4006381333931")).product_of("04006381333931")

    def test_a_code_of_two_products_names_neither(self) -> None:
        """Which of them it is, the code cannot tell; once one is gone it can."""
        one, two = (Product(product_id=name, codes=["4006381333931"]) for name in ("P-1", "P-2"))
        index = self.put_all(one, two)
        assert index.product_of("4006381333931") is None

        index.apply(ProductGone("P-1"))

        assert "P-2" == index.product_of("4006381333931")

    def test_the_newest_message_of_a_product_wins(self) -> None:
        """Codes it no longer has are forgotten."""
        index = self.put_all(
            Product(product_id="P-1", codes=["4006381333931"]), Product(product_id="P-1", codes=["X00ABC"])
        )

        assert (None, "P-1") == (index.product_of("4006381333931"), index.product_of("x00abc"))
        assert 1 == index.products

    def test_a_retired_product_is_known_but_found_by_nothing(self) -> None:
        """Neither its codes nor its id lead to it, and it is not counted."""
        index = self.put_all(
            Product(product_id="P-1", codes=["4006381333931"]),
            Product(product_id="P-1", codes=["4006381333931"], retired=True),
        )

        assert (None, None, 0) == (index.product_of("4006381333931"), index.product_of("P-1"), index.products)

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["put", "retire", "gone"]))))
    def test_any_history_leaves_only_the_newest(self, history: list[tuple[int, int, str]]) -> None:
        """After any messages the look-ups are those of the last message of each product."""
        newest: dict[str, Product] = {}
        changes: list[Change] = []
        for product, code, what in history:
            name = f"P-{product}"
            newest.pop(name, None)
            if what == "gone":
                changes.append(ProductGone(name))
            else:
                newest[name] = Product(product_id=name, codes=[f"CODE-{code}"], retired=what == "retire")
                changes.append(ProductPut(newest[name]))
        index = GalleryIndex(model_version=VERSION)
        for change in changes:
            index.apply(change)
        listed = [product for product in newest.values() if not product.retired]

        assert len(listed) == index.products
        for asked in ("CODE-0", "CODE-1", "CODE-2"):
            owners = [product.product_id for product in listed if asked in product.codes]
            assert (owners[0] if len(owners) == 1 else None) == index.product_of(asked)


class TestEntry:
    """What may be enrolled."""

    def test_its_digest_tells_any_difference(self) -> None:
        """Another picture, source or product makes another digest; the same entry the same."""
        one = entry("R-1", "P-1", around(1))

        assert pack(one) == pack(entry("R-1", "P-1", around(1)))
        assert pack(one).digest != pack(entry("R-1", "P-2", around(1))).digest
        assert pack(one).digest != pack(entry("R-1", "P-1", around(1, seed=2))).digest

    def test_vectors_survive_packing(self) -> None:
        """What an index unpacks is what was enrolled, to the precision of float16."""
        assert np.allclose(around(1), pack(entry("R-1", "P-1", around(1))).unpack(), atol=5e-4)

    @pytest.mark.parametrize(
        "vectors",
        [
            np.zeros((0, 128), np.float32),
            np.zeros((9, 128), np.float32),
            np.zeros((2, 64), np.float32),
            np.full((1, 128), np.nan, np.float32),
        ],
    )
    def test_useless_arrays_are_refused(self, vectors: Vectors) -> None:
        """No view, too many, the wrong size or numbers that are none never reach the store."""
        with pytest.raises(ValueError, match=r"expected|not finite"):
            entry("R-1", "P-1", vectors)

    @pytest.mark.parametrize("raw", [b"", b"x" * 255, b"x" * 256 * 9, b"\xff" * 256])
    def test_useless_bytes_are_refused(self, raw: bytes) -> None:
        """A record that someone else wrote badly does not reach the index."""
        with pytest.raises(ValueError, match=r"vectors|reshape|buffer"):
            Reference("P-1", b"12345678", raw).unpack()
