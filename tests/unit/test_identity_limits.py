"""When a look counts: limits that were measured, and limits that are refused."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evidence.identity import ImageCandidate, ScanClaim, identify
from evidence.identity_limits import IdentityLimits, ImageTier
from evidence.limits import fit_limits
from schemas.faults import Fatal
from schemas.messages import Identity
from schemas.words import MICRO

similarities = st.floats(-1, 1)


class TestLimits:
    """Limits that contradict themselves are refused when their file is read."""

    @pytest.mark.parametrize(
        ("tiers", "words"),
        [
            ([(3, 500_000, None), (3, 600_000, None)], "tiers must grow: one for 3 products"),
            ([(10, 500_000, None), (3, 600_000, None)], "tiers must grow: one for 10 products"),
            ([(3, 600_000, None), (10, 599_999, None)], "among 10 products needs less score"),
            ([(3, 500_000, 800_000), (10, 600_000, 799_999)], "among 10 products needs less laid"),
        ],
    )
    def test_more_products_never_need_less(self, tiers: list[tuple[int, int, int | None]], words: str) -> None:
        """The message names both tiers."""
        raw = msgspec.json.encode(
            {
                "tiers": [
                    {"products": products, "margin_weight": 0, "score": score, "laid": laid, "right": 900_000}
                    for products, score, laid in tiers
                ]
            }
        )
        with pytest.raises(msgspec.ValidationError, match=words):
            msgspec.json.decode(raw, type=IdentityLimits)

    def test_a_tier_may_have_nothing_to_lay_over(self) -> None:
        """Where one of two tiers has no such limit there is nothing to compare."""
        few = ImageTier(products=3, margin_weight=0, score=1, laid=500_000, right=1)
        assert IdentityLimits(tiers=(few, msgspec.structs.replace(few, products=9, laid=None)))

    @given(st.lists(st.integers(1, 200), min_size=1, max_size=6, unique=True), st.data())
    def test_a_longer_list_never_recognises_more(self, sizes: list[int], data: st.DataObject) -> None:
        """With one weight for all, what is believed among many products is believed among fewer of them."""
        scores = sorted(data.draw(st.lists(st.integers(0, MICRO), min_size=len(sizes), max_size=len(sizes))))
        limits = IdentityLimits(
            tiers=tuple(
                ImageTier(products=size, margin_weight=500_000, score=score, right=MICRO)
                for size, score in zip(sorted(sizes), scores, strict=True)
            )
        )
        patches = data.draw(st.lists(similarities, min_size=2, max_size=2))
        pair = [ImageCandidate(f"P-{place}", 0.8, patch) for place, patch in enumerate(patches)]
        few, many = sorted(data.draw(st.lists(st.integers(2, 300), min_size=2, max_size=2)))
        names = [
            identify(
                scan=None, codes=[], candidates=pair, expected=[f"P-{each}" for each in range(size)], limits=limits
            ).product_id
            for size in (few, many)
        ]

        assert names[1] in {None, names[0]}


class Captures(NamedTuple):
    """Similarities float32[captures, 40] by patch maps and by pooled vectors, and the own product of each."""

    patch: NDArray[np.float32]
    pooled: NDArray[np.float32]
    own: list[int]


class TestFitLimits:
    """Measuring the limits."""

    def captures(self, *, count: int = 400, gap: float = 0.3, seed: int = 2) -> Captures:
        """Draw similarities of captures to 40 products; the own product's are higher by `gap`."""
        rng = np.random.default_rng(seed)
        own = rng.integers(0, 40, count)
        patch, pooled = rng.normal(0.5, 0.06, (2, count, 40)).astype(np.float32)
        patch[np.arange(count), own] += gap
        pooled[np.arange(count), own] += gap
        return Captures(patch, pooled, own.tolist())

    def identities(
        self, captures: Captures, limits: IdentityLimits, *, strangers: bool = False, scanned: bool = False
    ) -> list[Identity]:
        """Identify captures, with their own product left out or with a right scan if asked for."""
        return [
            identify(
                scan=ScanClaim("code", f"P-{own}", 0) if scanned else None,
                codes=[],
                candidates=[
                    ImageCandidate(f"P-{column}", float(pooled[column]), float(patch[column]))
                    for column in range(40)
                    if not strangers or column != own
                ],
                expected=[],
                limits=limits,
            )
            for patch, pooled, own in zip(captures.patch, captures.pooled, captures.own, strict=True)
        ]

    def test_strangers_are_accepted_no_more_often_than_stated(self) -> None:
        """On other captures of the same kind about the stated share of strangers passes, and most others do."""
        limits = fit_limits(*self.captures(count=2_000))
        fresh = self.captures(seed=3, count=1_000)
        named = [identity.product_id for identity in self.identities(fresh, limits)]

        assert sum(i.product_id is not None for i in self.identities(fresh, limits, strangers=True)) <= 40
        assert sum(name == f"P-{own}" for name, own in zip(named, fresh.own, strict=True)) >= 950

    def test_fewer_products_need_less(self) -> None:
        """The tiers are in order of size; among few products more captures are recognised at the same rate."""
        captures = self.captures(count=1_000, gap=0.15)
        limits = fit_limits(*captures)
        narrowed = 0
        for patch, pooled, own in zip(captures.patch, captures.pooled, captures.own, strict=True):
            three = [own, (own + 1) % 40, (own + 2) % 40]
            narrowed += (
                identify(
                    scan=None,
                    codes=[],
                    candidates=[ImageCandidate(f"P-{each}", float(pooled[each]), float(patch[each])) for each in three],
                    expected=[f"P-{each}" for each in three],
                    limits=limits,
                ).product_id
                == f"P-{own}"
            )

        assert [1, 3, 10, 30, MICRO] == [tier.products for tier in limits.tiers]
        assert self._recognised(captures, limits) < narrowed

    def _recognised(self, captures: Captures, limits: IdentityLimits) -> int:
        return sum(identity.product_id is not None for identity in self.identities(captures, limits))

    def test_looks_that_tell_nothing_recognise_next_to_nothing(self) -> None:
        """If the own product looks like any other, hardly anything passes, and what does is not believed."""
        captures = self.captures(gap=0.0, count=1_000)
        limits = fit_limits(*captures)

        assert self._recognised(captures, limits) <= 20
        assert limits.tiers[-1].right < MICRO // 2

    def test_wrong_scans_are_mostly_contradicted(self) -> None:
        """A scan of a product that looks quite different is found out by the looks of most units."""
        captures = self.captures(count=1_000)
        limits = fit_limits(*captures)
        neighbours = Captures(captures.patch, captures.pooled, [(own + 1) % 40 for own in captures.own])

        assert sum(i.conflict for i in self.identities(neighbours, limits, scanned=True)) >= 800

    def test_right_scans_are_hardly_ever_contradicted(self) -> None:
        """Of captures whose scan is right, at most a few in a thousand look clearly like something else."""
        captures = self.captures(count=2_000, gap=0.15)
        limits = fit_limits(*captures)

        assert sum(i.conflict for i in self.identities(captures, limits, scanned=True)) <= 4

    def test_limits_for_laid_captures_keep_their_rate(self) -> None:
        """With likenesses of laid captures each tier has a limit for them; strangers pass no more often than stated."""
        captures, fresh = self.captures(count=1_000), self.captures(count=1_000, seed=9)
        limits = fit_limits(*captures, agree=captures.pooled, laid=captures.pooled)
        at = np.array([tier.laid or 0 for tier in limits.tiers]) / MICRO
        others = fresh.pooled.copy()
        others[np.arange(1_000), fresh.own] = 0

        assert sorted(at) == at.tolist()
        assert (others.max(axis=1) >= at[-1]).mean() <= 0.04
        assert (fresh.pooled[np.arange(1_000), fresh.own] >= at[-1]).mean() >= 0.9

    def test_limits_come_from_captures_that_were_laid_over_everything(self) -> None:
        """Of the others nothing is known, not that they are unlike; from too few of them there is no limit."""
        captures = self.captures(count=400)
        partly, hardly = captures.pooled.copy(), captures.pooled.copy()
        partly[100:, 8:], hardly[49:, 39] = np.nan, np.nan
        first = Captures(captures.patch[:100], captures.pooled[:100], captures.own[:100])

        of_some = [tier.laid for tier in fit_limits(*captures, agree=partly, laid=partly).tiers]
        assert [tier.laid for tier in fit_limits(*first, agree=first.pooled, laid=first.pooled).tiers] == of_some
        assert {None} == {tier.laid for tier in fit_limits(*captures, agree=captures.pooled, laid=hardly).tiers}

    def test_too_few_captures_are_refused(self) -> None:
        """A rate of one in a hundred is not measured on ten captures."""
        with pytest.raises(Fatal, match="need 50 captures"):
            fit_limits(*self.captures(count=10))

    def test_limits_grow_with_the_choice(self) -> None:
        """Whatever was measured: these are 60 captures in which small choices need more by chance."""
        for seed in range(20):
            captures = self.captures(count=60, gap=0.02, seed=seed)
            scores = [tier.score for tier in fit_limits(*captures, agree=captures.pooled, laid=captures.pooled).tiers]
            assert sorted(scores) == scores

    def test_new_designs_do_not_blunt_the_eye_for_wrong_labels(self) -> None:
        """Captures that look unlike their references on purpose are left out where it is measured how unlike is odd."""
        captures = self.captures(count=1_000, gap=0.4)
        redesigned = [number % 20 == 0 for number in range(1_000)]
        for number in np.flatnonzero(redesigned):
            own, other = captures.own[number], (captures.own[number] + 1) % 40
            for likeness in (captures.patch, captures.pooled):
                likeness[number, other], likeness[number, own] = likeness[number, own], 0.2

        blunt, sharp = fit_limits(*captures), fit_limits(*captures, redesigned=redesigned)

        assert blunt.apart_lead > 500_000
        assert sharp.apart_lead < 50_000
