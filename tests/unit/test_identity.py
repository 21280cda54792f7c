"""What a unit is: which source is believed, what is a conflict, and how sure the answer is."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.discrepancy import CELLS, PATCH_SIZE, Patches, quantise
from evidence.identity import (
    MAX_CLAIMS,
    CodeClaim,
    Foremost,
    ImageCandidate,
    ScanClaim,
    Shortlisted,
    identify,
    look_margin,
    rank,
    verify,
)
from evidence.identity_limits import IdentityLimits, ImageTier, LookWeights
from schemas import codec
from schemas.messages import Identity
from schemas.words import MICRO, IdentityMethod

LIMITS = IdentityLimits(
    scan=990_000,
    barcode=995_000,
    unconfirmed=900_000,
    tiers=(
        ImageTier(products=1, margin_weight=0, score=600_000, right=990_000),
        ImageTier(products=10, margin_weight=500_000, score=800_000, right=970_000),
        ImageTier(products=1_000, margin_weight=500_000, score=950_000, right=950_000),
    ),
    strong_similarity=800_000,
    strong_margin=200_000,
    poor_patch=600_000,
)
products = st.sampled_from(["P-1", "P-2", "P-3"])
scans = st.none() | st.builds(ScanClaim, st.text(max_size=8), st.none() | products, st.integers(0, 10))
code_claims = st.lists(st.builds(CodeClaim, st.text(max_size=8), st.none() | products, st.booleans()), max_size=5)
similarities = st.floats(-1, 1)
looks = st.lists(
    st.builds(ImageCandidate, products, similarities, similarities), max_size=4, unique_by=lambda c: c.product_id
)


def scan(product_id: str | None, code: str = "4006381333931") -> ScanClaim:
    """Make a scan of a code that the catalogue gives to a product."""
    return ScanClaim(code, product_id, 0)


def read(product_id: str | None, *, confirmed: bool = True, code: str = "04006381333931") -> CodeClaim:
    """Make a code read from the pixels."""
    return CodeClaim(code, product_id, confirmed)


def like(*, pooled: float = 0.9, **patches: float) -> list[ImageCandidate]:
    """Make candidates from product names (P_1) and patch similarities."""
    return [ImageCandidate(name.replace("_", "-"), pooled, patch) for name, patch in patches.items()]


def found(
    *,
    by_scan: ScanClaim | None = None,
    codes: list[CodeClaim] | None = None,
    candidates: list[ImageCandidate] | None = None,
    expected: list[str] | None = None,
) -> Identity:
    """Identify with the limits of these tests."""
    return identify(
        scan=by_scan, codes=codes or [], candidates=candidates or [], expected=expected or [], limits=LIMITS
    )


class TestOrder:
    """Which source is believed."""

    def test_nothing_said_is_no_identity(self) -> None:
        """Without any source there is no product, and no confidence in it."""
        assert Identity() == found()

    def test_a_scan_comes_first(self) -> None:
        """A scan that the catalogue knows is the identity, with its measured share of right ones."""
        assert Identity(
            product_id="P-1", method=IdentityMethod.SCAN, confidence_ppm=990_000, claims=["scan:P-1"]
        ) == found(by_scan=scan("P-1"))

    def test_a_code_in_the_pixels_comes_next(self) -> None:
        """Without a scan a confirmed code is the identity."""
        assert Identity(
            product_id="P-1", method=IdentityMethod.BARCODE, confidence_ppm=995_000, claims=["barcode:P-1"]
        ) == found(codes=[read("P-1")])

    def test_a_code_read_once_counts_less(self) -> None:
        """An unconfirmed code needs the catalogue to know it, and is believed less."""
        weak = found(codes=[read("P-1", confirmed=False)])

        assert (IdentityMethod.BARCODE, 900_000, ["barcode~:P-1"]) == (weak.method, weak.confidence_ppm, weak.claims)

    def test_two_different_single_reads_name_nothing(self) -> None:
        """Of two weak codes neither is better than the other."""
        weak = found(codes=[read("P-1", confirmed=False), read("P-2", confirmed=False)])

        assert (None, IdentityMethod.NONE, False) == (weak.product_id, weak.method, weak.conflict)
        assert ["barcode~:P-1", "barcode~:P-2"] == weak.claims

    def test_looks_come_last(self) -> None:
        """Without scan and code the product that the unit clearly looks like is the identity."""
        assert Identity(
            product_id="P-2", method=IdentityMethod.IMAGE, confidence_ppm=950_000, claims=["image:P-2"]
        ) == found(candidates=like(P_1=0.7, P_2=0.85))

    def test_an_unknown_code_leaves_the_word_to_the_looks(self) -> None:
        """A scan and a code that the catalogue does not know are on record, and name nothing."""
        unknown = found(by_scan=scan(None), codes=[read(None)], candidates=like(P_1=0.7, P_2=0.85))

        assert ("P-2", IdentityMethod.IMAGE, False) == (unknown.product_id, unknown.method, unknown.conflict)
        assert ["scan:?4006381333931", "barcode:?04006381333931", "image:P-2"] == unknown.claims


class TestLooks:
    """When appearance is enough: open set, narrowed by expectation."""

    def test_a_stranger_is_rejected(self) -> None:
        """However far ahead of the others, what does not look like its references is not recognised.

        The best guess is on record as weak.
        """
        stranger = found(candidates=like(pooled=0.75, P_1=0.79, P_2=0.5))

        assert (None, IdentityMethod.NONE, ["image~:P-1"]) == (stranger.product_id, stranger.method, stranger.claims)

    def test_siblings_are_not_told_apart_by_looks(self) -> None:
        """Two products that look alike are left to a code: a lead of 0.05 is too little, one of 0.15 enough."""
        assert found(candidates=like(P_1=0.9, P_2=0.85)).product_id is None
        assert "P-1" == found(candidates=like(P_1=0.9, P_2=0.75)).product_id

    def test_fewer_products_to_choose_from_need_less(self) -> None:
        """What is too little among all products is enough among two expected ones, and less still for one."""
        two = like(pooled=0.75, P_1=0.75, P_2=0.6)

        assert found(candidates=two).product_id is None
        assert "P-1" == found(candidates=two, expected=["P-1", "P-2"]).product_id
        assert found(candidates=like(pooled=0.65, P_1=0.7), expected=["P-1", "P-2"]).product_id is None
        assert "P-1" == found(candidates=like(pooled=0.65, P_1=0.7), expected=["P-1"]).product_id

    def test_only_expected_products_are_recognised(self) -> None:
        """A unit that looks like something not expected gets no identity by its looks, not even a worse one."""
        assert found(candidates=like(P_1=0.75, P_2=0.95), expected=["P-1"]).product_id is None
        assert found(candidates=like(P_2=0.95), expected=["P-1"]).product_id is None

    def test_the_widest_tier_holds_beyond_its_size(self) -> None:
        """A list longer than any tier is measured against the last one."""
        many = [f"P-{n}" for n in range(5_000)]

        assert found(candidates=like(pooled=0.75, P_1=0.75, P_2=0.5), expected=many).product_id is None
        assert "P-1" == found(candidates=like(P_1=0.85, P_2=0.5), expected=many).product_id


class TestConflict:
    """Sources that disagree."""

    def test_scan_and_code_that_differ_are_a_conflict(self) -> None:
        """The scan is kept, with the chance that it is right given that one of the two is wrong."""
        both = found(by_scan=scan("P-1"), codes=[read("P-2")])

        assert ("P-1", IdentityMethod.SCAN, True) == (both.product_id, both.method, both.conflict)
        assert 332_214 == both.confidence_ppm  # 0.99 x 0.005 / (0.99 x 0.005 + 0.01 x 0.995)
        assert ["scan:P-1", "barcode:P-2"] == both.claims

    def test_a_code_read_once_contradicts_nobody(self) -> None:
        """A single read may be a misread."""
        weak = found(by_scan=scan("P-1"), codes=[read("P-2", confirmed=False)])

        assert (False, 990_000) == (weak.conflict, weak.confidence_ppm)

    def test_two_confirmed_codes_of_different_products_are_a_conflict(self) -> None:
        """Nothing says which label is the unit's own."""
        assert found(codes=[read("P-2"), read("P-1")]).conflict

    def test_the_scanned_label_in_the_picture_excuses_another(self) -> None:
        """A neighbour's label beside the one that was scanned is no conflict."""
        both = found(by_scan=scan("P-1"), codes=[read("P-2"), read("P-1")])

        assert (False, "P-1") == (both.conflict, both.product_id)
        assert 999_950 == both.confidence_ppm

    def test_looks_do_not_excuse_another_label(self) -> None:
        """A sibling looks like the product scanned; the label in the picture says that it is not."""
        sibling = found(by_scan=scan("P-1"), codes=[read("P-2")], candidates=like(P_1=0.95, P_2=0.8))

        assert sibling.conflict

    def test_codes_unknown_to_the_catalogue_contradict_nobody(self) -> None:
        """Shipping labels are everywhere."""
        assert not found(by_scan=scan("P-1"), codes=[read(None)]).conflict
        assert not found(by_scan=scan(None), codes=[read("P-1")]).conflict

    def test_a_clear_look_contradicts_a_scan(self) -> None:
        """Strongly like another product and unlike the one scanned: a conflict."""
        swapped = found(by_scan=scan("P-1"), candidates=like(P_1=0.55, P_2=0.9))

        assert (True, "P-1") == (swapped.conflict, swapped.product_id)
        assert ["scan:P-1", "image:P-2"] == swapped.claims

    def test_a_guess_contradicts_nobody(self) -> None:
        """Unless all holds: another strongly alike, far above, and the own references poor."""
        harmless = [
            like(pooled=0.7, P_1=0.55, P_2=0.84),  # the other one is not so alike itself
            like(pooled=0.99, P_1=0.59, P_2=0.78),  # nor is it far above
            like(P_1=0.65, P_2=0.95),  # the scanned product looks well enough: damage, or a sibling
            like(P_2=0.95),  # the scanned product has no references to look at
        ]

        assert [False] * 4 == [found(by_scan=scan("P-1"), candidates=each).conflict for each in harmless]

    def test_pooled_vectors_contradict_as_well(self) -> None:
        """A lead of the pooled vectors is enough where patch maps hesitate."""

        def swapped(own: float, other: float) -> bool:
            candidates = [ImageCandidate("P-1", own, 0.75), ImageCandidate("P-2", other, 0.9)]
            return found(by_scan=scan("P-1"), candidates=candidates).conflict

        assert swapped(0.7, 0.95)
        assert not swapped(0.76, 0.95)  # a lead of less than 0.2
        assert not swapped(0.5, 0.93)  # not alike enough itself

    def test_a_code_read_once_gives_way_to_a_clear_look(self) -> None:
        """It was misread, more likely: the look is the identity, and nobody is bothered."""
        misread = found(codes=[read("P-1", confirmed=False)], candidates=like(pooled=0.95, P_1=0.55, P_2=0.9))

        assert ("P-2", IdentityMethod.IMAGE, False) == (misread.product_id, misread.method, misread.conflict)

    def test_looks_contradict_a_code_like_a_scan(self) -> None:
        """A code read from the pixels may be a neighbour's, too."""
        assert found(codes=[read("P-1")], candidates=like(P_1=0.55, P_2=0.9)).conflict


class TestConfidence:
    """How sure."""

    def test_sources_that_agree_multiply_their_doubts(self) -> None:
        """One in a hundred and one in two hundred make one in twenty thousand; looks add to it."""
        assert 999_950 == found(by_scan=scan("P-1"), codes=[read("P-1")]).confidence_ppm
        assert 999_500 == found(by_scan=scan("P-1"), candidates=like(P_1=0.9, P_2=0.5)).confidence_ppm

    def test_the_same_code_in_every_view_is_one_source(self) -> None:
        """Eight views of one label are not eight witnesses."""
        assert 995_000 == found(codes=[read("P-1")] * 8).confidence_ppm

    def test_damage_does_not_cost_a_scan_its_confidence(self) -> None:
        """A unit that looks little like its references, and like nothing else, is as likely scanned right."""
        assert 990_000 == found(by_scan=scan("P-1"), candidates=like(P_1=0.3, P_2=0.35)).confidence_ppm

    @given(scans, code_claims, looks, st.lists(products, max_size=3))
    def test_any_claims_make_a_record(
        self, by_scan: ScanClaim | None, codes: list[CodeClaim], candidates: list[ImageCandidate], expected: list[str]
    ) -> None:
        """Whatever sources say, the answer is a valid, bounded message in which product and method belong together."""
        identity = found(by_scan=by_scan, codes=codes, candidates=candidates, expected=expected)

        assert identity == codec.decode(Identity, codec.encode(identity))
        assert (identity.product_id is None) == (identity.method is IdentityMethod.NONE)
        assert 0 <= identity.confidence_ppm <= MICRO
        assert len(identity.claims) <= MAX_CLAIMS
        assert all(len(claim) < 100 and claim.isascii() for claim in identity.claims)
        if identity.conflict:
            assert len(identity.claims) >= 2

    @given(scans, code_claims, looks)
    def test_the_order_of_claims_does_not_matter(
        self, by_scan: ScanClaim | None, codes: list[CodeClaim], candidates: list[ImageCandidate]
    ) -> None:
        """Codes and candidates may come in any order."""
        other_codes, other_candidates = codes[::-1], candidates[::-1]

        assert found(by_scan=by_scan, codes=codes, candidates=candidates) == found(
            by_scan=by_scan, codes=other_codes, candidates=other_candidates
        )

    def test_limits_survive_their_file(self) -> None:
        """The limits are part of the calibration file."""
        assert LIMITS == msgspec.json.decode(msgspec.json.encode(LIMITS), type=IdentityLimits)


class TestRank:
    """Patch maps order the shortlist."""

    def test_the_own_product_comes_first(self) -> None:
        """A capture of a product is most like that product's references, whatever the pooled vectors said."""
        rng = np.random.default_rng(5)
        scenes = {name: rng.normal(size=(2, CELLS, PATCH_SIZE)) for name in ("P-1", "P-2", "P-3")}

        def view_of(name: str) -> Patches:
            noisy = scenes[name] + 0.3 * rng.normal(size=(2, CELLS, PATCH_SIZE))
            unit: Patches = (noisy / np.linalg.norm(noisy, axis=2, keepdims=True)).astype(np.float32)
            return unit

        shortlist = [
            Shortlisted(name, similarity, (quantise(view_of(name)), quantise(view_of(name))))
            for name, similarity in (("P-1", 0.9), ("P-2", 0.5), ("P-3", 0.7))
        ]

        ranked = rank(view_of("P-2"), [*shortlist, Shortlisted("P-bare", 0.99, ())])

        assert ("P-2", 0.5) == (ranked[0].product_id, ranked[0].similarity)
        assert {"P-1", "P-2", "P-3"} == {candidate.product_id for candidate in ranked}
        assert ranked[0].patch > ranked[1].patch + 0.1


class Table:
    """A verifier that knows its answers."""

    def __init__(self, **lies: tuple[int, float]) -> None:
        """Take products (P_1), on how many keypoints they agree with the capture, and how alike they are."""
        self._lies = {name.replace("_", "-"): value for name, value in lies.items()}
        self.asked: list[str] = []
        self.laid: list[str] = []

    def agree(self, product_id: str, /) -> int | None:
        """Look the number up."""
        self.asked.append(product_id)
        return self._lies[product_id][0] if product_id in self._lies else None

    def likeness(self, product_id: str, /) -> float | None:
        """Look the likeness up."""
        self.laid.append(product_id)
        return self._lies[product_id][1] if product_id in self._lies else None


class TestVerify:
    """Laying a capture over references decides between those that patch maps chose."""

    def test_the_one_with_most_keypoints_comes_first(self) -> None:
        """A sibling that patch maps prefer falls back, and so does what nobody knows of; the first is laid over."""
        table = Table(P_1=(13, 0.9), P_2=(40, 0.8))
        verified = verify(like(P_1=0.9, P_2=0.88, P_3=0.87), table)

        assert [("P-2", 40, 0.8), ("P-1", 13, None), ("P-3", None, None)] == [
            (each.product_id, each.agree, each.laid) for each in verified
        ]
        assert ["P-2"] == table.laid

    def test_what_agrees_on_nothing_keeps_its_order(self) -> None:
        """Plain goods are in the order of their patch maps, and nobody can tell of the first how it lies."""
        verified = verify(like(P_1=0.9, P_2=0.88), Table(P_1=(0, 0.0), P_2=(0, 0.0)))

        assert [("P-1", 0.0), ("P-2", None)] == [(each.product_id, each.laid) for each in verified]

    def test_only_the_first_few_are_looked_at(self) -> None:
        """It takes time; the others stay as they were."""
        table = Table(P_2=(30, 0.5), P_3=(99, 0.9))
        verified = verify(like(P_1=0.9, P_2=0.88, P_3=0.87), table, most=2)

        assert ["P-1", "P-2"] == table.asked
        assert ["P-2", "P-1", "P-3"] == [each.product_id for each in verified]

    def test_the_limit_for_laid_captures_decides_alone(self) -> None:
        """Where a tier has one, a cosine is not enough."""
        tier = ImageTier(products=MICRO, margin_weight=0, score=4 * MICRO, right=970_000, laid=1_000_000)
        limits = IdentityLimits(tiers=(tier,), look=LookWeights(likeness=MICRO, similarity=0, keypoints=0, lead=0))

        def named(laid: float | None) -> str | None:
            candidates = [ImageCandidate("P-1", 0.2, 0.5, None if laid is None else 40, laid)]
            return identify(scan=None, codes=[], candidates=candidates, expected=[], limits=limits).product_id

        # 1.02 - 1 / e is 0.652
        assert ("P-1", None, None) == (named(0.653), named(0.651), named(None))

    def test_a_look_is_weighed_by_hand(self) -> None:
        """Laid over at 0.52, a cosine of 0.77, 44 keypoints and 4 of the next: logarithms of 2, 4, 50 and 5."""
        seen = Foremost.of([ImageCandidate("P-1", 0.77, 0.5, 44, 0.52), ImageCandidate("P-2", 0.9, 0.8, 4)])
        tier = ImageTier(products=MICRO, margin_weight=500_000, score=600_000, right=MICRO, laid=1_000_000)
        limits = IdentityLimits(
            tiers=(tier,), look=LookWeights(likeness=100_000, similarity=200_000, keypoints=300_000, lead=400_000)
        )
        by_hand = 0.1 * math.log(2) + 0.2 * math.log(4) + 0.3 * math.log(50) + 0.4 * math.log(5)

        assert (44, 4, 520_000, -300_000) == (seen.agree, seen.next_agree, seen.laid, seen.lead)
        assert pytest.approx(by_hand - 1, abs=2e-6) == look_margin(seen, limits, tier) / MICRO
        bare = msgspec.structs.replace(tier, laid=None)
        assert 770_000 - 150_000 - 600_000 == look_margin(seen, limits, bare)

    @pytest.mark.parametrize(("weight", "margin"), [(0, -50_000), (1_000_000, 50_000), (500_000, 16_666)])
    def test_a_calibration_of_before_still_holds(self, weight: int, margin: int) -> None:
        """Without weights of signs the mean of a likeness of 0.6 and a cosine of 0.8 passes a limit of 0.65, or not."""
        tier = ImageTier(products=MICRO, margin_weight=0, score=MICRO, right=MICRO, laid=650_000, laid_weight=weight)
        limits = IdentityLimits(tiers=(tier,))
        laid, seen = (Foremost.of([ImageCandidate("P-1", 0.8, 0.5, *over)]) for over in ((40, 0.6), (None, None)))

        assert margin == look_margin(laid, limits, tier)
        assert 800_000 - MICRO == look_margin(seen, limits, tier)

    def test_a_sibling_takes_the_lead(self) -> None:
        """Of two that agree on as many keypoints the first is believed less than one that stands alone."""
        tier = ImageTier(products=MICRO, margin_weight=0, score=0, right=MICRO, laid=0)
        limits = IdentityLimits(
            tiers=(tier,), look=LookWeights(likeness=MICRO, similarity=MICRO, keypoints=MICRO, lead=MICRO)
        )
        best = ImageCandidate("P-1", 0.9, 0.8, 40, 0.9)
        alone, beside = (
            look_margin(Foremost.of([best, *others]), limits, tier)
            for others in ([], [ImageCandidate("P-2", 0.9, 0.8, 38)])
        )
        assert alone > beside + MICRO

    @given(st.lists(st.tuples(st.integers(0, 200), similarities, similarities), min_size=2, max_size=2))
    def test_nothing_that_is_more_alike_is_believed_less(self, pair: list[tuple[int, float, float]]) -> None:
        """Whichever of the three rises while the others stay."""
        tier = ImageTier(products=MICRO, margin_weight=0, score=0, right=MICRO, laid=0)
        limits = IdentityLimits(
            tiers=(tier,), look=LookWeights(likeness=MICRO, similarity=2 * MICRO, keypoints=MICRO, lead=MICRO)
        )
        low, high = (
            Foremost.of([ImageCandidate("P-1", similarity, 0.5, agree, laid), ImageCandidate("P-2", 0.5, 0.5, 20)])
            for agree, laid, similarity in zip(*(tuple(map(sorted, zip(*pair, strict=True)))), strict=True)
        )

        assert look_margin(low, limits, tier) <= look_margin(high, limits, tier)

    def test_the_order_of_verified_candidates_does_not_matter(self) -> None:
        """What agrees on most keypoints is the look, wherever it stands in the list."""
        tier = ImageTier(products=MICRO, margin_weight=0, score=4 * MICRO, right=970_000, laid=0)
        look = LookWeights(likeness=MICRO, similarity=0, keypoints=0, lead=0)
        candidates = [ImageCandidate("P-1", 0.9, 0.95, 20), ImageCandidate("P-2", 0.8, 0.9, 40, 0.8)]
        names = {
            identify(
                scan=None, codes=[], candidates=order, expected=[], limits=IdentityLimits(tiers=(tier,), look=look)
            ).product_id
            for order in (candidates, candidates[::-1])
        }

        assert {"P-2"} == names
